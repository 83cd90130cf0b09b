#!/usr/bin/env python3
"""test_crash.py   SIGKILL at random instants under load, again and again; then checker.py compares what was told with what is there.

CRASH_ROUNDS kills (100); CRASH_STATIONS (200); CRASH_SEED repeats a run's choices; CRASH_LIFE_MS (1900), the longest life of a server
from ready to the kill; CRASH_KEEP=1 leaves the data behind.
A long run is cut into legs of LEG_ROUNDS, each on a data directory of its own, since the checker holds a leg in memory."""
import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crashkit as kit
from crashkit import check

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "100"))
STATIONS = int(os.environ.get("CRASH_STATIONS", "200"))
SEED = int(os.environ.get("CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))
THINK_S = float(os.environ.get("CRASH_THINK_MS", "80")) / 1000
LEG_ROUNDS = 250
LIFE_S = (0.1, int(os.environ.get("CRASH_LIFE_MS", "1900")) / 1000)
EARLY_KILLS = 0.15           # killed while it starts or recovers
GRACEFUL = 0.08              # asked to stop instead, under the same load
EARLY_S = 0.2
SETTLE_S = 60
COMMANDS_A_SECOND = 25
READY_P99_S = 5
STOP_S = 10
HERE = os.path.dirname(os.path.abspath(__file__))
BAD_LINES = ("event=log.damaged", "event=station.unreadable", "event=store.unreadable", "event=consumer.standing",
             "event=event.dead_letter", "event=event.parked")


class Commands:
    """Somebody at the API: asks, asks again about what got no answer, and about what was open."""

    def __init__(self, world):
        self.world, self.open = world, []
        self.rng = world.rng

    def make(self):
        live = [s for s in self.world.stations if s.link is not None and s.link.is_open and s.has_booted]
        if not live:
            return None
        s = self.rng.choice(live)
        charging = [p for p in s.plugs if p.state == "on" and p.transaction is not None]
        kind = self.rng.randrange(3)
        if kind == 0 and charging:
            action, payload = "RemoteStopTransaction", {"transactionId": self.rng.choice(charging).transaction}
        elif kind == 1:
            action, payload = "TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}
        else:
            action, payload = "GetConfiguration", {"key": ["HeartbeatInterval"]}
        id_ = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        self.world.journal.add("command.ask", id=id_, s=s.id, a=action, p=payload)
        return {"id": id_, "station": s.id, "body": {"action": action, "payload": payload, "command_id": id_}}

    async def ask(self, c):
        c["body"]["wait_s"] = self.rng.choice((0, 0, 1))
        status, answer = await self.world.server.http("POST", f"/api/v1/charge-points/{c['station']}/commands", c["body"])
        if status == 0:
            self.open.append(c)     # nobody knows whether it was taken on: the same id again
            return
        self.tell(c, status, answer)

    async def look(self, c):
        status, answer = await self.world.server.http("GET", f"/api/v1/commands/{c['id']}")
        if status:
            self.tell(c, status, answer)

    def tell(self, c, status, answer):
        data = answer.get("data") or {} if isinstance(answer, dict) else {}
        self.world.journal.add("command.told", id=c["id"], code=status, d={k: data.get(k) for k in ("state", "outcome")},
                               e=answer.get("code") if isinstance(answer, dict) else None)

    async def run(self):
        asked = []
        while True:
            await asyncio.sleep(1 / COMMANDS_A_SECOND)
            if not (self.world.server.is_ready and self.world.server.has_api):
                continue
            if self.open and self.rng.random() < 0.5:
                c = self.open.pop(0)
            else:
                c = self.make()
            if c is None:
                continue
            asyncio.ensure_future(self.ask(c))
            asked.append(c)
            if len(asked) > 10:
                asyncio.ensure_future(self.look(asked.pop(self.rng.randrange(len(asked)))))


def p(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * q))] if values else float("nan")


