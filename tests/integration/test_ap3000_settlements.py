"""Settlements that repeat, differ, belong to nobody or came while the pile was alone: ap3000.md 10.4, 11; each is answered once it is
stored, and is one closed transaction."""
import asyncio

from ap3000_kit import B, CARD, START, TAG, Line, Pile, check, holds, pile_on, run, sequence_has_no_gap, settle_raw, until
from ap3000_peer import ALL, NONE, SILENT, Order
from harness import report

UNSET = "19700101080130" + CARD + "1354400030"      # 11.2 with a clock that was never set


def offline(number="20260115093012" + CARD + "1354400030", port=0, seconds=600, energy=5, mode=0, card=CARD):
    return Order(number, port, mode, card).advance(seconds, energy)


async def stopped(site, pile, row, count=1, **want):
    """So many transactions have ended, and no more; the events."""
    await pile.time()
    got = await site.events(pile, "transaction.stopped")
    check(row, len(got) == count and (not want or holds(got[-1]["payload"], want)), [e["payload"] for e in got])
    return got


async def repeats(site):
    """3.3, 10.4: the first wins; each repeat is answered and changes nothing, after a restart too."""
    pile = await pile_on(site)
    order, id_ = await site.charge(pile, 0)
    order.advance(600, 9)
    pile.end(0, 1)
    settlement = pile.eeprom[0]
    raw = pile.frame(0x03, 900, **settlement)
    answers = [await pile.ask_and_see(raw) for _ in range(3)]
    check("10.4 each is answered with 0", all(holds(a, {"result": 0}) for a in answers), answers)
    check("10.4 so is one with a new message id", holds(await pile.ask(0x03, **settlement), {"result": 0}))
    check("10.4 and one with another time in it", holds(await pile.ask(0x03, **{**settlement, "timestamp": 1}), {"result": 0}))
    await stopped(site, pile, "10.4 it is settled once", 1, transactionId=id_, energyWh=90)
    for kill in (True, False):
        await site.restart(pile, kill=kill)
        check("10.4 a repeat after a restart is answered", holds(await pile.ask_and_see(raw), {"result": 0}))
        await stopped(site, pile, "10.4 and changes nothing", 1)
    await site.quiet(pile, "10.4 nor is it set aside", "device.quarantined")
    check("10.4 one that differs is answered", holds(await pile.ask(0x03, **{**settlement, "energy_10wh": 99}), {"result": 0}))
    await site.event(pile, "10.4 and set aside for a person", "device.quarantined")
    await site.transaction(id_, "10.4 the first stands", state="closed", energy_wh=90)
    check("it is in the list", len(await until(lambda: site.quarantined(pile), "10.4 it is in the quarantine") or []) == 1)
    check("10.4 the differing one again is answered", holds(await pile.ask(0x03, **{**settlement, "energy_10wh": 99}), {"result": 0}))
    await stopped(site, pile, "10.4 nothing more is settled", 1)
    await sequence_has_no_gap(site, pile)


async def orphans(site):
    """10.4 item 7, and what is too short."""
    pile = await pile_on(site)
    nobody = Order("A5" + "42" * 15, 0).advance(600, 5)
    check("10.4 an online order that nobody knows is answered", holds(await pile.ask_and_see(settle_raw(pile, nobody)), {"result": 0}))
    e = await site.event(pile, "10.4 and kept for an operator", "device.quarantined")
    await site.quiet(pile, "10.4 it is no transaction", "transaction.stopped")
    check("10.4 its repeat is answered", holds(await pile.ask_and_see(settle_raw(pile, nobody)), {"result": 0}))
    await site.quiet(pile, "10.4 and kept once", "device.quarantined", after=1)
    check("10.4 one too short is answered", holds(await pile.ask(0x03, raw="00" * 28), {"result": 0}))
    await site.event(pile, "10.4 and kept", "device.quarantined", 2)
    rows = await until(lambda: two_of(site, pile), "10.4 both are in the list")
    if rows and e:
        r = await site.call("POST", f"/quarantine/{e['payload']['quarantineId']}/apply", {})
        check("13.4 a person applies one", r.status == 200, r.text)
        await site.event(pile, "it becomes a transaction", "transaction.stopped", energyWh=50)
    # an order of another pile
    other = await pile_on(site, B)
    order, id_ = await site.charge(other, 0)
    check("13.4 another pile's order is answered", holds(await pile.ask_and_see(settle_raw(pile, order.advance(60, 1))), {"result": 0}))
    await site.event(pile, "13.4 and not applied", "device.quarantined", 3)
    check("13.4 its own transaction runs on", holds(await site.get(f"/transactions/{id_}"), {"state": "open"}))


