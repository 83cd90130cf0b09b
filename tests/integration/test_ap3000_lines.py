"""The line under a pile: what comes before, between and instead of frames, cut and glued in every way; several ids on a line, an id on
several lines, and who may come at all (ap3000.md 1, 12, 13.4)."""
import asyncio
import random
import time

from ap3000_kit import A, B, CARD, HOST_ID, START, TAG, Line, Pile, check, holds, name_of, pile_on, run, sequence_has_no_gap, settle_raw, until
from ap3000_peer import SILENT, Host, Order
from harness import Station, report

GAP_S = 10      # 1.3
SEED = 20260301


async def answered(pile, raws, pieces=None, timeout=20):
    """Whether each of the frames among what is written gets its answer."""
    futures = []
    for raw in raws:
        key = (raw[11], int.from_bytes(raw[9:11], "little"))
        futures.append(pile.waiting.setdefault(key, asyncio.get_running_loop().create_future()))
    await pile.line.write_pieces(pieces or raws)
    done, left = await asyncio.wait(futures, timeout=timeout)
    return not left


async def preambles(site):
    """1.2: the card's number is said first, or not at all, or wrongly."""
    for row, iccid, kept in (("none", None, None), ("small letters", "898604d9162390488297", "898604d9162390488297"), ("no hexadecimal digits", "898604G9162390488297", None),
                             ("another beginning", "78860012345678901234", None)):
        pile = Pile(await Line(site.server, iccid).connect(), random.Random(row).randrange(1 << 24) | 0x04000000)
        check(f"1.2 {row}: the pile is served", holds(await pile.register(), {"result": 0}))
        point = await until(lambda: on(site, pile), f"1.2 {row}: it is online")
        check(f"1.2 {row}: the card is kept as it is", point and (point.get("iccid") or "").lower() == (kept or "").lower(), point)
        await pile.line.close()
    pile = Pile(await Line(site.server, "8986001234567890123").connect(), A)
    pile.send(0x22)
    check("1.2 one digit short takes the D of the next header, not the frame after it", await pile.time() and len(pile.answers) == 1, pile.answers)
    await pile.line.close()
    pile = await pile_on(site)
    await pile.line.close()
    await site.back(pile)
    check("1.1 without a registration a pile that comes back is served", await pile.heartbeat() and await pile.time())
    c = await site.command(pile, 0x96, {"seconds": 1})
    check("1.1 and reached", c.get("outcome") == "answered", c)


async def on(site, unit, **want):
    p = await site.point(unit)
    return p if holds(p, {"online": True, **want}) else None


async def pieces(site):
    """1.3: glued, and cut at every byte."""
    line = await Line(site.server, None).connect()
    pile = Pile(line, A)
    frames = lambda: [pile.frame(0x20, **pile.registration()), pile.frame(0x22), pile.frame(0x21, **pile.state())]
    made = frames()
    glued = b"89860012345678901234" + made[0] + b"link" + made[1] + b"linklink" + made[2]
    check("1.3 all in one segment, behind the card's number", await answered(pile, made, [glued]))
    size = len(glued) - 20
    for at in range(1, size):
        made = frames()
        raw = made[0] + b"link" + made[1] + b"linklink" + made[2]
        if not check(f"1.3 cut at {at}", await answered(pile, made, [raw[:at], raw[at:]])):
            return
    made = frames()
    raw = b"link".join(made)
    check("1.3 byte by byte", await answered(pile, made, [raw[i:i + 1] for i in range(len(raw))]))
    many = [pile.frame(0x22) for _ in range(30)]
    check("1.3 thirty in one segment", await answered(pile, many, [b"".join(many)]))
    check("1.3 what comes back is frames", line.junk == 0)
    inside = Order("444E596C696E6B444E59090038393836", 0, 0, CARD).advance(60, 1)
    raw = settle_raw(pile, inside)
    check("1.3 a header within a payload is none", await answered(pile, [raw], [raw[:20], raw[20:]]))


