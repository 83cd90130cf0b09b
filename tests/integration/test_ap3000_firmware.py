"""Firmware to piles and hosts, packet by packet (ap3000.md 9): the file at the API, the packets as they come, what the device says to
them, and where a transfer goes on after a loss."""
import asyncio
import random

from ap3000_kit import A, B, HOST_ID, Line, check, pile_on, run, until
from ap3000_peer import SILENT, Host
from harness import report

SEED = 20260301
CHECK_MAGIC = bytes.fromhex("A1A2A3A4A5A6A7A8")
PACKET_S = 1
FIRMWARE_SETS = (f"ap3000.firmware_timeout_s={PACKET_S}",)
GOOD, BAD = {"Downloaded", "Installing", "Installed"}, {"DownloadFailed", "InstallationFailed"}


def image_of(size):
    return random.Random(SEED + size).randbytes(size)


async def upload(site, image, name="pile.bin", version="2.06"):
    r = await asyncio.to_thread(site.server.call, "POST", f"/api/v1/files?name={name}&version={version}", raw=image,
                                headers={"Content-Type": "application/octet-stream"})
    check("a file is uploaded", r.status in (200, 201), (r.status, r.text))
    return (r.data or {}).get("file_id", "")


async def update(site, unit, file_id, **more):
    return await site.command(unit, "UpdateFirmware", {"fileId": file_id, "confirm": True, **more}, wait_s=5)


def packets(unit, command):
    """(total, index, data) of each packet that came, in order."""
    return [(f.fields["total_packets"], f.fields["packet_index"], bytes.fromhex(f.fields["data"])) for f in unit.asked(command) if f.payload]


