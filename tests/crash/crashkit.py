"""What the crash tests share: the server as a process that can be killed, stations on raw sockets that behave as stations do after a
loss (what was not answered is sent again), an API client, and the journal of all that was said. Python's standard library only; no
code of the server's. A journal is JSON lines; checker.py says what each means."""
import asyncio
import base64
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter, deque
from datetime import datetime, timezone

BIN = os.environ.get("CHARGELINE_BIN", "build/release/chargeline")
START_WAIT_S = 60
STOP_WAIT_S = 60
HTTP_WAIT_S = 30
PORTS = (20000, 32000)  # below those that clients get: a station that is on its way cannot take the place of its server

passed = failed = 0


def check(row, cond, detail=""):
    """One row: its name is the sentence that fails."""
    global passed, failed
    if cond:
        passed += 1
    else:
        failed += 1
        print(f"{row}: not so {detail}"[:2000], flush=True)
    return bool(cond)


def report():
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(0 if failed == 0 and passed > 0 else 1)


def free_port(rng):
    while True:
        port = rng.randrange(*PORTS)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Server:
    """chargeline serve on ports that stay the same over its lives."""

    def __init__(self, folder, rng, *sets):
        self.data = os.path.join(folder, "data")
        self.log_path = os.path.join(folder, "server.log")
        self.ocpp, self.api, self.ap3000 = (f"127.0.0.1:{free_port(rng)}" for _ in range(3))
        self.sets, self.process, self.is_ready = list(sets), None, False
        self.key, self.has_api = "", False

    def spawn(self):
        r, w = os.pipe()
        os.set_blocking(r, False)
        command = [BIN, "serve", "--data", self.data, "--ready-fd", str(w)]
        for s in [f"listen.ocpp={self.ocpp}", f"listen.api={self.api}", f"listen.ap3000={self.ap3000}", "logging.level=warn", *self.sets]:
            command += ["--set", s]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, pass_fds=[w], stdout=subprocess.DEVNULL, stderr=log)
        os.close(w)
        self.is_ready, self.ready_fd, self.started = False, r, time.monotonic()

    async def _ready_line(self):
        """What it says when it is ready; cut off where it ended, or took too long."""
        loop, line, end = asyncio.get_running_loop(), b"", time.monotonic() + START_WAIT_S
        readable = asyncio.Event()
        loop.add_reader(self.ready_fd, readable.set)
        try:
            while b"\n" not in line:
                await asyncio.wait_for(readable.wait(), end - time.monotonic())
                readable.clear()
                try:
                    part = os.read(self.ready_fd, 4096)
                except BlockingIOError:
                    continue  # it was told twice of one event
                if not part:
                    break
                line += part
        except asyncio.TimeoutError:
            pass
        finally:
            loop.remove_reader(self.ready_fd)
        return line

    async def ready(self):
        """Seconds from start to all listeners open; None: it ended before."""
        line = await self._ready_line()
        self.is_ready = b"\n" in line
        if not self.is_ready:
            return None
        self.has_api = b"api=127" in line and os.path.exists(os.path.join(self.data, "admin.key"))
        if self.has_api:
            with open(os.path.join(self.data, "admin.key"), encoding="ascii") as f:
                self.key = f.read().strip()
        return time.monotonic() - self.started

    def _ended(self):
        self.is_ready = False
        os.close(self.ready_fd)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._ended()

    def stop(self):
        """Exit code of a graceful stop, and how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._ended()
        return code, time.monotonic() - began

    def log(self, last=3000):
        with open(self.log_path, errors="replace", encoding="utf-8") as f:
            return f.read()[-last:]

    async def http(self, method, path, body=None):
        """(status, json); (0, None) where the server went away meanwhile."""
        host, port = self.api.split(":")
        data = b"" if body is None else json.dumps(body).encode()
        head = (f"{method} {path} HTTP/1.1\r\nHost: {self.api}\r\nAuthorization: Bearer {self.key}\r\nConnection: close\r\n"
                + (f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n" if body is not None else "") + "\r\n")
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(head.encode() + data)
            raw = await asyncio.wait_for(reader.read(), HTTP_WAIT_S)
            writer.close()
        except (OSError, asyncio.TimeoutError):
            return 0, None
        top, _, rest = raw.partition(b"\r\n\r\n")
        try:
            status = int(top.split(b" ", 2)[1])
            if b"transfer-encoding: chunked" in top.lower():
                rest = unchunk(rest)
            return status, json.loads(rest)
        except (IndexError, ValueError):
            return 0, None


def unchunk(rest):
    out = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        n = int(size.split(b";")[0], 16)
        if n == 0:
            break
        out, rest = out + rest[:n], rest[n + 2:]
    return out


class Journal:
    def __init__(self, path):
        self.file, self.count = open(path, "w", encoding="utf-8"), 0

    def add(self, k, **what):
        self.count += 1
        what["k"], what["t"] = k, round(time.time(), 4)
        self.file.write(json.dumps(what, separators=(",", ":")) + "\n")

    def close(self):
        self.file.close()


def stamp(at=None):
    now = datetime.fromtimestamp(time.time() if at is None else at, timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


class Link(asyncio.Protocol):
    """One connection of a station: WebSocket over what arrives. All it knows of its station is where to give messages."""

    def __init__(self, station):
        self.station, self.buffer, self.is_open, self.transport = station, b"", False, None

    def connection_made(self, transport):
        self.transport = transport
        s = self.station
        transport.write((f"GET /ocpp/{s.id} HTTP/1.1\r\nHost: {s.world.server.ocpp}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         f"Sec-WebSocket-Key: {base64.b64encode(s.rng.randbytes(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Protocol: ocpp1.6\r\n\r\n").encode())

    def data_received(self, data):
        self.buffer += data
        if not self.is_open:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self.station.world.refused += 1
                self.transport.abort()
                return
            self.is_open, self.buffer = True, rest
            self.station.on_open(self)
        while self.take_frame():
            pass

    def take_frame(self):
        b = self.buffer
        if len(b) < 2:
            return False
        size, at = b[1] & 127, 2
        if size == 126:
            if len(b) < 4:
                return False
            size, at = struct.unpack_from(">H", b, 2)[0], 4
        elif size == 127:
            if len(b) < 10:
                return False
            size, at = struct.unpack_from(">Q", b, 2)[0], 10
        if len(b) < at + size:
            return False
        opcode, body = b[0] & 15, b[at:at + size]
        self.buffer = b[at + size:]
        if opcode == 1:
            self.station.on_text(self, body)
        elif opcode == 9:
            self.send(body, 10)
        elif opcode == 8:
            self.station.world.closes[struct.unpack(">H", body[:2])[0] if len(body) > 1 else 1005] += 1
            self.transport.close()
        return True

    def send(self, body, opcode=1):
        # The mask must be there; that it is all zeros is this client's own affair.
        n = len(body)
        if n < 126:
            head = struct.pack(">BB", 0x80 | opcode, 0x80 | n)
        elif n < 65536:
            head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, n)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, n)
        self.transport.write(head + b"\0\0\0\0" + body)

    def connection_lost(self, _):
        self.is_open = False
        self.station.on_lost(self)


class Message:
    __slots__ = ("n", "action", "payload", "text", "plug", "is_kept", "told")

    def __init__(self, n, action, payload, plug, is_kept):
        self.n, self.action, self.payload, self.plug, self.is_kept = n, action, payload, plug, is_kept
        self.text = json.dumps(payload, separators=(",", ":"))
        self.told = False


class Plug:
    def __init__(self, number):
        self.number, self.state, self.register, self.transaction, self.left = number, "idle", 1000 * number, None, 0
        self.asked = None           # number of the message that its state waits for


KEPT_FOR_REPEATS = 3
SAMPLES = 4


class Station:
    """Two connectors, a queue of transaction messages that outlives connections, and now and then a bad moment."""

    def __init__(self, world, number):
        self.world, self.rng = world, world.rng
        self.id = f"CR{number:04d}"
        self.link, self.is_connecting = None, False
        self.n = 0                  # of messages, over all time
        self.ids = 0
        self.plugs = [Plug(1), Plug(2)]
        self.waiting = deque()      # sent and not answered on this link: (message id, Message), in order
        self.again = deque()        # to be sent again, in order, before anything new
        self.answered = deque(maxlen=KEPT_FOR_REPEATS)
        self.has_booted, self.must_boot, self.triggered = False, True, False
        self.window = 1 if number % 4 else 3
        self.is_finishing = False
        self.timer = None

    # --- connection ---

    def connect(self, beside=False):
        if self.is_connecting or not self.world.server.is_ready or (self.link is not None and not beside):
            return
        self.is_connecting = True
        asyncio.ensure_future(self._connect())

    async def _connect(self):
        host, port = self.world.server.ocpp.split(":")
        try:
            await asyncio.get_running_loop().create_connection(lambda: Link(self), host, int(port))
        except OSError:
            pass
        finally:
            self.is_connecting = False

    def on_open(self, link):
        old, self.link = self.link, link
        if old is not None:
            self.take_back()        # a newer connection of ours: what the older was not answered goes again
        self.world.journal.add("open", s=self.id)
        self.must_boot = not self.has_booted or self.rng.random() < 0.5
        if self.answered and self.rng.random() < 0.3:
            self.again.appendleft(self.rng.choice(self.answered))  # the station lost the answer, not the server
        self.pump()

    def on_lost(self, link):
        if link is not self.link:
            return
        self.link = None
        self.take_back()
        if self.world.server.is_ready:
            asyncio.get_running_loop().call_later(self.rng.uniform(0.02, 0.3), self.connect)

    def take_back(self):
        kept = [m for _, m in self.waiting if m.is_kept]
        self.waiting.clear()
        self.again.extendleft(reversed(kept))

    # --- sending ---

    def later(self, s):
        if self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(s, self.on_timer)

    def on_timer(self):
        self.timer = None
        self.pump()

    def pump(self):
        window = self.window if self.has_booted else 1
        while self.link is not None and self.link.is_open and len(self.waiting) < window:
            m = self.next_message()
            if m is None:
                break
            self.send(m)

    def send(self, m):
        self.ids += 1
        # Sent again: with the id that it had, or with a new one; both happen in the field.
        message_id = f"{self.id}-{m.n}" if self.rng.random() < 0.5 else f"{self.id}-{m.n}-{self.ids}"
        self.waiting.append((message_id, m))
        self.world.sent += 1
        self.world.journal.add("sent", s=self.id, n=m.n, id=message_id, a=m.action, p=None if m.told else m.payload)
        m.told = True
        self.link.send(f'[2,"{message_id}","{m.action}",{m.text}]'.encode())

    def make(self, action, payload, plug=None, is_kept=False):
        self.n += 1
        if plug is not None and action != "MeterValues":
            plug.asked = self.n
        return Message(self.n, action, payload, plug, is_kept)

    def next_message(self):
        r = self.rng.random()
        if self.must_boot:
            self.must_boot = False
            return self.make("BootNotification", {"chargePointVendor": "Crash", "chargePointModel": "M1", "firmwareVersion": f"1.{self.n}"})
        if not self.has_booted and any(m.action == "BootNotification" for _, m in self.waiting):
            return None
        if self.again:
            return self.again.popleft()
        if self.triggered or r < 0.1:
            self.triggered = False
            return self.status(self.rng.choice(self.plugs))
        if r < 0.17 and not self.is_finishing:
            return self.make("Authorize", {"idTag": f"T{self.id}{self.rng.randrange(2)}"})
        if r < 0.2:
            return self.make("Heartbeat", {})
        ready = [p for p in self.plugs if p.state in ("idle", "on") and not (self.is_finishing and p.state == "idle")]
        return self.drive(self.rng.choice(ready)) if ready else None

    def status(self, plug):
        word = {"idle": "Available", "starting": "Preparing", "on": "Charging", "stopping": "Finishing"}[plug.state]
        return self.make("StatusNotification", {"connectorId": plug.number, "errorCode": "NoError", "status": word, "info": f"n{self.n + 1}"})

    def drive(self, plug):
        now = stamp()
        if plug.state == "idle":
            plug.state, plug.left = "starting", self.rng.randrange(0, 8)
            start = {"connectorId": plug.number, "idTag": f"T{self.id}{plug.number}", "meterStart": plug.register, "timestamp": now}
            return self.make("StartTransaction", start, plug, True)
        plug.register += self.rng.randrange(1, 90)
        if plug.left > 0 and not self.is_finishing:
            plug.left -= 1
            return self.make("MeterValues", {"connectorId": plug.number, "transactionId": plug.transaction,
                                             "meterValue": [{"timestamp": now, "sampledValue": self.samples(plug)}]}, plug, True)
        plug.state = "stopping"
        stop = {"transactionId": plug.transaction, "meterStop": plug.register, "timestamp": now, "reason": "Local"}
        if self.rng.random() < 0.3:
            stop["idTag"] = f"T{self.id}{plug.number}"
        if self.rng.random() < 0.2:
            stop["transactionData"] = [{"timestamp": now, "sampledValue": [
                {"value": str(plug.register), "context": "Transaction.End", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}]}]
        return self.make("StopTransaction", stop, plug, True)

    def samples(self, plug):
        others = (("Power.Active.Import", "W", 11000), ("Voltage", "V", 230), ("Current.Import", "A", 16))
        return [{"value": str(plug.register), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}] + [
            {"value": str(most - self.rng.randrange(9)), "measurand": m, "unit": u} for m, u, most in others[:SAMPLES - 1]]

    # --- receiving ---

    def on_text(self, link, body):
        frame = json.loads(body)
        if link is not self.link:
            return                  # of a connection that we have given up: not read
        if frame[0] == 2:
            self.on_command(link, frame)
            return
        if not self.waiting or self.waiting[0][0] != frame[1]:
            self.world.wrong.append((self.id, "an answer that was not asked for, or out of order", frame, list(self.waiting)[:2]))
            return
        message_id, m = self.waiting.popleft()
        self.world.journal.add("answer", s=self.id, n=m.n, id=message_id, f=frame[0], p=frame[2] if frame[0] == 3 else frame[2:])
        self.world.answered += 1
        if frame[0] == 3:
            self.apply(m, frame[2])
        self.later(self.rng.expovariate(1 / self.world.think_s) if self.world.think_s else 0)

    def apply(self, m, answer):
        if m.action == "BootNotification":
            if answer.get("status") == "Accepted" and not self.has_booted:
                self.has_booted = True
            self.world.on_boot()
        if not m.is_kept:
            return
        plug = m.plug
        if plug.asked == m.n:
            plug.asked = None
            if m.action == "StartTransaction":
                plug.state, plug.transaction = "on", answer.get("transactionId")
            else:
                plug.state, plug.transaction = "idle", None
        if not any(a.n == m.n for a in self.answered):
            self.answered.append(m)

    def on_command(self, link, frame):
        _, message_id, action, payload = frame
        self.world.journal.add("command.in", s=self.id, id=message_id, a=action, p=payload)
        if action == "GetConfiguration":
            answer = {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]}
        else:
            answer = {"status": "Accepted" if self.rng.random() < 0.9 else "Rejected"}
        if action == "TriggerMessage":
            self.triggered = True
        if action == "RemoteStopTransaction":
            for p in self.plugs:
                if p.transaction == payload.get("transactionId"):
                    p.left = 0
        if self.rng.random() < 0.05:
            return                  # it says nothing: the outcome is unknown
        self.world.journal.add("command.out", s=self.id, id=message_id, p=answer)
        link.send(json.dumps([3, message_id, answer]).encode())

    def is_idle(self):
        return not self.again and not any(m.is_kept for _, m in self.waiting) and self.link is not None and self.link.is_open


class World:
    """The stations of a run and what they share."""

    def __init__(self, server, journal, rng, count, think_s):
        self.server, self.journal, self.rng, self.think_s = server, journal, rng, think_s
        self.sent = self.answered = self.refused = 0
        self.wrong = []
        self.closes = Counter()     # by the code that the server gave
        self.first_boot = None
        self.boot_wait = None
        self.stations = [Station(self, i) for i in range(count)]

    def on_boot(self):
        if self.boot_wait is not None:
            self.first_boot = time.monotonic() - self.boot_wait
            self.boot_wait = None

    def come_back(self, within_s=0.1):
        loop = asyncio.get_running_loop()
        for s in self.stations:
            loop.call_later(self.rng.uniform(0, within_s), s.connect)

    def disturb(self):
        """One station drops its connection, or opens another while the first still stands."""
        s = self.rng.choice(self.stations)
        if s.link is None or not s.link.is_open:
            return
        if self.rng.random() < 0.5:
            s.link.transport.abort()
        else:
            s.connect(beside=True)