class Leg:
    bad_lines, commands, checker = BAD_LINES, Commands, "checker.py"

    def __init__(self, folder, rng, rounds, *sets, stations=STATIONS):
        self.folder, self.rng, self.rounds = folder, rng, rounds
        self.server = kit.Server(folder, rng, "authorization.unknown_tag=accept", "authorization.max_concurrent=0",
                                 "log.segment_max_bytes=524288", "commands.expires_in_s=5", *sets)
        self.journal = kit.Journal(os.path.join(folder, "journal"))
        self.world = self.populate(stations)
        self.ready_s, self.boot_s, self.early = [], [], 0

    def populate(self, stations):
        return kit.World(self.server, self.journal, self.rng, stations, THINK_S)

    async def start(self):
        self.server.spawn()
        took = await self.server.ready()
        if check("the server starts on what a kill left", took is not None, self.server.log()):
            self.ready_s.append(took)
            self.world.boot_wait = self.server.started
            self.world.come_back()
        return took is not None

    async def one_round(self):
        if self.rng.random() < EARLY_KILLS:
            self.server.spawn()
            await asyncio.sleep(self.rng.uniform(0, EARLY_S))
            self.early += 1
        else:
            if not await self.start():
                return False
            left = self.rng.uniform(*LIFE_S)
            while left > 0:
                await asyncio.sleep(min(left, 0.1))
                left -= 0.1
                self.world.disturb()
            if self.rng.random() < GRACEFUL:
                await self.stop_under_load()
                return True
            await self.moment()
        check("the server lives until it is killed", self.server.process.poll() is None, (self.server.process.poll(), self.server.log()))
        self.journal.add("kill")
        self.server.kill()
        if self.world.first_boot is not None:
            self.boot_s.append(self.world.first_boot)
            self.world.first_boot = None
        await asyncio.sleep(0.02)
        return True

    async def moment(self):
        """What the kill waits for, beyond a random time."""

    async def settle(self):
        """Everybody comes back and is answered; half of them end their transactions; what was answered is said once more."""
        if not self.server.is_ready and not await self.start():
            return
        end = time.monotonic() + SETTLE_S
        for s in self.world.stations[::2]:
            s.is_finishing = True
        await asyncio.sleep(2)
        for s in self.world.stations:
            s.again.extend(s.answered)
            s.pump()
        while time.monotonic() < end and not all(s.is_idle() for s in self.world.stations):
            self.world.think_s = 0.3    # fewer new ones, so that a moment comes in which none waits
            for s in self.world.stations:
                s.is_finishing = True
            await asyncio.sleep(0.1)
        check("every station is answered in the end", all(s.is_idle() for s in self.world.stations),
              [(s.id, [m.action for _, m in s.waiting], len(s.again)) for s in self.world.stations if not s.is_idle()][:5])

    async def stop(self):
        if self.server.process.poll() is None:
            code, took = await asyncio.get_running_loop().run_in_executor(None, self.server.stop)
            check("the server stops when asked", code == 0 and took < STOP_S, (code, took, self.server.log()))

    async def stop_under_load(self):
        self.world.closes.clear()
        await self.stop()
        await asyncio.sleep(0.05)
        check("a server that stops closes its stations with 1001, those that were replaced with 4001",
              self.world.closes[1001] > 0 and set(self.world.closes) <= {1001, 4001}, dict(self.world.closes))

    async def kills(self):
        """False: it cannot go on."""
        for _ in range(self.rounds):
            if not await self.one_round():
                return False
        return True

    async def run(self):
        commands = self.commands(self.world)
        asking = asyncio.ensure_future(commands.run())
        alive = await self.kills()
        if alive:
            await self.settle()
        asking.cancel()
        if alive:
            await self.stop()
            # What ended with the stop itself is in the log; the tables have it after the next start.
            self.server.spawn()
            check("the server starts after a graceful stop", await self.server.ready() is not None, self.server.log())
            await self.stop()
        await asyncio.sleep(0.1)
        self.journal.close()
        check("no answer is out of order or unasked", not self.world.wrong, self.world.wrong[:3])
        self.read_log()

    def read_log(self):
        text = self.server.log(1 << 30)
        for bad in self.bad_lines:
            check(f"the server never says {bad}", bad not in text, [line for line in text.splitlines() if bad in line][:2])

    def tail(self):
        path = os.path.join(self.folder, "tail")
        with open(path, "w", encoding="utf-8") as out:
            done = subprocess.run([kit.BIN, "tail", "--data", self.server.data, "--no-follow", "--since", "1", "--format", "json"],
                                  stdout=out, stderr=subprocess.PIPE, text=True, check=False)
        check("tail reads the log that many kills left", done.returncode == 0, done.stderr[-500:])
        return path

    def verdict(self):
        tail = [self.tail()] if self.server.has_api else []
        done = subprocess.run([sys.executable, os.path.join(HERE, self.checker), self.server.data, os.path.join(self.folder, "journal"), *tail],
                              capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
        print("\n".join(lines[:-1]), flush=True)
        try:
            good, bad = (int(word.split()[0]) for word in lines[-1].split(", "))
        except (IndexError, ValueError):
            check("the checker comes to an end", False, done.stdout[-1000:] + done.stderr[-2000:])
            return
        kit.passed += good
        kit.failed += bad


def main():
    print(f"seed {SEED}: {ROUNDS} kills, {STATIONS} stations; again with CRASH_SEED={SEED}", flush=True)
    rng = random.Random(SEED)
    ready, boots, early, answered, began, left = [], [], 0, 0, time.monotonic(), ROUNDS
    keep = os.environ.get("CRASH_KEEP") == "1"
    while left > 0 and kit.failed == 0:
        folder = tempfile.mkdtemp(prefix="chargeline-crash-")
        try:
            leg = Leg(folder, rng, min(left, LEG_ROUNDS))
            asyncio.run(leg.run())
            leg.verdict()
            if not leg.server.has_api:
                print("SKIPPED commands and tail: this server has no API", flush=True)
        finally:
            if keep:
                print(f"kept: {folder}", flush=True)
            else:
                shutil.rmtree(folder, ignore_errors=True)
        left -= leg.rounds
        ready += leg.ready_s
        boots += leg.boot_s
        early += leg.early
        answered += leg.world.answered
    took = time.monotonic() - began
    print(f"{ROUNDS - max(left, 0)} kills ({early} while starting) in {took:.0f} s; {answered} messages acknowledged; ready again in "
          f"{p(ready, .5) * 1000:.0f} ms p50, {p(ready, .99) * 1000:.0f} p99, {p(ready, 1) * 1000:.0f} max; first boot accepted after "
          f"{p(boots, .5) * 1000:.0f} ms p50, {p(boots, 1) * 1000:.0f} max", flush=True)
    check("a server is ready again soon", p(ready, .99) < READY_P99_S, p(ready, .99))
    kit.report()


if __name__ == "__main__":
    main()