async def garbage(site):
    """1.3: what is no frame is dropped, and the next good one is found."""
    pile = await pile_on(site)
    good = lambda: pile.frame(0x22)
    raw = good()
    bad_sum = raw[:-1] + bytes([raw[-1] ^ 1])
    settled = settle_raw(pile, Order("20260115093012" + CARD + "1354400030", 0, 0, CARD).advance(60, 1))
    long = settled[:3] + (len(settled) + 5).to_bytes(2, "little") + settled[5:]
    for row, junk in (("line noise", b"\x00\xff\x13\x37\r\nxyz"), ("a header that lies about being long", b"DNYAB"), ("a length below the least", b"DNY\x08\x00"), ("a length of 513", b"DNY\x01\x02"),
                      ("a frame with a wrong sum", bad_sum), ("half of link", b"lin"), ("half a header", b"DN"), ("a card's number too late", b"89860012345678901234"), ("a frame whose length swallows the next", long)):
        before = len(pile.answers)
        raw = good()
        check(f"1.3 behind {row} a frame is found", await answered(pile, [raw], [junk + raw + (b"link" if junk == long else b"")]))
        check(f"1.3 {row} is not answered", len(pile.answers) == before + 1, pile.answers[before:])
    rng = random.Random(SEED)
    for n in range(40):
        junk, raw = rng.randbytes(rng.randrange(1, 300)).replace(b"D", b"E"), good()
        check("1.3 behind random bytes a frame is found", await answered(pile, [raw], [junk[:7], junk[7:] + raw]))
    check("1.3 the connection lives as long as there are frames between", pile.line.is_open)
    await site.quiet(pile, "13.1 a settlement with a wrong sum is none", "transaction.stopped")
    junk = b"x" * 4000
    check("1.3 many dropped bytes", await answered(pile, [raw := good()], [junk + raw]))
    check("1.3 and a frame between", await answered(pile, [raw := good()], [junk + raw]))
    pile.line.write(b"x" * 4200)
    await until(lambda: not pile.line.is_open, "1.3 more than 4096 bytes without a frame end it")
    e = await site.event(pile, "its end is told", "charge_point.disconnected")
    check("as a fault of the protocol", e and e["payload"]["reason"] == "protocol_error", e)


async def gap(site):
    """1.3: a length that swallows what follows holds it up no longer than the gap timer."""
    pile = await pile_on(site)
    raw, began = pile.frame(0x22), time.monotonic()
    check("1.3 behind a length of 500 a frame is found", await answered(pile, [raw], [b"DNY\xf4\x01" + raw], 2 * GAP_S))
    took = time.monotonic() - began
    check("1.3 when the gap timer says so", GAP_S - 1 < took < GAP_S + 5, took)


async def several(site):
    """12: several ids on a line; an id that moves."""
    line = await Line(site.server).connect()
    one, two = Pile(line, A), Pile(line, B)
    await one.register(), await two.register()
    for pile in (one, two):
        c = await site.command(pile, 0x96, {"seconds": 1})
        check("12 each is asked under its own id", c.get("outcome") == "answered" and len(pile.asked(0x96)) == 1, c)
    other = await Line(site.server, "89860012345678909999").connect()
    two.move(other)
    check("1.5 on another line it is served", await two.heartbeat())
    c = await site.command(two, 0x96, {"seconds": 2})
    check("1.5 the newest line has it", c.get("outcome") == "answered" and any(f.command == 0x96 for f in other.received), c)
    check("1.5 the older one stays for the others", line.is_open and await one.time())
    await until(lambda: on(site, two, iccid="89860012345678909999"), "12 it names its new card")
    await line.close()
    await until(lambda: off(site, one), "12 the end of a line is the end of those on it")
    check("12 not of one that has left", (await on(site, two)) and await two.time())
    # a command whose pile moves between two sendings
    two.on[0x96], before = SILENT, len(two.asked(0x96))
    command = site.begin(two, 0x96, {"seconds": 3})
    first = await two.until_asked(0x96, before + 1)
    two.move(await Line(site.server).connect())
    await two.heartbeat()
    second = await two.until_asked(0x96, before + 2)
    check("3.3 the retransmission goes to the new line, the same to the byte", first and second and first.raw == second.raw and any(f.command == 0x96 for f in two.line.received), (first, second))
    await command
    await sequence_has_no_gap(site, one, two)


