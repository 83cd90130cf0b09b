"""The simulated piles: against a listener of a few lines, which takes the byte stream apart as ap3000.md 1.3 says and shares no
code with the program, and against the real server. Prints 'N passed, N failed'."""
import collections
import contextlib
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import harness
from harness import BIN, Server, check, until

LOAD_LINE = re.compile(r"^calls=(\d+) calls_per_s=(\d+) p50_ms=[\d.]+ p99_ms=[\d.]+ max_ms=[\d.]+ errors=(\d+) "
                       r"stations=(\d+) of=(\d+) seconds=[\d.]+$")
ANSWERED = {0x01, 0x20, 0x21}
QUIRK_S = 4        # at least; on a busy machine until enough was told
QUIRK_MOST_S = 60
REAL_QUIRK_S = 12  # the first rider comes within 8


def frame(physical_id, message_id, command, payload=b""):
    body = b"DNY" + struct.pack("<HIHB", len(payload) + 9, physical_id, message_id, command) + payload
    return body + struct.pack("<H", sum(body) & 0xFFFF)


class Line:
    """One connection: its bytes become units, each frame is answered."""

    def __init__(self, listener, sock):
        self.listener, self.sock, self.kept, self.has_frame, self.orders = listener, sock, b"", False, 0
        self.first = None  # what came first: "iccid", a command

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            pass

    def step(self):
        """Takes one unit or one byte off the front; False: more is needed."""
        b = self.kept
        if b.startswith(b"DNY"[:len(b)]):
            if len(b) < 5:
                return False
            size = struct.unpack_from("<H", b, 3)[0] + 5
            if 14 <= size <= 517:
                if len(b) < size:
                    return False
                if sum(b[:size - 2]) & 0xFFFF == struct.unpack_from("<H", b, size - 2)[0]:
                    self.kept, self.has_frame = b[size:], True
                    self.on_frame(*struct.unpack_from("<IHB", b, 5), b[12:size - 2])
                    return True
        elif b.startswith(b"link"[:len(b)]):
            if len(b) < 4:
                return False
            self.kept = b[4:]
            self.listener.count["link"] += 1
            return True
        elif not self.has_frame and b.startswith(b"89"[:len(b)]) and re.fullmatch(rb"[0-9A-Fa-f]*", b[:20]):
            if len(b) < 20:
                return False
            self.kept, self.first = b[20:], "iccid"
            self.listener.iccids.add(b[:20])
            return True
        self.kept = b[1:]
        self.listener.count["dropped"] += 1
        return True

    def on_frame(self, physical_id, message_id, command, payload):
        known = self.listener
        self.first = self.first or command
        with known.lock:
            known.count[command] += 1
            known.ids.add(physical_id)
            known.sizes[command].add(len(payload))
            known.repeats[(physical_id, command, message_id, payload)] += 1
        if command in ANSWERED:
            self.send(frame(physical_id, message_id, command, b"\0"))
        elif command in (0x12, 0x22):
            self.send(frame(physical_id, message_id, command, struct.pack("<I", int(time.time()))))
        elif command == 0x04:
            self.send(frame(physical_id, message_id, command, payload[:1] + b"\0"))
        elif command == 0x03:
            with known.lock:
                known.settled[(physical_id, payload[13:29])] += 1
                known.reasons[payload[12]] += 1
            self.send(frame(physical_id, message_id, command, b"\0"))
        elif command == 0x02:
            self.send(frame(physical_id, message_id, command, payload[:4] + b"\0\0" + struct.pack("<I", 5000) + payload[5:6]))
            if payload[5] != 0xFF:
                self.start(physical_id, payload[5])
        elif command == 0x82:
            with known.lock:
                known.results[payload[0]] += 1
                if payload[0] == 0 and len(payload) >= 17:
                    known.started.add((physical_id, payload[1:17]))

    def start(self, physical_id, port):
        with self.listener.lock:
            self.listener.number += 1
            number = self.listener.number
        order = b"\xA5" + struct.pack(">Q", number) + b"\0" * 7
        payload = struct.pack("<BIBBH", 0, 5000, port, 1, 0) + order + bytes(8) + b"\x02" + bytes(4)
        self.send(frame(physical_id, number & 0x7FFF, 0x82, payload))

    def run(self):
        with self.sock:
            while True:
                try:
                    data = self.sock.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                self.listener.reads += 1
                self.kept += data
                while self.kept and self.step():
                    pass