async def two_of(site, pile):
    rows = await site.quarantined(pile)
    return rows if len(rows) == 2 else None


async def offline_starts(site):
    """11.2, 11.3, and the numbers that may come again (10.4 item 4)."""
    pile = await pile_on(site)
    order = offline()
    pile.send(0x06, **order.beat())
    e = await site.event(pile, "11.2 an offline order is seen while it runs", "transaction.started", orderNo=order.order_no, offline=True, idTag=CARD, connectorId=1)
    check("11.2 its settlement is answered", holds(await pile.ask_and_see(settle_raw(pile, order)), {"result": 0}))
    await stopped(site, pile, "11.2 and ends it", 1, energyWh=50, transactionId=e and e["payload"]["transactionId"])
    typed = offline("20260115093012" + "00054358" + "1354400071", 1, 300, 3, 3, "00054358")
    check("11.3 an order by code that was never seen", holds(await pile.ask_and_see(settle_raw(pile, typed)), {"result": 0}))
    await site.event(pile, "11.3 is a transaction", "transaction.started", orderNo=typed.order_no, offline=True, connectorId=2)
    await stopped(site, pile, "11.3 that has ended", 2, energyWh=30)
    unset = [settle_raw(pile, offline(UNSET, 0, s, n)) for s, n in ((600, 2), (700, 2), (600, 3))]
    for raw in unset + unset:
        check("10.4 a settlement with a clock that was never set", holds(await pile.ask_and_see(raw), {"result": 0}))
    await stopped(site, pile, "10.4 three with one number of 1970 are three", 5)
    for number in (NONE, ALL):
        for s, n in ((60, 1), (60, 1), (61, 1)):
            await pile.ask_and_see(settle_raw(pile, offline(number, 1, s, n)))
    await stopped(site, pile, "10.4 so are those without a number", 9)
    await site.restart(pile)
    for raw in unset:
        check("10.4 their repeats after a restart are answered", holds(await pile.ask_and_see(raw), {"result": 0}))
    await stopped(site, pile, "10.4 and are no new ones", 9)
    ids = [e["payload"]["transactionId"] for e in await site.events(pile, "transaction.stopped")]
    check("10.4 each has a transaction of its own", len(set(ids)) == 9, ids)
    mode = offline("20260116093012" + CARD + "1354400030", 0, 60, 1, 9)
    check("5.4 an unknown start mode is answered", holds(await pile.ask_and_see(settle_raw(pile, mode)), {"result": 0}))
    await sequence_has_no_gap(site, pile)


async def failed_then_settled(site):
    """10.2: the pile's account wins."""
    pile = await pile_on(site)
    pile.on[0x82] = lambda f: {"result": 1, "order_no": f.fields["order_no"], "port": 0, "waiting_ports": 0}
    c = await site.command(pile, START, {"idTag": TAG, "connectorId": 1})
    check("5.8 the pile refuses", c.get("reason") == "DEVICE_REJECTED", c)
    number = pile.asked(0x82)[0].fields["order_no"]
    check("10.2 its settlement is answered", holds(await pile.ask_and_see(settle_raw(pile, Order(number, 0).advance(600, 8))), {"result": 0}))
    e = await site.event(pile, "10.2 failed, then settled: it was a charge", "transaction.started", orderNo=number, idTag=TAG)
    got = await stopped(site, pile, "10.2 and is over", 1, energyWh=80)
    check("10.2 it is flagged for review", e and (e["payload"].get("flags") or (got and got[0]["payload"].get("flags"))), (e, got))
    pile.on[0x82] = SILENT
    await site.command(pile, START, {"idTag": TAG, "connectorId": 2}, wait_s=10)
    number = pile.asked(0x82)[-1].fields["order_no"]
    check("10.2 from uncertain too", holds(await pile.ask_and_see(settle_raw(pile, Order(number, 1).advance(600, 6))), {"result": 0}))
    await site.event(pile, "10.2 uncertain, then settled", "transaction.started", orderNo=number)
    await stopped(site, pile, "10.2 is over", 2, energyWh=60)