async def off(site, unit):
    return (await site.point(unit)).get("online") is False


async def paced(site):
    """3.1, 3.3: frames to an id keep their distance; answers go before commands; other ids on the line do not wait."""
    pile = await pile_on(site)
    other = Pile(pile.line, B)
    await other.register()
    commands = [site.begin(pile, 0x96, {"seconds": s}) for s in (1, 2, 3)]
    await pile.until_asked(0x96)
    times = await asyncio.gather(*(pile.time() for _ in range(3)), other.time())
    check("3.3 all are answered", all(times), times)
    got = [c.get("outcome") for c in await asyncio.gather(*commands)]
    check("3.3 and all asked", got == ["answered"] * 3, got)
    came = [(f.at, f.command) for f in pile.line.received if f.id == pile.id]
    gaps = [b[0] - a[0] for a, b in zip(came, came[1:])]
    check("3.1 half a second lies between two frames to one id", min(gaps) >= 0.45, gaps)
    order = [c for _, c in came if c in (0x22, 0x96)]
    check("3.3 answers go ahead of commands", order.index(0x22) < len(order) - 1 - order[::-1].index(0x96), order)
    mine, theirs = [f.at for f in pile.line.received if f.id == A and f.command == 0x22], [f.at for f in pile.line.received if f.id == B and f.command == 0x22]
    check("12 each id is paced by itself", theirs and theirs[0] < mine[-1], (mine, theirs))


async def half_open(site):
    """1.5: a line that is there for the kernel only."""
    pile = await pile_on(site)
    pile.line.pause()
    old = pile.line
    pile.move(await Line(site.server).connect())
    check("1.5 the pile comes on another", await pile.register())
    for seconds in (1, 2, 3):
        c = await site.command(pile, 0x96, {"seconds": seconds})
        check("1.5 and is reached there", c.get("outcome") == "answered", c)
    old.abort()
    await pile.time()
    check("1.5 the end of the old line is not its end", await on(site, pile))


async def forged(site):
    """2.4, 13.4: two ids of one printed number; a name that OCPP may not take."""
    pile = await pile_on(site, A)
    twin = Pile(await Line(site.server).connect(), 0x05000000 | A & 0xFFFFFF)
    check("2.4 another id of the same number is served", await twin.register())
    name = name_of(pile) + "-05"
    await until(lambda: on(site, name, physical_id=f"{twin.id:08X}"), "2.4 under a name of its own")
    check("2.4 the first keeps its own", holds(await site.point(pile), {"physical_id": f"{A:08X}"}))
    check("2.4 what one settles is its own", holds(await twin.ask_and_see(settle_raw(twin, Order("20260115093012" + CARD + "1354400030", 0, 0, CARD).advance(60, 1))), {"result": 0}))
    await site.event(name, "2.4 it is told of it", "transaction.stopped")
    await site.quiet(pile, "2.4 and not of the other", "transaction.stopped")
    await site.restart(pile, twin)
    await pile.heartbeat(), await twin.heartbeat()
    await until(lambda: on(site, name, physical_id=f"{twin.id:08X}"), "2.4 after a restart both are who they were")
    check("2.4 the other too", await on(site, pile, physical_id=f"{A:08X}"))
    odd = await pile_on(site, 0x76BE0870)
    check("2.4 an unknown code is taken", holds(await site.point(odd), {"physical_id": "76BE0870"}))
    try:
        await (await Station(site.server, name_of(pile)).connect()).boot()
        check("no OCPP station takes a pile's name", False)
    except Exception as e:
        check("no OCPP station takes a pile's name", "HTTP 4" in str(e) or "4" in str(getattr(e, "status_code", "")), repr(e))


