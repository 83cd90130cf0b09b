#!/usr/bin/env python3
"""checker.py DATA JOURNAL [TAIL]   compares what every station was told with what a stopped server's data directory holds.

Shares no code with the server: reads the log's segments by the layouts told at the heads of src/eventlog/log.c and record.c, and
store.db with Python's sqlite3. TAIL is what `chargeline tail --format json` printed of the same log: it must say the same events.

The journal is JSON lines, k says which: sent (s station, n its message's number: the same over repeats, id message id, a action,
p payload, null for a repeat), answer (f 3 result, 4 error), open (the upgrade was answered), command.ask, command.told, command.in,
command.out. Prints every promise with the number of things it was checked on, and 'N passed, N failed'."""
import ctypes
import json
import os
import sqlite3
import struct
import sys
from collections import Counter, defaultdict
from datetime import datetime, timezone

TYPES = ("", "charge_point.connected", "charge_point.disconnected", "connector.status_changed", "transaction.started",
         "transaction.meter_values", "transaction.stopped", "command.response", "meter_values.received", "authorization.requested",
         "heartbeat.received", "firmware.status_changed", "diagnostics.status_changed", "security.event", "data_transfer.received",
         "certificate.sign_requested", "log.status_changed", "reservation.status_changed", "device.alarm", "device.quarantined",
         "device.protocol_error", "gateway.mass_disconnect", "connection.opened", "boot.held", "frame.seen", "command.queued",
         "command.sent", "quarantine.resolved", "gateway.started", "order.changed", "firmware.job")
INTERNAL = {"connection.opened", "boot.held", "frame.seen", "command.queued", "command.sent", "quarantine.resolved", "gateway.started",
            "order.changed", "firmware.job"}
OF_MESSAGE = {"StartTransaction": "transaction.started", "MeterValues": "transaction.meter_values",
              "StopTransaction": "transaction.stopped", "StatusNotification": "connector.status_changed",
              "Authorize": "authorization.requested", "BootNotification": "charge_point.connected"}
KEPT = {"StartTransaction", "MeterValues", "StopTransaction"}
HEAD = struct.Struct(">IHHqqQ16sIII")
ABSENT = 0xFFFFFFFF
MASK64 = (1 << 64) - 1
CRC_BYTES_MAX = 6 << 20     # checksums are slow in Python: so much of the log, spread over it
SHOWN_MAX = 8


class Report:
    def __init__(self):
        self.passed = self.failed = 0
        self.shown = Counter()

    def check(self, row, cond, detail=""):
        if cond:
            self.passed += 1
            return True
        self.failed += 1
        self.shown[row] += 1
        if self.shown[row] <= SHOWN_MAX:
            print(f"checker: {row}: not so {detail}"[:1500], flush=True)
        return False


# ---- CRC-32C and SipHash-2-4, from their definitions ----

CRC_TABLE = []
for _n in range(256):
    for _ in range(8):
        _n = _n >> 1 ^ (0x82F63B78 if _n & 1 else 0)
    CRC_TABLE.append(_n)