async def restarts(site):
    """The server is killed within an order's life: after the start was sent, while it runs, after the settlement was sent."""
    pile = await pile_on(site)
    pile.on[0x82] = SILENT
    command = site.begin(pile, START, {"idTag": TAG, "connectorId": 1}, command_id="11111111-2222-4333-8444-555555555501")
    f = await pile.until_asked(0x82)
    order = Order(f.fields["order_no"] if f else NONE, 0).advance(300, 2)
    await asyncio.to_thread(site.server.kill)
    await asyncio.gather(command, return_exceptions=True)
    await asyncio.to_thread(site.server.start)
    await site.back(pile)
    pile.send(0x06, **order.beat())
    e = await site.event(pile, "10.2 killed between start and answer, seen to run: it runs", "transaction.started", orderNo=order.order_no, connectorId=1, idTag=TAG, offline=False)
    id_ = e["payload"]["transactionId"] if e else ""
    c = await site.get("/commands/11111111-2222-4333-8444-555555555501") or {}
    check("2.6 its command came to one outcome: unknown", (c.get("state"), c.get("outcome")) == ("done", "unknown"), c)
    await site.restart(pile)
    pile.send(0x06, **order.advance(300, 2).beat())
    await site.event(pile, "10.2 after one more restart it is the same", "transaction.meter_values", 2, transactionId=id_)
    pile.offer(order.settlement(5))
    await asyncio.to_thread(site.server.kill)
    await asyncio.to_thread(site.server.start)
    await site.back(pile)
    check("10.4 killed around the settlement, it is answered in the end", holds(await pile.ask_and_see(settle_raw(pile, order, reason=5)), {"result": 0}))
    await stopped(site, pile, "10.4 once", 1, transactionId=id_, energyWh=40)
    await site.transaction(id_, "10.4 closed", state="closed", energy_wh=40)
    del pile.on[0x82]
    again, other = await site.charge(pile, 0)
    check("10.6 the next number is another", again.order_no != order.order_no and other != id_)
    await sequence_has_no_gap(site, pile)


async def swipes(site):
    """11.1: one swipe, one order."""
    pile = await pile_on(site)
    pile.plug(1)
    raw = pile.frame(0x02, 500, card_id=CARD, card_type=0, port=1, card_balance_fen=0, timestamp=0)
    one, two = await pile.ask_and_see(raw), await pile.ask_and_see(raw)
    check("11.1 a swipe is granted, card and port echoed", holds(one, {"card_id": CARD, "account_status": 0, "port": 1}), one)
    check("3.3 its repeat has the same answer", one == two, (one, two))
    answered = next(a.at for a in pile.answers if a.command == 0x02)
    f = await pile.until_asked(0x82)
    check("11.1 a start follows, for that port", f and holds(f.fields, {"charge_command": 1, "port": 1}), f)
    check("11.1 not before the spacing of frames", f and f.at - answered >= 0.018, f and f.at - answered)
    await site.event(pile, "11.1 it is an online order of that card", "transaction.started", idTag=CARD, connectorId=2, offline=False)
    await pile.ask_and_see(raw)
    await pile.time()
    check("3.3 three frames of one swipe are one order", len(pile.asked(0x82)) == 1 and pile.started == 1, pile.asked(0x82))
    await site.quiet(pile, "3.3 and one transaction", "transaction.started", after=1)
    check("5.5 a card that nobody knows is refused", holds(await pile.swipe("0A0B0C0D", 0), {"card_id": "0A0B0C0D", "account_status": 1, "port": 0}))
    check("5.5 a query is answered", holds(await pile.swipe(CARD, 0xFF), {"account_status": 0, "port": 0xFF}))
    await pile.time()
    check("11.1 neither starts anything", len(pile.asked(0x82)) == 1, pile.asked(0x82))
    await site.quiet(pile, "11.1 each swipe is told once", "authorization.requested", after=3)
    pile.plug(0)
    await site.restart(pile)
    pile.counter = 499
    check("2.5 an id means nothing across minutes or lives", holds(await pile.swipe(CARD, 0), {"account_status": 0, "port": 0}))
    check("11.1 another swipe is another order", await pile.until_asked(0x82, 2))


async def no_start(site):
    """2.4: a serial that damaged memory falls back to."""
    pile = Pile(await Line(site.server).connect(), 0x04000000 | 10011001)
    check("2.4 it is answered", await pile.register() and await pile.heartbeat() and await pile.time())
    pile.plug(0)
    await site.refused(pile, "2.4 no order is started at it", START, {"idTag": TAG, "connectorId": 1})
    check("2.4 nothing was sent", pile.asked(0x82) == [])
    await site.event(pile, "2.4 and an alarm is raised", "device.alarm")


def main():
    run(repeats)
    run(orphans)
    run(offline_starts, "authorization.unknown_tag=accept")
    for part in (failed_then_settled, restarts, swipes, no_start):
        run(part)
    report()


main()