class Listener:
    def __init__(self):
        self.lock, self.number, self.reads = threading.Lock(), 0, 0
        self.count, self.settled, self.results, self.reasons = (collections.Counter() for _ in range(4))
        self.repeats, self.sizes = collections.Counter(), collections.defaultdict(set)
        self.ids, self.iccids, self.started, self.lines = set(), set(), set(), []

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.socket.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            self.lines.append(Line(self, sock))
            threading.Thread(target=self.lines[-1].run, daemon=True).start()


def sim(address, *arguments):
    return subprocess.Popen([BIN, "sim", "--protocol", "ap3000", "--address", address, *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def run(address, *arguments):
    process = sim(address, *arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def demo():
    """Hosts and their slaves at high speed, until enough was told; then Ctrl-C."""
    with Listener() as listener:
        process = sim(listener.address, "--demo", "--stations", "2", "--slaves", "3", "--speed", "2000")
        lines = []
        for line in process.stdout:
            lines.append(line)
            if sum("the server has the settlement" in x for x in lines) >= 5:
                break
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=60)
        text = "".join(lines) + rest
        check("Ctrl-C ends the demo with 0", process.returncode == 0, (process.returncode, err))
        for words in ("registered, heartbeat every 180 s", "plugs in", "is swiped", "the card may charge", "charges (", " Wh"):
            check(f"the demo tells: {words}", words in text, text[-2000:])
        check("the last line sums up, and nobody charges any more", " 2 of 2 lines online, 0 charging, " in rest.splitlines()[-1],
              rest[-500:])
        check("nothing was left unanswered", " 0 refused or unanswered" in rest.splitlines()[-1], rest[-500:])
        begun = sum(1 for x in text.splitlines() if ": charges (" in x)
        ended = sum(1 for x in text.splitlines() if ": ends (" in x)
        check("what began has ended", begun == ended and begun >= 5, (begun, ended))
        check("and is settled, each once", len(listener.settled) == begun and set(listener.settled.values()) == {1},
              (begun, listener.settled))
        check("orders of the server among them", listener.started and listener.started <= set(listener.settled),
              (len(listener.started), len(listener.settled)))
        check("two card numbers, first on each connection",
              len(listener.iccids) == 2 and all(x.first == "iccid" for x in listener.lines), listener.iccids)
        hosts = {i for i in listener.ids if i >> 24 == 0x09}
        check("two hosts and six slaves", len(hosts) == 2 and len(listener.ids) == 8, listener.ids)
        check("they say what hosts say", listener.count[0x11] == 2 and listener.count[0x12] >= 2, listener.count)
        check("no byte is of no unit", listener.count["dropped"] == 0, listener.count)


def idle():
    """Nobody comes by himself; what waits can be started, and what is not there cannot."""
    with Listener() as listener:
        process = sim(listener.address, "--idle", "--stations", "1", "--ports", "4", "--speed", "600", "--first", "15000000")
        until(lambda: listener.count[0x21] and listener.count[0x22], "a pile is in")
        line = listener.lines[0]
        for port in (0, 3, 0xFF):
            before = sum(listener.results.values())
            line.start(0x05E4E1C0, port)
            until(lambda: sum(listener.results.values()) > before, f"port {port}: an answer")
        check("one started, one has no charger, the pile chose another", listener.results == {0: 2, 1: 1}, listener.results)
        until(lambda: listener.count[0x06] >= 2, "charging heartbeats come, 5 s apart at this speed")
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=30)
        check("both orders are settled at the end", code == 0 and set(listener.settled) == listener.started and
              len(listener.started) == 2, (code, listener.settled))
        check("as unplugged", listener.reasons == {5: 2}, listener.reasons)


def card_count(name):
    return 0 if "no-iccid" in name else 3


def beat_of(name):
    return 0x01 if "legacy" in name else 0x20


def is_enough(name, listener):
    count = listener.count
    enough = {"garbage": count["dropped"] > 0, "bad-checksum": count["dropped"] > 10, "cabinet": count[0x41] >= 3, "meter": count[0x17] >= 3,
              "short-frames": listener.sizes[0x03] and listener.sizes[0x20], "split": listener.reads > 5 * sum(count.values())}
    return (len(listener.ids) == 3 and len(listener.iccids) >= card_count(name) and count[beat_of(name)] >= 3 and enough.get(name, True))


def quirks():
    code, out, _ = run("127.0.0.1:1", "--quirk", "list")
    names = [line.split()[0] for line in out.splitlines()]
    check("the quirks are listed", code == 0 and len(names) == 15, out)
    with contextlib.ExitStack() as stack:
        started, began = [], time.monotonic()
        for name in names + [" ".join(names)]:
            listener = stack.enter_context(Listener())
            words = [w for n in name.split() for w in ("--quirk", n)]
            started.append((name, listener, sim(listener.address, "--stations", "3", "--ports", "4", "--speed", "3000", "--demo",
                                                "--duration", str(QUIRK_MOST_S), *words)))
        until(lambda: time.monotonic() > began + QUIRK_S and all(is_enough(n, x) for n, x, _ in started),
              "all of them say what they have to say", QUIRK_MOST_S)
        for _, _, process in started:
            process.send_signal(signal.SIGTERM)
        for name, listener, process in started:
            out, err = process.communicate(timeout=120)
            code, count = process.returncode, listener.count
            check(f"{name}: ends well", code == 0, (code, err, out[-500:]))
            check(f"{name}: all are in", len(listener.ids) == 3, listener.ids)
            check(f"{name}: card numbers", len(listener.iccids) == card_count(name), listener.iccids)
            wanted = beat_of(name)
            check(f"{name}: beats", count[wanted] >= (1 if "bad" in name else 3) and not ("legacy" in name and count[0x20]), count)
            if name == "garbage":
                check("bytes of no unit", count["dropped"] > 0, count)
            if name == "bad-checksum":
                check("frames that are no frames", count["dropped"] > 10, count)
            if name == "repeat":
                check("everything twice", set(listener.repeats.values()) <= {2, 4}, listener.repeats)
            if name == "split":
                check("many reads a frame", listener.reads > 5 * sum(count.values()), (listener.reads, count))
            if name == "cabinet":
                check("its own heartbeat, and ends of charges", count[0x41] >= 3 and count[0x43] >= count[0x03] - 3, count)
            if name == "meter":
                check("each has a meter", count[0x17] == 3 and count[0x3B] == 0, count)
            if name == "short-frames":
                check("short registration, settlement", listener.sizes[0x20] == {6} and listener.sizes[0x03] <= {29}, listener.sizes)


def load():
    for mode, stations in ((("--load", "closed"), 20), (("--load", "open", "--rate", "200"), 20), (("--heartbeats",), 5)):
        with Listener() as listener:
            code, out, err = run(listener.address, *mode, "--stations", str(stations), "--duration", "1")
            m = LOAD_LINE.match(out)
            check(f"{mode} prints its figures", code == 0 and m, (code, out, err))
            if not m:
                continue
            check(f"{mode}: answers, no errors, all devices", int(m[1]) > 50 and m[3] == "0" and m[4] == m[5] == str(stations), out)
            answered = listener.count[0x21] + listener.count[0x03]
            check(f"{mode}: as many as the listener counts", abs(int(m[1]) - answered) <= stations, (out, listener.count))
            check(f"{mode}: each settlement is of another order", set(listener.settled.values()) <= {1}, listener.settled)
            if "open" in mode:
                check("the open loop is no faster than its rate", int(m[2]) <= 250, out)
            if "--heartbeats" in mode:
                check("heartbeats only", listener.count[0x03] == 0 and not listener.settled, listener.count)
            else:
                check(f"{mode}: 0x21, 0x06, 0x03 in turn", listener.count[0x06] == listener.count[0x03] > 20, listener.count)


def nobody_there():
    code, out, _ = run("127.0.0.1:1", "--stations", "2", "--duration", "2", "--demo")
    check("without a server they try again", code == 0 and "connection lost, tries again" in out, out[-500:])
    for words, part in ((("--address", "x"), "--address"), (("--quirk", "deaf"), "--quirk"), (("--ports", "0"), "--ports")):
        code, out, err = run("127.0.0.1:1", *words)
        check(f"{words}: status 2 and one line", code == 2 and out == "" and len(err.splitlines()) == 1 and part in err, err)


def real_demo(server):
    """Two hosts with three slaves and a ten-port pile: sessions at the API, every settlement acknowledged."""
    kinds = (("--stations", "2", "--slaves", "3", "--first", "14000001"), ("--stations", "1", "--ports", "10", "--first", "15000001"))
    processes = [sim(server.ap3000, "--demo", "--speed", "2000", *words) for words in kinds]
    texts = ["" for _ in kinds]

    def read(i):
        for line in processes[i].stdout:
            texts[i] += line

    readers = [threading.Thread(target=read, args=(i,)) for i in range(len(kinds))]
    for reader in readers:
        reader.start()
    until(lambda: all(t.count("the server has the settlement") >= 3 for t in texts), "settlements of hosts and of a pile", 60)
    for process, reader in zip(processes, readers):
        process.send_signal(signal.SIGINT)
    for process, reader in zip(processes, readers):
        check("it ends with 0", process.wait(timeout=60) == 0)
        reader.join()
    text = "".join(texts)
    begun, ended = (sum(words in line for line in text.splitlines()) for words in (": charges (", ": ends ("))
    settled = text.count("the server has the settlement")
    check("what began has ended, and every settlement is acknowledged", begun == ended == settled > 5, (begun, ended, settled))
    check("cards were granted and started by the server", "charges (by the server)" in text, text[-2000:])
    points = {x["charge_point_id"] for x in server.get("/charge-points?limit=100").data["list"]}
    wanted = {f"AP{n}" for n in (14000002, 14000003, 14000004, 14000006, 14000007, 14000008, 15000001)}
    check("all piles are known", wanted <= points, points)

    def sessions():
        # A card that is swiped as the simulator goes away has an order that never begins: it stays pending, and is not a charge.
        found = [s for s in server.get("/charging/sessions?limit=200").data["list"] if s["status"] != "pending"]
        return found if len(found) >= begun and all(s.get("end_time") for s in found) else None

    found = until(sessions, "the server made sessions of it, and all have ended")
    if found:
        check("one a charge", len(found) == begun, (len(found), begun))
        check("with energy", any(s.get("total_energy", 0) > 0 for s in found), found[:2])


def real_quirks(server):
    names = [line.split()[0] for line in run("127.0.0.1:1", "--quirk", "list")[1].splitlines()]
    started = []
    for i, name in enumerate(names + [" ".join(names)]):
        words = [w for n in name.split() for w in ("--quirk", n)]
        started.append((name, sim(server.ap3000, "--stations", "2", "--ports", "4", "--speed", "2000", "--demo", "--first",
                                  str(16000001 + 10 * i), "--duration", str(REAL_QUIRK_S), *words)))
    for name, process in started:
        out, err = process.communicate(timeout=120)
        check(f"{name}: ends well", process.returncode == 0, (process.returncode, err, out[-500:]))
    check("the server lives on", server.get("/healthz", key=None).status == 200)
    points = {x["charge_point_id"] for x in server.get("/charge-points?limit=100").data["list"]}
    missing = [name for i, (name, _) in enumerate(started) if f"AP{16000001 + 10 * i}" not in points]
    check("and knows all of them", not missing, missing)


def real_load(server):
    code, out, err = run(server.ap3000, "--load", "closed", "--stations", "50", "--duration", "2", "--first", "13500001")
    m = LOAD_LINE.match(out)
    check("load prints its figures", code == 0 and m and m[3] == "0" and m[4] == m[5] == "50", (code, out, err))


def main():
    demo()
    idle()
    quirks()
    load()
    nobody_there()
    with Server("authorization.unknown_tag=accept") as server:
        real_demo(server)
        real_quirks(server)
        real_load(server)
        errors = [line for line in server.log().splitlines() if "level=error" in line]
        check("no error in the server's log", not errors, errors[:5])
    harness.report()


main()