def crc32c(data):
    crc, table = 0xFFFFFFFF, CRC_TABLE
    for b in data:
        crc = table[(crc ^ b) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def rotate(v, by):
    return (v << by | v >> (64 - by)) & MASK64


def sip_round(v0, v1, v2, v3):
    v0 = (v0 + v1) & MASK64
    v2 = (v2 + v3) & MASK64
    v1, v3 = rotate(v1, 13) ^ v0, rotate(v3, 16) ^ v2
    v0 = rotate(v0, 32)
    v2 = (v2 + v1) & MASK64
    v0 = (v0 + v3) & MASK64
    return v0, rotate(v1, 17) ^ v2, rotate(v2, 32), rotate(v3, 21) ^ v0


def siphash(key, data):
    k0, k1 = key
    v = (k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573)
    padded = data + b"\0" * (7 - len(data) % 8) + bytes([len(data) & 255])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at:at + 8], "little")
        v = sip_round(*sip_round(v[0], v[1], v[2], v[3] ^ word))
        v = (v[0] ^ word, *v[1:])
    v = (v[0], v[1], v[2] ^ 0xFF, v[3])
    for _ in range(4):
        v = sip_round(*v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


# ---- the log ----

LZ4 = ctypes.CDLL("liblz4.so.1")


def unsqueeze(data, size):
    """The records of a batch: stored as they are or, where that is shorter, an L and one block of LZ4."""
    if len(data) == size:
        return data
    out = ctypes.create_string_buffer(size)
    n = LZ4.LZ4_decompress_safe(data[1:], out, len(data) - 1, size) if data[:1] == b"L" else -1
    return out.raw if n == size else b""


class Event:
    __slots__ = ("position", "type", "station", "received", "device_time", "sequence", "payload", "frame", "answer")


def text(data, at, size):
    return (None, at) if size == ABSENT else (data[at:at + size].decode(), at + size)


# A packed payload (src/eventlog/event.c, src/schema/schema_pack.c): the members of payload.def in order, by kind.
SAMPLED = [(name, "text") for name in ("value", "measurand", "unit", "phase", "context", "location", "format")]
SAMPLE = [("timestamp", "text"), ("sampledValue", SAMPLED)]
READINGS = [("connectorId", "number"), ("transactionId", "text"), ("meterValues", [SAMPLE]), ("flags", ["text"])]
STARTED = [("connectorId", "number"), ("transactionId", "text"), ("idTag", "text"), ("meterStartWh", "number"), ("reservationId", "number"),
           ("orderNo", "text"), ("offline", "boolean"), ("idTagStatus", "text"), ("supersedes", "text"), ("flags", ["text"])]
STOPPED = [("transactionId", "text"), ("reason", "text"), ("meterStopWh", "number"), ("stopTimestamp", "text"), ("connectorId", "number"),
           ("idTag", "text"), ("energyWh", "number"), ("meterStartWh", "number"), ("flags", ["text"]), ("orderNo", "text"),
           ("stopCode", "text"), ("durationSeconds", "number"), ("maxPowerW", "number"), ("tierPowerW", "number"), ("occupancyMinutes", "number")]
PACKED = {"transaction.started": STARTED, "transaction.stopped": STOPPED, "transaction.meter_values": READINGS, "meter_values.received": READINGS}


class Packed:
    def __init__(self, packed, frame):
        self.packed, self.frame, self.at, self.last = packed, frame, 0, 0

    def varint(self):
        n = shift = 0
        while True:
            byte = self.packed[self.at]
            self.at, n, shift = self.at + 1, n | (byte & 127) << shift, shift + 7
            if byte < 128:
                return n

    def number(self):
        n = self.varint()
        return n >> 1 ^ -(n & 1)

    def boolean(self):
        self.at += 1
        return self.packed[self.at - 1] == 1

    def text(self):
        n = self.varint()
        if n & 1:
            self.at += n >> 1
            return self.packed[self.at - (n >> 1):self.at].decode()
        begin = self.last + self.number()
        self.last = begin + (n >> 1)
        return json.loads(b'"' + self.frame[begin:self.last] + b'"')

    def value(self, kind):
        if isinstance(kind, str):
            return getattr(self, kind)()
        if isinstance(kind[0], tuple):
            size = (len(kind) + 7) // 8
            bits = int.from_bytes(self.packed[self.at:self.at + size], "little")
            self.at += size
            return {name: self.value(inner) for i, (name, inner) in enumerate(kind) if bits >> i & 1}
        return [self.value(kind[0]) for _ in range(self.varint())]


def payload_text(data, at, size, frame, kind):
    """As JSON, and where it ends."""
    if size == ABSENT or size == 0 or data[at] != 1:
        return text(data, at, size)
    p = Packed(data[at + 9:at + size], frame)
    payload = p.value(PACKED[kind])
    if p.at != len(p.packed):
        raise ValueError("a packed payload of which something is left")
    return json.dumps(payload), at + size


def read_record(data, at, position):
    size, kind, station, received, device, sequence, _, payload, frame, answer = HEAD.unpack_from(data, at)
    e = Event()
    e.position, e.type, e.received, e.device_time, e.sequence = position, TYPES[kind], received, device, sequence
    end = at + HEAD.size
    e.station, end = text(data, end, ABSENT if station == 0xFFFF else station)
    frame_at = end + (0 if payload == ABSENT else payload)
    e.payload, end = payload_text(data, end, payload, data[frame_at:frame_at + (0 if frame == ABSENT else frame)], e.type)
    e.frame, end = text(data, end, frame)
    e.answer, end = text(data, end, answer)
    if end != at + size:
        raise ValueError(f"record {position}: {size} bytes, of which {end - at} are accounted for")
    return e, end


FILE_HEAD = struct.Struct(">8sI16sQQQH")
BATCH_HEAD = struct.Struct(">4sIQqqIIIII")
FILE_HEAD_SIZE = 4096


class Segment:
    """One file of the log. Its bytes are taken as they lie there; what is behind the last whole batch a crash may have left."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.bytes = f.read()
        magic, self.format, self.log_id, self.number, self.first, self.salt, _ = FILE_HEAD.unpack_from(self.bytes)
        self.is_sound = (magic == b"CLlogseg" and len(self.bytes) >= FILE_HEAD_SIZE and
                         crc32c(self.bytes[:FILE_HEAD_SIZE - 4]) == int.from_bytes(self.bytes[FILE_HEAD_SIZE - 4:FILE_HEAD_SIZE], "big"))

    def batches(self):
        """(first, count, size of the records, checksum of the data, data), up to what is no batch."""
        salted, at = self.log_id + self.salt.to_bytes(8, "big"), FILE_HEAD_SIZE
        while at + BATCH_HEAD.size <= len(self.bytes):
            magic, count, first, _, _, stored, size, _, crc, head_crc = BATCH_HEAD.unpack_from(self.bytes, at)
            data_at = at + BATCH_HEAD.size
            if magic != b"CLba" or crc32c(salted + self.bytes[at:data_at - 4]) != head_crc or data_at + stored > len(self.bytes):
                return
            yield first, count, size, crc, self.bytes[data_at:data_at + stored]
            at = (data_at + stored + 7) & ~7

    def end(self):
        """Behind the last whole batch; zeros that were written ahead may follow."""
        at = FILE_HEAD_SIZE
        for *_, data in self.batches():
            at = (at + BATCH_HEAD.size + len(data) + 7) & ~7
        return at


class Log:
    """The segments of a folder."""

    def __init__(self, folder, report):
        self.report, self.crc_left, self.multiply = report, CRC_BYTES_MAX, None
        self.names = sorted(n for n in os.listdir(folder) if n.startswith("log-") and n.endswith(".log"))
        self.folder = folder

    def identify(self, log_id):
        key = (int.from_bytes(log_id[:8], "big"), int.from_bytes(log_id[8:], "big"))
        self.multiply, self.plus = siphash(key, b"multiply") | 1, siphash(key, b"add")
        self.high = siphash(key, b"high") & 0xFFF

    def event_id(self, e):
        low = (e.position * self.multiply + self.plus) & (MASK64 >> 2)
        n = (max(e.received, 0) // 1000) << 80 | 7 << 76 | self.high << 64 | 2 << 62 | low
        h = f"{n:032x}"
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"

    def events(self):
        """In order. Positions, heads and (a sample of) checksums are checked on the way."""
        r, want, log_id = self.report, None, None
        for i, name in enumerate(self.names):
            bound = int(self.names[i + 1][4:24]) if i + 1 < len(self.names) else None
            segment = Segment(os.path.join(self.folder, name))
            log_id, number = log_id or segment.log_id, segment.number
            r.check("a segment's head is sound and says what its name says", segment.is_sound and
                    (segment.format, segment.first, segment.log_id) == (3, int(name[4:24]), log_id), name)
            r.check("segments are numbered without a gap", i == 0 or number == self.number + 1, (name, number))
            self.number = number
            self.identify(log_id)
            for n, (first, count, size, crc, data) in enumerate(segment.batches()):
                if bound is not None and first >= bound:
                    break
                r.check("positions have no gap between batches", want is None or first == want, (name, first, want))
                if n < 20 or (n % 97 == 0 and self.crc_left > 0):
                    self.crc_left -= len(data)
                    r.check("a batch's checksum is right", crc32c(data) == crc, (name, first))
                data, at = unsqueeze(data, size), 0
                if not r.check("a batch is as long as it says", len(data) == size, (name, first)):
                    continue
                for k in range(count):
                    e, at = read_record(data, at, first + k)
                    yield e
                r.check("a batch holds its records and nothing else", at == len(data), (name, first))
                want = first + count
            r.check("a segment ends where the next begins", bound is None or want == bound, (name, want, bound))


# ---- what was said ----

class Said:
    """One message of a station over all its repeats."""
    __slots__ = ("action", "payload", "ids", "answers", "positions")

    def __init__(self, action, payload):
        self.action, self.payload, self.ids, self.answers, self.positions = action, payload, set(), [], []


def key_of(action, payload):
    return action + json.dumps(payload, sort_keys=True)


class Story:
    def __init__(self, path):
        self.said = defaultdict(dict)     # station -> n -> Said
        self.opens = Counter()
        self.asked, self.told = {}, defaultdict(list)
        self.came, self.replied = defaultdict(list), {}
        self.answers = 0
        with open(path, encoding="utf-8") as f:
            for line in f:
                getattr(self, "on_" + json.loads(line)["k"].replace(".", "_"), self.skip)(json.loads(line))

    def skip(self, _):
        pass

    def on_sent(self, j):
        m = self.said[j["s"]].get(j["n"])
        if m is None:
            m = self.said[j["s"]][j["n"]] = Said(j["a"], j["p"])
        m.ids.add(j["id"])

    def on_answer(self, j):
        self.answers += 1
        self.said[j["s"]][j["n"]].answers.append((j["id"], j["f"], j["p"]))

    def on_open(self, j):
        self.opens[j["s"]] += 1

    def on_command_ask(self, j):
        self.asked[j["id"]] = j

    def on_command_told(self, j):
        self.told[j["id"]].append(j)

    def on_command_in(self, j):
        self.came[j["id"]].append(j)

    def on_command_out(self, j):
        self.replied[j["id"]] = j


# ---- the promises ----

class Transaction:
    __slots__ = ("id", "station", "connector", "start", "stop", "meters", "stop_wh", "energy", "supersedes")

    def __init__(self, id_, station, connector, start):
        self.id, self.station, self.connector, self.start = id_, station, connector, start
        self.stop, self.meters, self.stop_wh, self.energy = None, 0, None, None


class Check:
    def __init__(self, data, story, report):
        self.data, self.story, self.r = data, story, report
        self.sequences, self.generations, self.opened = Counter(), Counter(), Counter()
        self.transactions = {}
        self.by_key = {}                  # (station, content) -> [Said, n, positions]
        self.by_id = {}                   # (station, message id) -> Said
        self.last_n = Counter()
        self.commands = defaultdict(lambda: {"queued": 0, "sent": [], "done": []})
        self.types = Counter()
        self.last_position = 0
        self.published = []
        for station, messages in story.said.items():
            for n, m in messages.items():
                if m.action in KEPT:
                    self.by_key[station, key_of(m.action, m.payload)] = (m, n)
                for i in m.ids:
                    self.by_id[station, i] = m

    # --- event by event ---

    def walk(self, log):
        for e in log.events():
            self.r.check("positions have no gap", e.position == self.last_position + 1, (self.last_position, e.position))
            self.last_position = e.position
            self.types[e.type] += 1
            payload = json.loads(e.payload)
            is_internal = e.type in INTERNAL or e.type == "gateway.mass_disconnect"
            if is_internal:
                self.r.check("what is internal has no sequence", e.sequence == 0, (e.type, e.station, e.sequence))
            else:
                self.r.check("a station's sequence has no gap and no repeat", e.sequence == self.sequences[e.station] + 1,
                             (e.station, e.type, e.position, e.sequence, self.sequences[e.station]))
                self.sequences[e.station] = e.sequence
                self.published.append((log.event_id(e), e.type, e.station, e.sequence))
            handler = getattr(self, "on_" + e.type.replace(".", "_"), None)
            if handler:
                handler(e, payload)

    def frame_of(self, e):
        frame = json.loads(e.frame) if e.frame else None
        return frame if isinstance(frame, list) and frame[0] == 2 and len(frame) >= 4 else (2, None, None, None)

    def on_connection_opened(self, e, p):
        self.r.check("a station's generation only rises", p["generation"] == self.generations[e.station] + 1,
                     (e.station, p["generation"], self.generations[e.station]))
        self.generations[e.station] = p["generation"]
        self.opened[e.station] += 1

    def on_charge_point_connected(self, e, _):
        self.by_message(e)

    def on_authorization_requested(self, e, _):
        self.by_message(e)

    def on_connector_status_changed(self, e, _):
        self.by_message(e)

    def by_message(self, e):
        _, message_id, _, _ = self.frame_of(e)
        m = self.by_id.get((e.station, message_id))
        if self.r.check("an event comes of a message that was sent", m is not None, (e.type, e.station, message_id)):
            m.positions.append(e.position)
            self.r.check("an event holds the message as it was sent", self.frame_of(e)[3] == m.payload, (e.station, message_id))

    def kept(self, e, action):
        """A transaction message's event: known by its content; None and a failure if nobody said it or it was here already."""
        _, message_id, said_action, payload = self.frame_of(e)
        found = self.by_key.get((e.station, key_of(said_action, payload))) if said_action == action else None
        if not self.r.check("a transaction event comes of a message that was sent", found is not None, (e.type, e.station, message_id, e.frame)):
            return None
        m, n = found
        m.positions.append(e.position)
        self.r.check("nothing is doubled: one event a transaction message", len(m.positions) == 1,
                     (e.type, e.station, n, m.positions, e.frame))
        self.r.check("a station's transaction messages are in the log in its order", n > self.last_n[e.station] or len(m.positions) > 1,
                     (e.station, n, self.last_n[e.station]))
        self.last_n[e.station] = max(n, self.last_n[e.station])
        answer = json.loads(e.answer)
        for _, kind, said in m.answers:
            self.r.check("every answer to a message is the one in the log", kind == answer[0] and said == answer[2],
                         (e.station, n, said, e.answer))
        return m

    def on_transaction_started(self, e, p):
        m = self.kept(e, "StartTransaction")
        self.r.check("a transaction id is given once", p["transactionId"] not in self.transactions, (e.station, p["transactionId"]))
        t = self.transactions[p["transactionId"]] = Transaction(p["transactionId"], e.station, p["connectorId"], p)
        self.r.check("no transaction of a station that behaves is superseded", "supersedes" not in p, (e.station, p))
        if m is not None:
            said = m.payload
            self.r.check("a start is as it was said", (t.connector, p["idTag"], p["meterStartWh"], e.device_time) ==
                         (said["connectorId"], said["idTag"], said["meterStart"], micros(said["timestamp"])), (e.station, p, said))
            self.r.check("a start's answer names its transaction", str(json.loads(e.answer)[2]["transactionId"]) == t.id, (e.station, e.answer))

    def on_transaction_meter_values(self, e, p):
        t = self.transactions.get(p.get("transactionId"))
        if not self.r.check("readings belong to a transaction of their station", t is not None and t.station == e.station, (e.station, p)):
            return
        t.meters += 1
        if e.frame is None:     # of a stop that brings readings: the frame is with the stop
            return
        m = self.kept(e, "MeterValues")
        if m is not None:
            said = m.payload["meterValue"]
            values = [s["value"] for v in said for s in v["sampledValue"]]
            self.r.check("readings are as they were said", str(m.payload["transactionId"]) == t.id and
                         [v["sampledValue"]["value"] for v in p["meterValues"]] == values, (e.station, p, said))

    def on_transaction_stopped(self, e, p):
        m = self.kept(e, "StopTransaction")
        t = self.transactions.get(p["transactionId"])
        if not self.r.check("a stop ends a transaction of its station", t is not None and t.station == e.station, (e.station, p)):
            return
        self.r.check("a transaction is stopped once", t.stop is None, (e.station, t.id))
        t.stop, t.stop_wh, t.energy = p, p["meterStopWh"], p["energyWh"]
        self.r.check("energy is stop minus start", t.energy == t.stop_wh - t.start["meterStartWh"], (e.station, p))
        if m is not None:
            self.r.check("a stop is as it was said", (str(m.payload["transactionId"]), m.payload["meterStop"]) == (t.id, t.stop_wh), (e.station, p))

    def on_command_queued(self, e, p):
        self.commands[p["commandId"]]["queued"] += 1

    def on_command_sent(self, e, p):
        self.commands[p["commandId"]]["sent"].append(p["messageId"])

    def on_command_response(self, e, p):
        self.commands[p["commandId"]]["done"].append(p)

    def on_device_protocol_error(self, e, p):
        self.r.check("a station that behaves is never refused", False, (e.station, p, e.frame))

    def on_device_quarantined(self, e, p):
        self.r.check("nothing of a station that behaves is quarantined", False, (e.station, p, e.frame))

    # --- what was told, against the log ---

    def acknowledged(self):
        for station, messages in self.story.said.items():
            for n, m in messages.items():
                for message_id, kind, said in m.answers:
                    self.r.check("a station that behaves gets no error", kind == 3, (station, n, m.action, said))
                if not m.answers:
                    continue
                if m.action in OF_MESSAGE:
                    self.r.check("no acknowledged message is lost", len(m.positions) > 0, (station, n, m.action, m.payload, m.answers))
                if m.action == "StartTransaction":
                    ids = {a[2].get("transactionId") for a in m.answers if a[1] == 3}
                    self.r.check("a repeated start gets the first transaction id", len(ids) == 1, (station, n, ids))
                if m.action == "StatusNotification":
                    self.r.check("a status is an event for each time it was sent, at most", len(m.positions) <= len(m.ids), (station, n))
        for station, count in self.story.opens.items():
            self.r.check("a connection's generation is in the log before the station is let in", self.opened[station] >= count, (station, count))

    def one_outcome(self):
        for id_, c in self.commands.items():
            self.r.check("a command is taken on once", c["queued"] == 1, (id_, c))
            self.r.check("a command has one outcome", len(c["done"]) <= 1, (id_, c))
            self.r.check("a command is sent at most once", len(c["sent"]) <= 1, (id_, c))
            outcome = c["done"][0].get("outcome") if c["done"] else None
            came = sum(len(self.story.came.get(mid, ())) for mid in c["sent"])
            self.r.check("a station sees a command at most once", came <= 1, (id_, came))
            if outcome == "not_sent":
                self.r.check("what was not sent no station has seen", came == 0, (id_, c))
            if outcome == "answered":
                self.r.check("answered: the station said so", any(mid in self.story.replied for mid in c["sent"]), (id_, c))
        sent = {mid for c in self.commands.values() for mid in c["sent"]}
        for mid, j in self.story.came.items():
            self.r.check("a command is in the log as sent before it leaves", mid in sent, (mid, j))
        for id_, answers in self.story.told.items():
            taken = [a for a in answers if a["code"] in (200, 202)]
            if taken:
                self.r.check("no command that was taken on is lost", id_ in self.commands, (id_, answers))
            outcomes = {a["d"]["outcome"] for a in taken if a["d"].get("state") == "done"}
            self.r.check("whoever asks about a command hears one outcome", len(outcomes) <= 1, (id_, outcomes))
            if outcomes:
                done = self.commands[id_]["done"] if id_ in self.commands else []
                self.r.check("the outcome told is the one in the log", [d.get("outcome") for d in done] == list(outcomes), (id_, outcomes, done))

    # --- the tables ---

    def tables(self, log):
        path = os.path.join(self.data, "store.db")
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        db.row_factory = sqlite3.Row
        r = self.r
        has = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        for row in db.execute("SELECT name, position FROM consumers"):
            r.check("a consumer has seen the whole log", row["position"] == self.last_position, (row["name"], row["position"], self.last_position))
        for table in ("parked", "dead_letters", "quarantine"):
            r.check(f"nothing is in {table}", db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0)
        rows = {row["transaction_id"]: row for row in db.execute("SELECT * FROM transactions")}
        r.check("the table has the transactions of the log and no other", rows.keys() == self.transactions.keys(),
                list(rows.keys() ^ self.transactions.keys())[:4])
        readings = Counter(dict(db.execute("SELECT number, count(*) FROM transaction_readings GROUP BY number").fetchall()))
        for id_, t in self.transactions.items():
            row = rows.get(id_)
            if row is None:
                continue
            want = (t.station, t.connector, t.start["meterStartWh"], "closed" if t.stop else "open", t.stop_wh, t.energy)
            got = tuple(row[c] for c in ("charge_point_id", "connector_id", "meter_start_wh", "state", "meter_stop_wh", "energy_wh"))
            r.check("a transaction's row is what the log says", got == want, (id_, got, want))
            r.check("a transaction's readings are in the table once", readings[row["number"]] == t.meters, (id_, readings[row["number"]], t.meters))
        for row in db.execute("SELECT charge_point_id, sequence, generation, online, event_count FROM charge_points"):
            s = row["charge_point_id"]
            r.check("every event is counted once", row["event_count"] == self.sequences[s], (s, row["event_count"], self.sequences[s]))
            r.check("a station's row has its last sequence and generation", (row["sequence"], row["generation"]) ==
                    (self.sequences[s], self.generations[s]), (s, tuple(row), self.sequences[s], self.generations[s]))
            r.check("after the end no station is online", row["online"] == 0, s)
        self.command_rows(db)
        if "charging_sessions" in has:
            self.sessions(db, log)

    def command_rows(self, db):
        rows = {row["command_id"]: row for row in db.execute("SELECT * FROM commands")}
        self.r.check("the table has the commands of the log and no other", rows.keys() == self.commands.keys())
        for id_, c in self.commands.items():
            row, done = rows.get(id_), c["done"]
            if row is not None:
                want = ("done", done[0].get("outcome"), done[0]["status"]) if done else (row["state"], None, None)
                self.r.check("a command's row is what the log says", (row["state"], row["outcome"], row["status"]) == want and
                             (done or row["state"] != "done"), (id_, tuple(row), done))

    def sessions(self, db, log):
        seen = Counter()
        for row in db.execute("SELECT * FROM charging_sessions"):
            t = self.transactions.get(row["transaction_id"])
            seen[row["transaction_id"]] += 1
            if not self.r.check("a session is of a transaction", t is not None, tuple(row)):
                continue
            self.r.check("a session says station, connector and meters of its transaction",
                         (row["charge_point_id"], row["connector_id"], row["meter_start_wh"], row["meter_stop_wh"]) ==
                         (t.station, t.connector, t.start["meterStartWh"], t.stop_wh), (tuple(row), t.stop))
            if t.stop:
                self.r.check("a session's energy is its transaction's", row["energy_wh"] == t.energy, (t.id, row["energy_wh"], t.energy))
                self.r.check("a session that was stopped is over", row["is_active"] == 0, t.id)
        for id_ in self.transactions:
            self.r.check("one session a transaction", seen[id_] == 1, (id_, seen[id_]))
        self.statistics(db)
        twice = db.execute("SELECT event_id, count(*) FROM charging_session_events WHERE event_id IS NOT NULL "
                           "GROUP BY session_number, event_id, event_type HAVING count(*) > 1 LIMIT 3").fetchall()
        self.r.check("an event is once in a session's history", not twice, [tuple(t) for t in twice])
        ids = {e[0] for e in self.published}
        unknown = [row[0] for row in db.execute("SELECT event_id FROM charging_session_events WHERE event_id IS NOT NULL")
                   if row[0] not in ids]
        self.r.check("a session's history names events of the log", not unknown, unknown[:3])
        for topic, count, last in db.execute("SELECT topic, count(*), max(position) FROM outbox GROUP BY topic"):
            self.r.check("positions of a topic have no gap", count == last, (topic, count, last))

    def statistics(self, db):
        """Counted in the transaction of the change: once each, whatever was killed."""
        counted = dict(db.execute("SELECT name, value FROM charging_statistics").fetchall())
        stopped = [t for t in self.transactions.values() if t.stop]
        want = {"start_events": len(self.transactions), "stop_events": len(stopped), "sessions_created": len(self.transactions),
                "sessions_completed": len(stopped), "active_sessions": len(self.transactions) - len(stopped),
                "power_events": sum(t.meters for t in self.transactions.values()), "total_energy": sum(t.energy for t in stopped)}
        got = {name: counted.get(name, 0) for name in want}
        self.r.check("the statistics count everything once", got == want, (got, want))

    def tail(self, path):
        self.r.check("event ids are unique", len({e[0] for e in self.published}) == len(self.published))
        if path is None:
            return
        with open(path, encoding="utf-8") as f:
            said = [json.loads(line) for line in f]
        got = [(e["eventId"], e["eventType"], e["chargePointId"], e.get("sequence", 0)) for e in said]
        internal = [g for g in got if g[1] in INTERNAL or g[1] == "gateway.mass_disconnect"]
        got = [g for g in got if g[1] not in INTERNAL and g[1] != "gateway.mass_disconnect"]
        differ = next((i for i, (a, b) in enumerate(zip(got, self.published)) if a != b), None)
        self.r.check("tail says the events of the log, with the same ids", got == self.published,
                     (len(got), len(self.published), len(internal), differ, differ is not None and (got[differ], self.published[differ])))


def micros(iso):
    t = datetime.fromisoformat(iso.replace("Z", "+00:00")) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (t.days * 86400 + t.seconds) * 1000000 + t.microseconds


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    r = Report()
    story = Story(sys.argv[2])
    check = Check(sys.argv[1], story, r)
    log = Log(os.path.join(sys.argv[1], "log"), r)
    check.walk(log)
    check.acknowledged()
    check.one_outcome()
    check.tables(log)
    check.tail(sys.argv[3] if len(sys.argv) == 4 else None)
    for row, count in r.shown.items():
        if count > SHOWN_MAX:
            print(f"checker: {row}: {count} times in all")
    stopped = sum(t.stop is not None for t in check.transactions.values())
    print(f"checker: {check.last_position} events, {story.answers} answers, {len(check.transactions)} transactions ({stopped} stopped), "
          f"{sum(t.meters for t in check.transactions.values())} readings, {len(check.commands)} commands, "
          f"{sum(check.opened.values())} connections, {check.types['gateway.started']} starts")
    print(f"{r.passed} passed, {r.failed} failed")
    return r.failed != 0 or r.passed == 0


if __name__ == "__main__":
    sys.exit(main())
