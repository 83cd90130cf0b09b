"""One that floods, lies, forges or says nothing, beside piles that behave: these are answered as before, nothing of theirs changes, and
memory stays bounded (ap3000.md 1.3, 13.4; reliability.md 2.3)."""
import asyncio
import contextlib
import os
import random
import subprocess
import sys
import time

from ap3000_kit import A, B, Line, Pile, check, holds, pile_on, run
from ap3000_codec import UP_LAYOUTS, build
from fleet import rss_kb
from harness import report

HERE = os.path.dirname(os.path.abspath(__file__))
QUIET, ROUNDS = 20, 50
ANSWER_MAX_S = 1            # 13.1: time, registration and heartbeats within a second of their coming, whoever else is there
MEMORY_MAX_KB = 65536       # of one offender
SEED = 20260301
KINDS = ("beats", "deaf", "swipes", "settle", "forged", "lies", "drip", "noise", "sockets")


class Offender:
    def __init__(self, server, kind):
        host, port = server.ap3000.rsplit(":", 1)
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "hostile_pile.py"), host, port, kind], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.process.stdout.readline()
        return self

    def __exit__(self, *exc):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.sent = int(self.process.stdout.readline() or 0)
        self.process.wait(timeout=30)
        self.process.stdout.close()


async def latencies(piles):
    """Of time requests, in rounds: each pile once."""
    took = []

    async def one(pile):
        began = time.monotonic()
        took.append(time.monotonic() - began if await pile.time() else float("inf"))
    for _ in range(ROUNDS):
        await asyncio.gather(*(one(p) for p in piles))
        await asyncio.sleep(0.02)
    return sorted(took)


async def beside(site):
    piles = [Pile(await Line(site.server).connect(), 0x04500000 + i) for i in range(QUIET)]
    await asyncio.gather(*(p.register() for p in piles))
    charging = piles[0]
    order, id_ = await site.charge(charging, 0)
    calm = await latencies(piles)
    print(f"calm: p50 {calm[len(calm) // 2] * 1000:.1f} ms, max {calm[-1] * 1000:.1f}", flush=True)
    for kind in KINDS:
        before = rss_kb(site.server)
        with Offender(site.server, kind) as offender:
            took = await latencies(piles)
            grown = rss_kb(site.server) - before
        print(f"{kind}: p50 {took[len(took) // 2] * 1000:.1f} ms, max {took[-1] * 1000:.1f}; memory {grown:+} kB, {offender.sent} sent", flush=True)
        check(f"{kind} was at work", offender.sent > 0 or kind in ("drip", "sockets"), offender.sent)
        check(f"13.1 beside {kind} all are answered within a second", took[-1] < ANSWER_MAX_S, took[-3:])
        check(f"beside {kind} memory is bounded", grown < MEMORY_MAX_KB, (before, grown))
        charging.beat(0, 60, 1)
    check("nobody quiet is lost", all(p.line.is_open for p in piles))
    check("what runs runs on", holds(await site.get(f"/transactions/{id_}"), {"state": "open"}))
    charging.end(0, 1)
    check("and settles", holds(await charging.settle(), {"result": 0}))
    await site.transaction(id_, "its energy is its own", state="closed", energy_wh=len(KINDS) * 10)
    check("what they did is to be seen", "level=warn" in site.server.log(), site.server.log()[-500:])


async def fuzz(site):
    """Frames of every command with any payload, from an id of its own: the server stays, and serves the next."""
    rng = random.Random(SEED)
    pile = await pile_on(site)
    line, n = await Line(site.server).connect(), 0
    for command in sorted({*UP_LAYOUTS, *range(0, 256, 5)}):
        for size in (0, 1, 2, 5, 28, 29, 40, 242, 490):
            n += 1
            line.write(build(0x04600000 + rng.randrange(4), n, command, rng.randbytes(size)))
            line.write(build(0x04600000 + rng.randrange(4), n, command, bytes([rng.choice((0, 255))]) * size))
        if not line.is_open:
            line = await Line(site.server).connect()
        if not check(f"after {command:#04x} with any payload others are served", await pile.time()):
            return
    check("whoever listens is told frames only", line.junk == 0)
    await site.quiet(pile, "and nothing is of him", "transaction.started", "transaction.stopped", "device.alarm", "device.protocol_error")


async def jumping(site):
    """13.4: the same id on two lines in turns. It cannot be prevented; it is told, and what is the pile's stays right."""
    pile = await pile_on(site)
    order, id_ = await site.charge(pile, 0)
    thief = Pile(await Line(site.server, "89860000000000000000").connect(), A)
    for _ in range(5):
        await thief.heartbeat()
        await pile.heartbeat()
    await site.event(pile, "13.4 an id that jumps between connections raises an alarm", "security.event")
    other = await pile_on(site, B)
    check("an order is not settled in another's name", holds(await other.ask(0x03, **order.advance(60, 9).settlement()), {"result": 0}))
    check("it runs on", holds(await site.get(f"/transactions/{id_}"), {"state": "open"}))


def main():
    run(beside, "logging.level=warn")
    run(fuzz)
    run(jumping)
    report()


main()