async def slaves(site):
    """12: a full bus."""
    host = Host(await Line(site.server).connect(), HOST_ID, range(0x04100000, 0x04100000 + 50))
    host.heartbeat()
    check("12 fifty slaves register on one line", all(await asyncio.gather(*(s.register() for s in host.slaves))))
    got = await asyncio.gather(*(site.command(s, 0x96, {"seconds": 1}) for s in host.slaves))
    check("12 and are reached, each by its id", all(c.get("outcome") == "answered" for c in got) and all(len(s.asked(0x96)) == 1 for s in host.slaves))
    await asyncio.gather(*(s.heartbeat() for s in host.slaves))
    for s in host.slaves[:3]:
        await until(lambda s=s: on(site, s, host=host.charge_point), "12 each names its host")
    await host.line.close()
    await until(lambda: off(site, host.slaves[-1]), "12 with the line all are gone")


async def crowded(site):
    """13.4: connections of an address are limited."""
    lines = [await Line(site.server).connect() for _ in range(3)]
    piles = [Pile(l, A + i) for i, l in enumerate(lines)]
    check("13.4 three are served", all([await p.time() for p in piles]))
    fourth = await Line(site.server).connect()
    await until(lambda: not fourth.is_open, "13.4 a fourth is sent away")
    await lines[0].close()

    async def let_in():
        again = Pile(await Line(site.server).connect(), A)
        return await again.time() if again.line.is_open else None
    await until(let_in, "13.4 when one has left there is room")


async def strangers(site):
    """13.4: networks that may not come."""
    line = await Line(site.server).connect()
    await until(lambda: not line.is_open, "13.4 an address outside the networks is sent away")
    check("13.4 without a word", line.received == [])


async def friends(site):
    check("13.4 an address inside them is served", await (await pile_on(site)).time())


async def bound(site):
    """13.4: an id that is bound to a card."""
    await site.put(name_of_id(A), registration="accepted", iccid_binding="89860012345678901234")
    pile = await pile_on(site, A)
    order, id_ = await site.charge(pile, 0)
    check("a pile with its card charges", id_)
    thief = Pile(await Line(site.server, "89860000000000000000").connect(), A)
    await thief.ask_and_see(settle_raw(thief, order.advance(60, 9)), 1)
    check("13.4 its settlement is not applied", holds(await site.get(f"/transactions/{id_}"), {"state": "open"}))
    c = await site.command(pile, 0x96, {"seconds": 1}, wait_s=5)
    check("13.4 it does not get what is for the pile", thief.asked(0x96) == [], c)
    await site.event(pile, "13.4 it is told", "security.event")
    await thief.line.close()
    r = await site.call("DELETE", f"/charge-points/{name_of(pile)}?force=true")
    check("it is deleted", r.status == 200, r.text)
    await site.put(name_of_id(A), registration="accepted")
    check("one that is registered anew is not bound", (await site.point(pile)).get("iccid_binding") is None)
    other = Pile(await Line(site.server, "89860000000000000000").connect(), A)
    other.send(0x20, **other.registration())
    await until(lambda: on(site, other, iccid="89860000000000000000"), "it comes by any card")
    other.send(0x21, **other.state())
    await site.event(other, "and is told to be connected by it", "charge_point.connected", iccid="89860000000000000000")


def name_of_id(physical_id):
    return f"AP{physical_id & 0xFFFFFF}"