def image_in(unit, command, chunk, size, row):
    """Whether what came is an image of that size: padded with 0, and perhaps a check packet behind it."""
    got = {i: d for _, i, d in packets(unit, command)}
    total = packets(unit, command)[0][0] if got else 0
    whole = -(-size // chunk)
    check(f"{row}: the packets are counted", total in (whole, whole + 1) and sorted(got) == list(range(1, total + 1)), (total, sorted(got)))
    check(f"{row}: each is as long as it has to be", all(len(d) == chunk for d in got.values()))
    data = b"".join(got[i] for i in sorted(got))
    if total == whole + 1:
        last = got.get(total, b"")
        check(f"{row}: the check packet is one", last[:8] == CHECK_MAGIC and last[8:12] == (sum(data[:size]) & 0xFFFFFFFF).to_bytes(4, "little") and not any(last[15:]), last.hex())
    check(f"{row}: the last packet is filled with 0", not any(data[size:whole * chunk]))
    return data[:size]


async def statuses(site, unit):
    return [e["payload"]["status"] for e in await site.events(unit, "firmware.status_changed")]


async def ended(site, unit, row, words):
    async def there():
        return set(await statuses(site, unit)) & words
    got = await until(there, row, 30)
    if not got:
        print("  told:", await statuses(site, unit), flush=True)
    return got


async def plain(site):
    pile = await pile_on(site)
    for size in (640, 600):
        image = image_of(size)
        pile.commands.clear()
        c = await update(site, pile, await upload(site, image, version=f"2.{size % 100:02d}"))
        check("9 an update is taken on", c.get("outcome") in ("answered", None), c)
        await until(lambda: len(packets(pile, 0xE0)) >= 3, "9 packets come")
        await ended(site, pile, "9 its end is told", GOOD)
        got = packets(pile, 0xE0)
        check("9 one after the other, each once", [i for _, i, _ in got] == list(range(1, len(got) + 1)), [i for _, i, _ in got])
        check(f"9 an image of {size} bytes arrives", image_in(pile, 0xE0, 200, size, f"9 {size} bytes") == image)
        check("2.5 each packet is a frame of its own", len({f.message_id for f in pile.asked(0xE0)}) == len(got))
    words = await statuses(site, pile)
    check("9 nothing failed", not set(words) & BAD and "Downloading" in words, words)


async def again(site):
    """Result 1: the packet that the device names."""
    pile = await pile_on(site)
    image, turn = image_of(1000), []

    def answer(f):
        turn.append(f.fields["packet_index"])
        if turn == [1, 2, 3]:
            return {"result": 1, "packet_index": 2}
        return pile.answer(f)
    pile.on[0xE0] = answer
    await update(site, pile, await upload(site, image))
    await ended(site, pile, "9 in the end it is there", GOOD)
    check("9 result 1 names the packet that comes again", turn[:6] == [1, 2, 3, 2, 3, 4], turn)
    check("9 and the image is whole", image_in(pile, 0xE0, 200, 1000, "9 result 1") == image)


async def silence(site):
    """No answer: up to three retransmissions."""
    pile = await pile_on(site)
    image, turn = image_of(700), []

    def mute_once(f):
        turn.append(f)
        return SILENT if len(turn) == 2 else pile.answer(f)
    pile.on[0xE0] = mute_once
    await update(site, pile, await upload(site, image))
    await ended(site, pile, "9 a packet without an answer comes again", GOOD)
    check("9 the same", turn[1].payload == turn[2].payload, [f.fields["packet_index"] for f in turn])
    check("9 after its time", turn[2].at - turn[1].at > 0.8 * PACKET_S, turn[2].at - turn[1].at)
    deaf = await pile_on(site, B)
    deaf.on[0xE0] = SILENT
    await update(site, deaf, await upload(site, image, "b.bin"))
    await ended(site, deaf, "9 when nothing is answered it fails", BAD)
    check("9 after three retransmissions", len(deaf.asked(0xE0)) == 4 and {i for _, i, _ in packets(deaf, 0xE0)} == {1}, deaf.asked(0xE0))


async def codes(site):
    """2 to 5 end it, and say why."""
    file_id = await upload(site, image_of(500))
    for code in (2, 3, 4, 5):
        pile = await pile_on(site, 0x04200000 + code)
        pile.on[0xE0] = lambda f, code=code: {"result": code if f.fields["packet_index"] == 2 else 0, "packet_index": f.fields["packet_index"]}
        await update(site, pile, file_id)
        await ended(site, pile, f"9 code {code} ends it", BAD)
        await pile.time()
        check(f"9 after code {code} nothing comes", len(pile.asked(0xE0)) == 2, pile.asked(0xE0))
        e = [e["payload"] for e in await site.events(pile, "firmware.status_changed")][-1:]
        check(f"9 code {code} is told", e and e[0].get("reason"), e)


async def losses(site):
    """It goes on where it was: on a new line, and in a new process."""
    for n, lose in enumerate(("line", "kill", "stop")):
        pile = await pile_on(site, 0x04300000 + n)
        image, held = image_of(2000 + n), asyncio.Event()

        def stop_at_four(f, pile=pile, held=held):
            if f.fields["packet_index"] < 4 or held.is_set():
                return pile.answer(f)
            held.set()
            return SILENT
        pile.on[0xE0] = stop_at_four
        await update(site, pile, await upload(site, image, f"{lose}.bin"))
        await asyncio.wait_for(held.wait(), 20)
        if lose == "line":
            await site.back(pile)
        else:
            await site.restart(pile, kill=lose == "kill")
        await pile.heartbeat()
        await ended(site, pile, f"9 {lose}: it comes to its end", GOOD)
        order = [i for _, i, _ in packets(pile, 0xE0)]
        check(f"9 {lose}: what was acknowledged does not come again", order[:5] == [1, 2, 3, 4, 4] and order[4:] == sorted(order[4:]), order)
        check(f"9 {lose}: the image is whole", image_in(pile, 0xE0, 200, 2000 + n, f"9 {lose}") == image)


async def not_now(site):
    """What is refused: while it charges, what cannot be told apart, a file that is none."""
    pile = await pile_on(site)
    file_id = await upload(site, image_of(500))
    await site.charge(pile, 0)
    await site.refused(pile, "9 not while a port charges", "UpdateFirmware", {"fileId": file_id, "confirm": True})
    strange = await pile_on(site, B, device_type=0x31)
    await site.refused(strange, "5.11 not to a type that cannot be told apart", "UpdateFirmware", {"fileId": file_id, "confirm": True})
    idle = await pile_on(site, 0x04400000)
    await site.refused(idle, "a file that is not there", "UpdateFirmware", {"fileId": "11111111-2222-4333-8444-555555555555", "confirm": True}, (400, 404, 422))
    idle.on[0xE0] = SILENT
    first = site.begin(idle, "UpdateFirmware", {"fileId": file_id, "confirm": True})
    await idle.until_asked(0xE0)
    other = await upload(site, image_of(900), "other.bin")
    second = site.begin(idle, "UpdateFirmware", {"fileId": other, "confirm": True})
    await idle.until_asked(0xE0, 3)
    check("9 one transfer at a time", {total for total, _, _ in packets(idle, 0xE0)} == {3} and not second.done(), packets(idle, 0xE0))
    await first, await second
    check("what was refused was not sent", pile.asked(0xE0) == [] and strange.asked(0xE0) == [])


async def host_flow(site):
    """0xFA: trigger, request, packets."""
    host = Host(await Line(site.server).connect(), HOST_ID)
    host.heartbeat()
    await host.time()
    image, turn = image_of(777), []

    def answer(f):
        turn.append(f.fields.get("packet_index", 0))
        if turn == [0]:
            return {"result": 1, "packet_index": 0}     # not ready: to be asked again
        if turn.count(2) == 1 and turn[-1] == 2:
            return {"result": 1, "packet_index": 2}     # the current packet again
        return host.answer(f)
    host.on[0xFA] = answer
    await update(site, host, await upload(site, image, "host.bin", "5.02"))
    await ended(site, host, "9 a host's transfer comes to its end", GOOD)
    check("9 a trigger, once more as it was not ready, then packets; one again", turn == [0, 0, 1, 2, 2, 3, 4], turn)
    check("9 the image is whole", image_in(host, 0xFA, 200, 777, "9 0xFA") == image)
    # asked for anew in the middle of one
    turn.clear()
    host.commands.clear()

    def ask_anew(f):
        turn.append(f.fields.get("packet_index", 0))
        return {"result": 0, "packet_index": 0} if turn == [0, 1, 2] else host.answer(f)
    host.on[0xFA] = ask_anew
    await update(site, host, await upload(site, image_of(650), "host2.bin", "5.03"))
    await until(lambda: turn[-1:] == [4], "9 it comes to its last packet")
    check("9 a request restarts at packet 1", turn == [0, 1, 2, 1, 2, 3, 4], turn)


async def old_flow(site):
    """0xF8: packets of 256 bytes; 0x05 begins anew."""
    pile = await pile_on(site, A, device_type=0x06, firmware=201)
    image, turn = image_of(640), []

    def answer(f):
        turn.append(f.fields["packet_index"])
        if turn == [1, 2]:
            pile.send(0x05, device_type=0x06, firmware=201)
            return SILENT
        return pile.answer(f)
    pile.on[0xF8] = answer
    await update(site, pile, await upload(site, image, "old.bin", "2.02"))
    await ended(site, pile, "9 an old pile's transfer comes to its end", GOOD)
    check("9 0x05 begins it anew", turn[:5] == [1, 2, 1, 2, 3], turn)
    check("1.4 a packet is a frame of 274 bytes", pile.asked(0xF8) and all(len(f.raw) == 274 for f in pile.asked(0xF8)))
    check("9 the image is whole, in three packets", image_in(pile, 0xF8, 256, 640, "9 0xF8") == image and packets(pile, 0xF8)[0][0] == 3)


def main():
    for part in (plain, again, silence, codes, losses, not_now, host_flow, old_flow):
        run(part, *FIRMWARE_SETS)
    report()


main()
