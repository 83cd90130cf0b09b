#!/usr/bin/env python3
"""test_damage.py   A flipped bit, a zeroed sector, a cut or missing file in the log: it is reported with its place, and nothing that is
said of the log is ever wrong: an event is as it was written, or it is named as missing.

DAMAGE_ROUNDS places at random (60), beside the scripted ones; CRASH_SEED repeats a run."""
import asyncio
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import crashkit as kit
from crashkit import check
from checker import FILE_HEAD_SIZE, Segment
from test_crash import Leg

SEED = int(os.environ.get("CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))
ROUNDS = int(os.environ.get("DAMAGE_ROUNDS", "60"))
STATIONS = 40
LOAD_S = 2.5
CUTS = 10
SECTOR, TORN_MAX = 512, 4096
SETS = ("listen.ocpp=127.0.0.1:0", "listen.api=127.0.0.1:0")
MANY_SEGMENTS, ONE_SEGMENT = "log.segment_max_bytes=65536", "log.segment_max_bytes=134217728"


class Load(Leg):
    """Makes a log: of some sealed segments and an open one, after a graceful stop or after a kill."""

    def __init__(self, folder, rng, *sets):
        super().__init__(folder, rng, 0, *sets, stations=STATIONS)

    async def make(self, is_killed):
        if await self.start():
            await asyncio.sleep(LOAD_S)
        if is_killed:
            self.server.kill()
        else:
            self.server.stop()
        await asyncio.sleep(0.05)
        self.journal.close()
        return self.server.data


def tail(data):
    """(events by position in what is printed, what is said on standard error, exit code)."""
    done = subprocess.run([kit.BIN, "tail", "--data", data, "--no-follow", "--since", "1", "--all", "--format", "json"],
                          capture_output=True, text=True, check=False, timeout=120)
    return [line for line in done.stdout.splitlines() if line], done.stderr, done.returncode


def doctor(data):
    done = subprocess.run([kit.BIN, "doctor", "--data", data], capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr, done.returncode


def serve(data):
    """Starts the server as far as it comes; (it was ready, all that it said)."""
    log = os.path.join(os.path.dirname(data), "serve.log")
    r, w = os.pipe()
    command = [kit.BIN, "serve", "--data", data, "--ready-fd", str(w)] + [a for s in SETS for a in ("--set", s)]
    with open(log, "wb") as out:
        process = subprocess.Popen(command, pass_fds=[w], stdout=subprocess.DEVNULL, stderr=out)
    os.close(w)
    with os.fdopen(r) as ready:
        is_ready = bool(ready.readline())
    process.terminate()
    process.wait(60)
    with open(log, encoding="utf-8", errors="replace") as f:
        return is_ready, f.read()


def segments(data):
    folder = os.path.join(data, "log")
    return [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if n.startswith("log-") and n.endswith(".log")]


def batch_place(rng, path):
    """(offset in the file of a byte of a batch's data, position of the batch)."""
    content = Segment(path)
    first, _, _, _, data = rng.choice(list(content.batches()))
    at = content.bytes.find(data)
    return at + rng.randrange(len(data)), first


def flip(path, at, rng):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << rng.randrange(8)]))