async def pending(site):
    """13.4: an unknown pile waits for a person."""
    pile = await pile_on(site)
    check("3.3 while it waits it has the time", await pile.time() and await pile.heartbeat())
    await until(lambda: on(site, pile, registration="pending"), "13.4 it is shown as pending")
    order = Order("20260115093012" + CARD + "1354400030", 0, 0, CARD).advance(600, 5)
    for _ in range(2):
        check("13.4 its settlement is answered", holds(await pile.ask_and_see(settle_raw(pile, order)), {"result": 0}))
    rows = await until(lambda: site.quarantined(pile), "13.4 it is kept aside")
    check("13.4 once", rows and len(rows) == 1, rows)
    later = Order("20260115103012" + CARD + "1354400031", 1, 0, CARD).advance(600, 7)
    await pile.ask_and_see(settle_raw(pile, later))
    await until(lambda: both(site, pile), "13.4 and the next")
    await site.quiet(pile, "13.4 and not applied", "transaction.stopped")
    await site.refused(pile, "13.4 no order is started at it", START, {"idTag": TAG, "connectorId": 1})
    await site.restart(pile)
    await site.put(pile, registration="accepted")
    r = await site.call("POST", f"/quarantine/{rows[0]['quarantine_id'] if rows else 'none'}/apply", {})
    check("13.4 accepted, what it settled can be applied", r.status == 200, r.text)
    await site.event(pile, "13.4 and counts", "transaction.stopped", energyWh=50, orderNo=order.order_no)
    check("13.4 a repeat changes nothing", holds(await pile.ask_and_see(settle_raw(pile, order)), {"result": 0}))
    await site.quiet(pile, "13.4 it is one transaction", "transaction.stopped", after=1)
    for _ in range(2):
        check("13.4 one that comes again before it was applied", holds(await pile.ask_and_see(settle_raw(pile, later)), {"result": 0}))
    e = await site.event(pile, "13.4 counts", "transaction.stopped", energyWh=70, orderNo=later.order_no)
    row = await until(lambda: sent_again(site, pile), "13.4 and waits no longer")
    check("13.4 it says what became of it", e and holds(row, {"state": "applied", "applied_to": e["payload"]["transactionId"]}), row)
    r = await site.call("POST", f"/quarantine/{row['quarantine_id'] if row else 'none'}/apply", {})
    check("13.4 and is not applied to anything else", r.status == 409, r.text)
    await site.quiet(pile, "13.4 it is one transaction too", "transaction.stopped", after=2)
    _, id_ = await site.charge(pile, 0)
    check("13.4 and it charges", id_)
    await sequence_has_no_gap(site, pile)


async def both(site, pile):
    return len(await site.quarantined(pile)) == 2


async def sent_again(site, pile):
    return next((r for r in await site.quarantined(pile) if r["resolved_by"] == "sent again"), None)


async def rejected(site):
    """Who is on no list and is not to be let in."""
    friend = await pile_on(site, B) if await site.put(name_of_id(B), registration="accepted") else None
    pile = Pile(await Line(site.server).connect(), A)
    pile.send(0x20, **pile.registration())
    await pile.ask_and_see(settle_raw(pile, Order("20260115093012" + CARD + "1354400030", 0, 0, CARD).advance(600, 5)), 1)
    await site.quiet(friend, "one that is on the list is served, and nobody else told", "transaction.stopped", "transaction.started")
    check("13.4 what the other settles is no transaction", await site.events(pile, "transaction.stopped", "transaction.started") == [])
    await site.refused(pile, "13.4 no order is started at it", START, {"idTag": TAG, "connectorId": 1}, (404, 409, 422))
    check("13.4 it is not reached", pile.commands == [])


def main():
    for part in (preambles, pieces, garbage, gap, several, half_open, forged, slaves, bound):
        run(part)
    run(paced, "ap3000.frame_spacing_ms=500", "ap3000.answer_timeout_s=5")
    run(crowded, "ap3000.connections_per_address_max=3")
    run(strangers, "ap3000.networks=10.0.0.0/8,192.168.0.0/16")
    run(friends, "ap3000.networks=10.0.0.0/8,127.0.0.0/8")
    run(pending, "device.unknown=pending")
    run(rejected, "device.unknown=reject")
    report()


main()
