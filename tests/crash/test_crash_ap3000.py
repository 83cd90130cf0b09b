#!/usr/bin/env python3
"""test_crash_ap3000.py   as test_crash.py, with piles: settlements, card swipes and commands while the server is killed at random
instants; then pile_checker.py compares what the piles were told with what is there.

CRASH_ROUNDS kills (40); CRASH_PILES (60); CRASH_SEED repeats a run's choices; CRASH_KEEP=1 leaves the data behind."""
import asyncio
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crashkit as kit
import test_crash
from crashkit import check
from pile_world import PileWorld

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "40"))
PILES = int(os.environ.get("CRASH_PILES", "60"))
SEED = int(os.environ.get("CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))
SETS = ("ap3000.answer_timeout_s=1", "ap3000.frame_spacing_ms=5")
SETTLE_S = 60
MOMENT_S = 1
OUTCOMES_S = 20


class Commands(test_crash.Commands):
    """At random: find a pile, read its parameters, stop what it charges."""

    def make(self):
        live = [p for p in self.world.stations if p.line.is_open and p.has_registered]
        if not live or self.world.is_over:
            return None
        p = self.rng.choice(live)
        running = [o for o in p.orders.values() if o.start_mode == 1]
        choices = [("Ap3000.Find", {"seconds": 1}), ("Ap3000.GetParameters1", {}), ("TriggerMessage", {"requestedMessage": "Heartbeat"}),
                   ("RemoteStartTransaction", {"idTag": f"R{self.rng.getrandbits(32):08X}", "connectorId": 1})]
        choices += [("Ap3000.Stop", {"port": o.port, "order_no": o.order_no}) for o in running]
        action, payload = self.rng.choice(choices)
        id_ = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        self.world.journal.add("command.ask", id=id_, s=p.charge_point, a=action, p=payload)
        return {"id": id_, "station": p.charge_point, "body": {"action": action, "payload": payload, "command_id": id_}}


class Leg(test_crash.Leg):
    commands, checker = Commands, "pile_checker.py"

    def populate(self, stations):
        return PileWorld(self.server, self.journal, self.rng, stations, test_crash.THINK_S)

    async def moment(self):
        """Every other kill falls right behind an answer to a settlement: the server stands still from the moment that a pile has it."""
        if self.rng.random() < 0.5:
            return
        stands_still = asyncio.Event()
        self.world.on_told = lambda: (self.server.process.send_signal(signal.SIGSTOP), stands_still.set())
        try:
            await asyncio.wait_for(stands_still.wait(), MOMENT_S)
        except asyncio.TimeoutError:
            pass
        self.world.on_told = None

    async def settle(self):
        """The piles end what runs, and offer what they keep until it is answered; then all of it is said once more."""
        if not self.server.is_ready and not await self.start():
            return
        self.world.is_over = True
        for p in self.world.stations:
            p.is_finishing = True
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end and not all(p.is_idle() for p in self.world.stations):
            await asyncio.sleep(0.1)
        check("every settlement is answered in the end", all(p.is_idle() for p in self.world.stations),
              [(p.charge_point, len(p.eeprom), list(p.orders), p.line.is_open) for p in self.world.stations if not p.is_idle()][:5])
        for p in self.world.stations:
            p.say_again()
        await asyncio.gather(*(p.time() for p in self.world.stations))
        await self.outcomes()
        self.world.stop()

    async def outcomes(self):
        """Until no command is open."""
        end = time.monotonic() + OUTCOMES_S
        while time.monotonic() < end:
            open_ = 0
            for p in self.world.stations:
                status, answer = await self.server.http("GET", f"/api/v1/charge-points/{p.charge_point}/commands?state=sent&page_size=1")
                also, queued = await self.server.http("GET", f"/api/v1/charge-points/{p.charge_point}/commands?state=queued&page_size=1")
                open_ += (answer["data"]["total"] if status == 200 else 1) + (queued["data"]["total"] if also == 200 else 0)
            if open_ == 0:
                return
            await asyncio.sleep(0.2)
        check("every command comes to an end", False, open_)

    async def stop_under_load(self):
        await self.stop()
        await asyncio.sleep(0.05)
        check("a server that stops closes its lines", not any(line.is_open for line in self.world.lines))


def main():
    print(f"seed {SEED}: {ROUNDS} kills, {PILES} piles; again with CRASH_SEED={SEED}", flush=True)
    folder, began = tempfile.mkdtemp(prefix="chargeline-crash-"), time.monotonic()
    try:
        leg = Leg(folder, random.Random(SEED), ROUNDS, *SETS, stations=PILES)
        asyncio.run(leg.run())
        leg.verdict()
    finally:
        if os.environ.get("CRASH_KEEP") == "1":
            print(f"kept: {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{ROUNDS} kills ({leg.early} while starting) in {time.monotonic() - began:.0f} s; {leg.world.answered} swipes and settlements "
          f"acknowledged; ready again in {test_crash.p(leg.ready_s, .5) * 1000:.0f} ms p50, {test_crash.p(leg.ready_s, 1) * 1000:.0f} max", flush=True)
    kit.report()


if __name__ == "__main__":
    main()