class Damage:
    def __init__(self, folder, rng, data):
        self.folder, self.rng, self.whole = folder, rng, data
        self.events, said, code = tail(data)
        self.known = set(self.events)
        check("the log is whole before it is damaged", code == 0 and len(self.events) > 1000 and not said.strip(), (code, len(self.events), said[-500:]))
        check("there are sealed segments", len(segments(data)) > 2, segments(data))

    def copy(self):
        data = os.path.join(self.folder, "copy", "data")
        shutil.rmtree(os.path.dirname(data), ignore_errors=True)
        shutil.copytree(self.whole, data)
        return data

    def never_wrong(self, row, data):
        """What tail says of it, and whether all is there; a failure if anything is said that was not."""
        events, said, code = tail(data)
        wrong = [e for e in events if e not in self.known]
        check(f"{row}: no event is other than it was written", not wrong, wrong[:2])
        check(f"{row}: events come in their order", [e for e in self.events if e in set(events)] == events)
        return len(events) == len(self.events), said, code

    def reported(self, row, data, places):
        """It is said where: by tail and by doctor, and by the server as soon as it reads there."""
        is_whole, said, code = self.never_wrong(row, data)
        check(f"{row}: tail names the place and ends with 1", code == 1 and any(p in said for p in places), (code, said[-600:]))
        check(f"{row}: not more is lost than what is damaged", not is_whole)
        text, code = doctor(data)
        check(f"{row}: doctor names the place and ends with 1", code == 1 and any(p in text for p in places), (code, text[-800:]))

    def scripted(self):
        for which, index in (("sealed", 1), ("last", -1)):
            row = f"a flipped bit in a batch of the {which} segment"
            data = self.copy()
            path = segments(data)[index]
            at, first = batch_place(self.rng, path)
            flip(path, at, self.rng)
            self.reported(row, data, [f"batch {first}"])
            is_ready, said = serve(data)
            check(f"{row}: the server goes on, or says why not", is_ready or (os.path.basename(path) in said), said[-600:])
            self.after_serve(row, data)
        row = "a sealed segment that is missing"
        data = self.copy()
        path = segments(data)[1]
        os.unlink(path)
        self.reported(row, data, [os.path.basename(path), "missing", os.path.basename(segments(data)[0])])
        row = "the last segment, missing"
        data = self.copy()
        os.unlink(segments(data)[-1])
        is_ready, said = serve(data)
        check(f"{row}: the server does not start, and says what is missing", not is_ready and "missing" in said, (is_ready, said[-600:]))
        row = "a sealed segment that is cut"
        data = self.copy()
        path = segments(data)[1]
        os.truncate(path, os.path.getsize(path) // 2)
        self.reported(row, data, [os.path.basename(path)])
        row = "two segments that changed places"
        data = self.copy()
        a, b = segments(data)[:2]
        os.rename(a, a + ".x")
        os.rename(b, a)
        os.rename(a + ".x", b)
        self.reported(row, data, [os.path.basename(a), os.path.basename(b)])

    def tables_ahead(self):
        """The end of the log is gone, as if the disk had lied: its positions must not be given to other events."""
        data = self.copy()
        os.truncate(segments(data)[-1], FILE_HEAD_SIZE)
        os.unlink(os.path.join(data, "log", "log.durable"))
        is_ready, said = serve(data)
        text, code = doctor(data)
        check("tables that have seen more than the log holds: the server does not start, and says so",
              not is_ready and "the log ends at" in said, (is_ready, said[-500:]))
        check("tables that have seen more than the log holds: doctor says so", code == 1 and "the log ends at" in text, (code, text[-500:]))

    def after_serve(self, row, data):
        """What was there before the server ran on damaged files is not other than it was."""
        events, _, _ = tail(data)
        before = [e for e in events if json.loads(e)["timestamp"] <= json.loads(self.events[-1])["timestamp"]]
        check(f"{row}: after a start on it no event is other than it was", all(e in self.known for e in before),
              [e for e in before if e not in self.known][:2])

    def anywhere(self):
        """A place that nobody chose: what reads the log is right, or says that something is wrong."""
        silent = 0
        for i in range(ROUNDS):
            data = self.copy()
            path = self.rng.choice(segments(data))
            size = os.path.getsize(path)
            at = self.rng.randrange(size)
            if i % 3 == 2:
                at -= at % SECTOR
                row = f"sector {at // SECTOR} of {os.path.basename(path)} zeroed"
                with open(path, "r+b") as f:
                    f.seek(at)
                    f.write(b"\0" * min(SECTOR, size - at))
            else:
                row = f"a bit of byte {at} of {os.path.basename(path)} flipped"
                flip(path, at, self.rng)
            is_whole, said, code = self.never_wrong(row, data)
            check(f"{row}: what is not there is said", is_whole or (code == 1 and said.strip()), (code, said[-300:]))
            silent += is_whole
        print(f"{ROUNDS} places at random: {ROUNDS - silent} were reported, {silent} held nothing that is read", flush=True)


def cut_end(folder, rng, data):
    """What is torn off the end of what a kill left was never told durable, unless the disk lies: log.durable says so. Without that, the
    tables are ahead."""
    whole, _, code = tail(data)
    check("what a kill left is read", code == 0 and len(whole) > 100, (code, len(whole)))
    copy = os.path.join(folder, "copy", "data")
    shutil.copytree(data, copy)
    os.unlink(os.path.join(copy, "log", "log.durable"))
    more, _, code = tail(copy)  # and what was on its way: without log.durable a last batch that is whole counts
    check("also without log.durable", code == 0 and more[:len(whole)] == whole, (code, len(whole), len(more)))
    known = set(more)
    end = Segment(segments(data)[-1]).end()
    for i in range(CUTS):
        shutil.rmtree(os.path.dirname(copy), ignore_errors=True)
        shutil.copytree(data, copy)
        last = segments(copy)[-1]
        size = min(end, os.path.getsize(last))
        cut = rng.randrange(1, max(2, min(TORN_MAX, size - FILE_HEAD_SIZE))) if i < CUTS / 2 else rng.randrange(1, max(2, size - FILE_HEAD_SIZE))
        row = f"{cut} of {size} bytes of the last segment torn off"
        os.truncate(last, size - cut)
        if i % 2 == 0:
            os.unlink(os.path.join(copy, "log", "log.durable"))
            row += ", and log.durable lost"
        events, said, code = tail(copy)
        check(f"{row}: no event is other than it was written", all(e in known for e in events), [e for e in events if e not in known][:2])
        is_ready, said = serve(copy)
        text, code = doctor(copy)
        check(f"{row}: the server starts, or says what is lost", is_ready or "chargeline serve: start: " in said, said[-500:])
        check(f"{row}: where it starts, log and tables agree again", not is_ready or code == 0, text[-600:])


def main():
    print(f"seed {SEED}; again with CRASH_SEED={SEED}", flush=True)
    rng = random.Random(SEED)
    for is_killed in (False, True):
        with tempfile.TemporaryDirectory(prefix="chargeline-damage-") as folder:
            data = asyncio.run(Load(folder, rng, ONE_SEGMENT if is_killed else MANY_SEGMENTS).make(is_killed))
            if is_killed:
                cut_end(folder, rng, data)
            else:
                damage = Damage(folder, rng, data)
                damage.scripted()
                damage.tables_ahead()
                damage.anywhere()
    kit.report()


if __name__ == "__main__":
    main()
