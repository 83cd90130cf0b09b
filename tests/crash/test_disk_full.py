#!/usr/bin/env python3
"""test_disk_full.py   The disk fills up under load, and has space again: stations are told nothing false meanwhile, the API says what is
the matter, the server heals by itself, and nothing is lost; also when it is killed while the disk is full.

The data directory is a small tmpfs, so this needs the right to mount one; without it the test says SKIPPED."""
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crashkit as kit
from crashkit import check
from test_crash import BAD_LINES, Leg

DISK = "96m"  # room for what the run writes, the store's WAL before its checkpoint (32 MB) included; the rest is ballast
STATIONS = 60
FILL_S, HEAL_S, START_S = 30, 5, 30
CHUNK = 1 << 16
SEED = int(os.environ.get("CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))


class DiskFull(Leg):
    bad_lines = tuple(line for line in BAD_LINES if line != "event=consumer.standing")  # the tables are on that disk too

    def __init__(self, folder, disk, rng):
        super().__init__(folder, rng, 0, "log.pending_max_bytes=1048576", stations=STATIONS)
        self.server.data = os.path.join(disk, "data")
        self.ballast = os.path.join(disk, "ballast")
        self.healed = []

    def fill(self):
        with open(self.ballast, "ab", buffering=0) as f:
            size = CHUNK
            while size:
                try:
                    f.write(b"\0" * size)
                except OSError:
                    size //= 2

    async def until(self, row, limit_s, condition):
        """Seconds until condition() is true."""
        began = time.monotonic()
        while time.monotonic() - began < limit_s:
            if await condition():
                check(row, True)
                return time.monotonic() - began
            await asyncio.sleep(0.05)
        check(row, False, (f"not within {limit_s} s", self.server.log(1000)))
        return None

    async def is_refusing(self):
        self.fill()     # what was freed meanwhile too
        status, _ = await self.server.http("GET", "/readyz")
        return status == 503

    async def is_well(self):
        status, _ = await self.server.http("GET", "/readyz")
        return status == 200

    async def fill_up(self):
        if await self.until("a full disk makes /readyz say 503", FILL_S, self.is_refusing) is None:
            return False
        status, answer = await self.server.http("GET", "/api/v1/system")
        check("/system says that the log is full", status == 200 and answer["data"]["log"]["state"] == "full", (status, answer))
        await asyncio.sleep(0.5)    # what was on its way when the disk filled up has arrived
        before, links = self.world.answered, sum(s.link is not None for s in self.world.stations)
        await asyncio.sleep(2)
        kept = [s for s in self.world.stations if s.waiting]
        check("stations wait for their answers while nothing can be written", len(kept) >= STATIONS * 0.9, (len(kept), self.world.answered - before))
        check("stations keep their connections meanwhile", sum(s.link is not None for s in self.world.stations) >= links, links)
        return True

    async def heal(self):
        os.unlink(self.ballast)
        took = await self.until(f"the server heals within {HEAL_S} s of space", HEAL_S, self.is_well)
        if took is not None:
            self.healed.append(took)
        before = self.world.answered

        async def is_answering():
            return self.world.answered > before + STATIONS
        await self.until("stations are answered again", HEAL_S, is_answering)

    async def kills(self):
        if not await self.start():
            return False
        await asyncio.sleep(1)
        for _ in range(2):
            if not await self.fill_up():
                return False
            await self.heal()
            await asyncio.sleep(0.5)
        if not await self.fill_up():
            return False
        self.journal.add("kill")
        self.server.kill()
        await self.start_on_full()
        os.unlink(self.ballast)
        return True

    async def start_on_full(self):
        """Either it says in one sentence why not, or it comes up, and takes nothing."""
        self.fill()
        self.server.spawn()
        loop = asyncio.get_running_loop()
        ended = loop.run_in_executor(None, self.server.process.wait)
        took = await self.server.ready()
        if took is None:
            code = await asyncio.wait_for(ended, START_S)
            last = self.server.log().strip().splitlines()[-1]
            check("a start on a full disk ends with 1 and one sentence that says why", code == 1 and
                  last.startswith("chargeline serve: start: ") and ("full" in last or "commit" in last or "space" in last), (code, last))
            os.close(self.server.ready_fd)
        else:
            check("a start on a full disk does not say that it is ready to write", not await self.is_well())
            self.server.kill()
            await ended


def main():
    print(f"seed {SEED}; again with CRASH_SEED={SEED}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chargeline-full-") as folder:
        disk = os.path.join(folder, "disk")
        os.mkdir(disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", disk], capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            print(f"SKIPPED disk full: no tmpfs can be mounted here ({mounted.stderr.strip()})\n0 passed, 0 failed")
            return
        try:
            leg = DiskFull(folder, disk, random.Random(SEED))
            asyncio.run(leg.run())
            leg.verdict()
        finally:
            if leg.server.process and leg.server.process.poll() is None:
                leg.server.kill()
            subprocess.run(["umount", "-l", disk], check=False)
    print(f"healed in {', '.join(f'{s * 1000:.0f} ms' for s in leg.healed)}", flush=True)
    kit.report()


if __name__ == "__main__":
    main()
