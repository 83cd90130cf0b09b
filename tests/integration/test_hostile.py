"""Hostile peers of both doors: each row of hostile_device.py and hostile_api.py gets its answer, at once and byte by byte; afterwards the
server lives, others are served, and its log has one line for one event."""
import asyncio, json, os, re, subprocess, sys, threading, time, urllib.parse
sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import hostile_api, hostile_device
from fleet import Wire, frame, metric
from harness import Server, Station, check, report, until

LINE = re.compile(r'(time=\S+ )?level=(debug|info|warn|error) event=[a-z0-9_]+\.[a-z0-9_]+( [a-z0-9_]+=("(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"|[^\s"=\\\x00-\x1f\x7f]*))*')
SPLIT_MAX = 4096      # bytes of a row that is also sent one by one
SLOW_END_S = 15       # the API's own limits of time (10 s a head, 5 s and 500 B/s a body), and some


def pieces(data):
    """At once, and byte by byte."""
    yield "", [data]
    if 1 < len(data) <= SPLIT_MAX:
        yield ", byte by byte", [data[i:i + 1] for i in range(len(data))]


def send_all(wire, parts):
    """False: the server ended it before all was said, which is its right."""
    try:
        for part in parts:
            wire.send(part)
    except OSError:
        return False
    return True


def status_of(head):
    return int(head[9:12]) if head.startswith(b"HTTP/1.1 ") and head[9:12].isdigit() else None


class Witness:
    """A quiet station that is there all the time and is to notice nothing."""

    def __init__(self, server):
        self.wire, self.number = Wire(server.ocpp), 0
        check("the witness comes in", status_of(self.wire.upgrade("/ocpp/WITNESS")) == 101)
        self.wire.send(frame('[2,"b","BootNotification",{"chargePointVendor":"W","chargePointModel":"W"}]'))
        self.wire.frame()

    def look(self, when):
        self.number += 1
        self.wire.send(frame(f'[2,"w{self.number}","Heartbeat",{{}}]'))
        got = self.wire.frame()
        check(f"{when}: another station is served", got is not None and got[0] == 1 and f'"w{self.number}"'.encode() in got[1], got)


def heads(server):
    for row, data, want in hostile_device.HEADS:
        for how, parts in pieces(data):
            wire = Wire(server.ocpp)
            send_all(wire, parts)
            got = status_of(wire.head())
            check(f"head: {row}{how}", got == want, (got, want))
            wire.close()
    for row, target, want in hostile_device.PATHS:
        for how, parts in pieces(hostile_device.get(target=target)):
            wire = Wire(server.ocpp)
            send_all(wire, parts)
            got = status_of(wire.head())
            check(f"path: {row}{how}", got == want, (target, got, want))
            wire.close()


def next_but_control(wire):
    while True:
        got = wire.frame()
        if got is None or got[0] not in (9, 10):
            return got


def frames(server):
    for i, (row, data, want) in enumerate(hostile_device.FRAMES):
        for how, parts in pieces(data):
            wire = Wire(server.ocpp)
            wire.upgrade(f"/ocpp/FRAME-{i}")
            send_all(wire, parts)
            if want is None:
                send_all(wire, [frame('[2,"after","Heartbeat",{}]')])
                got = next_but_control(wire)
                while got is not None and got[0] == 1 and b'"after"' not in got[1]:
                    got = next_but_control(wire)
                check(f"frame: {row}{how}: the connection goes on", got is not None and got[0] == 1, got)
            else:
                got = next_but_control(wire)
                code = None if got is None or got[0] != 8 else int.from_bytes(got[1][:2], "big") if got[1] else 1005
                check(f"frame: {row}{how}: close {want}", code == want, (got, want))
                check(f"frame: {row}{how}: and no word after it", wire.frame() is None)
            wire.close()


def calls(server):
    wire = Wire(server.ocpp)
    wire.upgrade("/ocpp/CALLS")
    wire.send(frame('[2,"b","BootNotification",{"chargePointVendor":"W","chargePointModel":"W"}]'))
    wire.frame()
    for i, (row, text, want) in enumerate(hostile_device.CALLS):
        data = frame(text)
        for n, (how, parts) in enumerate(pieces(data)):
            send_all(wire, parts)
            mark = f"mark-{i}-{n}"
            wire.send(frame(f'[2,"{mark}","Heartbeat",{{"n":"{mark}"}}]'))
            got, answers = next_but_control(wire), []
            while got is not None and got[0] == 1 and mark.encode() not in got[1]:
                answers.append(json.loads(got[1]))
                got = next_but_control(wire)
            if not check(f"call: {row}{how}: the connection goes on", got is not None and got[0] == 1, got):
                return
            told = [("result" if a[0] == 3 else a[2]) for a in answers]
            check(f"call: {row}{how}", told == ([] if want is None else [want]), (text[:200], answers, want))
            if want is not None and answers:
                sent = json.loads(text)
                check(f"call: {row}{how}: the id comes back as it came", answers[0][1] == sent[1], (sent[1], answers[0][1]))
    wire.close()
    wire = Wire(server.ocpp)
    wire.upgrade("/ocpp/GARBAGE")
    for _ in range(32):
        wire.send(frame("x"))
    got = next_but_control(wire)
    check("call: 32 in a row that are none: 1008", got is not None and got[0] == 8 and got[1][:2] == (1008).to_bytes(2, "big"), got)
    wire.close()


async def strangers_transactions(server):
    """What one station says about another's transaction changes nothing there."""
    server.accept_tag("MINE")
    victim, thief = await Station(server, "VICTIM").connect(), await Station(server, "THIEF").connect()
    for s in (victim, thief):
        await s.boot()
    number = (await victim.call("StartTransaction", {"connectorId": 1, "idTag": "MINE", "meterStart": 100, "timestamp": "2026-03-01T00:00:00Z"}))["transactionId"]
    await thief.call("StopTransaction", {"transactionId": number, "meterStop": 999999, "timestamp": "2026-03-01T01:00:00Z"})
    await thief.call("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [{"timestamp": "2026-03-01T00:30:00Z", "sampledValue": [{"value": "888888"}]}]})
    rows = server.get("/transactions?charge_point_id=VICTIM").data["list"]
    check("a stranger's stop ends nothing", len(rows) == 1 and rows[0]["state"] == "open" and rows[0]["meter_stop_wh"] is None, rows)
    values = server.get(f"/transactions/{rows[0]['transaction_id']}/meter-values").text
    check("a stranger's values are not its own", "888888" not in values, values)
    check("both are shown", server.get("/quarantine?charge_point_id=THIEF").data["total"] >= 1)
    await victim.call("StopTransaction", {"transactionId": number, "meterStop": 200, "timestamp": "2026-03-01T01:00:00Z"})
    rows = server.get("/transactions?charge_point_id=VICTIM").data["list"]
    check("its own stop does", rows[0]["state"] == "closed" and rows[0]["energy_wh"] == 100, rows)
    await victim.close()
    await thief.close()


async def texts(server):
    """Every text through every field comes back as it was, and makes no row and no line of its own."""
    fits = [t for t in hostile_api.TEXTS if len(t) <= 20]
    check("they fit where 20 characters do", len(fits) == len(hostile_api.TEXTS), [t for t in hostile_api.TEXTS if t not in fits])
    before = server.get("/charge-points").data["total"]
    for i, text in enumerate(fits):
        name = f"TEXT-{i}"
        s = await Station(server, name).connect()
        await s.call("BootNotification", {"chargePointVendor": text, "chargePointModel": text, "chargePointSerialNumber": text, "firmwareVersion": text, "iccid": text, "imsi": text, "meterType": text, "meterSerialNumber": text})
        await s.call("StatusNotification", {"connectorId": 1, "errorCode": "OtherError", "status": "Faulted", "info": text, "vendorId": text, "vendorErrorCode": text})
        await s.call("DataTransfer", {"vendorId": text, "messageId": text, "data": text})
        await s.call("Authorize", {"idTag": text})
        await s.call("StartTransaction", {"connectorId": 1, "idTag": text, "meterStart": 0, "timestamp": "2026-03-01T00:00:00Z"})
        await s.close()
        cp = server.get("/charge-points/" + name).data
        for field in ("vendor", "model", "serial_number", "firmware_version", "iccid", "imsi", "meter_type", "meter_serial_number"):
            check(f"{text!r} as {field}", cp is not None and cp[field] == text, cp and cp[field])
        rows = server.get("/transactions?charge_point_id=" + name).data["list"]
        check(f"{text!r} as idTag", len(rows) == 1 and rows[0]["id_tag"] == text, rows)
        events = server.get(f"/events?charge_point_id={name}&limit=100").data["list"]
        payloads = {e["eventType"]: e["payload"] for e in events}
        moved = payloads.get("data_transfer.received", {})
        check(f"{text!r} through DataTransfer", (moved.get("vendorId"), moved.get("messageId"), moved.get("data")) == (text, text, text), payloads)
        state = payloads.get("charge_point.status_changed") or payloads.get("connector.status_changed") or next((p for t, p in payloads.items() if "status" in t), {})
        check(f"{text!r} as info", state.get("info") == text and state.get("vendorErrorCode") == text, payloads)
        check(f"{text!r} as Authorize's tag", payloads.get("authorization.requested", {}).get("idTag") == text, payloads)
        frames_seen = server.get(f"/charge-points/{name}/messages?limit=100").data["list"]
        check(f"{text!r} stands in the raw frames", sum(json.dumps(text)[1:-1] in m["text"] or text in m["text"] for m in frames_seen) >= 4, frames_seen[:2])
        found = server.get("/charge-points?vendor=" + urllib.parse.quote(text)).data if "\0" not in text else {"total": 1}
        check(f"{text!r} is found as it is, and nothing else", found is not None and found["total"] == 1, found)
        if "\0" not in text and text not in ("../../x",):
            made = server.put("/id-tags/" + urllib.parse.quote(text, safe=""), {"status": "accepted", "note": text})
            got = server.get("/id-tags/" + urllib.parse.quote(text, safe=""))
            check(f"{text!r} as a tag of ours", made.status in (200, 201, 422) and (made.status == 422 or got.data and got.data["note"] == text), (made.text, got.text))
    check("a station for each, and no more", server.get("/charge-points").data["total"] == before + len(fits))
    s = await Station(server, "LONG").connect()
    await s.boot()
    for text in hostile_api.LONG_TEXTS:
        await s.call("DataTransfer", {"vendorId": "v", "data": text})
    got = [e["payload"].get("data") for e in server.get("/events?charge_point_id=LONG&type=data_transfer.received&limit=100").data["list"]]
    check("long texts come back as they were", got == hostile_api.LONG_TEXTS, [g[:20] if g else g for g in got])
    await s.close()


def talk(server, data, parts=None):
    """(status, body) of one bare HTTP request; (0, b"") when it is closed without a word."""
    wire = Wire(server.api)
    send_all(wire, parts or [data])
    head = wire.head()
    try:
        while wire._more():
            pass
    except TimeoutError:
        pass
    body = wire.rest
    wire.close()
    return (status_of(head) or 0), head, body


def api_heads(server, admin):
    """All that is answered until the server ends the connection: NEXT asks it to, where it has not done so before."""
    for row, text, want in hostile_api.HEADS:
        for how, parts in pieces(hostile_api.head_bytes(text, admin)):
            wire = Wire(server.api)
            send_all(wire, parts)
            while wire._more():
                pass
            got = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", wire.rest) if status != b"100"]
            check(f"api head: {row}{how}", got == want, (got, want, wire.rest[:300]))
            check(f"api head: {row}{how}: an envelope says why", wire.rest.count(b'{"code":') == len(got) or "HEAD" in row, wire.rest[:300])
            wire.close()
        check(f"api head: {row}: nothing hidden was obeyed", server.get("/charge-points/OK").status == 200)


def api(server, keys):
    for row, method, path, want, o in hostile_api.ROWS:
        key = f"Authorization: Bearer {keys[o['key']]}\r\n" if o["key"] in keys else f"Authorization: {o['key']}\r\n" if o["key"] else ""
        body = o["body"]
        lines = "" if body is None else f"Content-Length: {len(body)}\r\n" + (f"Content-Type: {o['type']}\r\n" if o["type"] else "")
        data = f"{method} {path.format(**keys) if '{admin}' in path else path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{key}{o['headers']}{lines}\r\n".encode("latin-1") + (body or b"")
        if "Connection: Upgrade" in o["headers"]:
            data = data.replace(b"Connection: close\r\n", b"").replace(b"Connection: Upgrade", b"Connection: Upgrade, close")
        for how, parts in pieces(data):
            got, head, answer = talk(server, data, parts)
            wanted = want if isinstance(want, tuple) else (want, 200) if want == 201 else (want,)
            check(f"api: {row}{how}", got in wanted, (got, wanted, answer[:300]))
            if path.startswith("/api/v1/") and got >= 400 and got not in (414, 431):
                envelope = json.loads(answer) if answer.startswith(b"{") else {}
                check(f"api: {row}{how}: an envelope says why", {"code", "message", "trace_id"} <= set(envelope), answer[:300])
            check(f"api: {row}{how}: nothing of it becomes a header or a page", b"\x1b" not in head and (not answer or b"application/json" in head), head)
    api_heads(server, keys["admin"])
    check("api: nobody made a key", sorted(k["role"] for k in server.get("/api-keys").data["list"]) == ["admin", "operator", "viewer"])
    names = os.listdir(os.path.join(server.data, "files"))
    check("api: each file has its row, and nothing else is there", server.get("/files").data["total"] == len(names) > 0, names)
    answer = server.put("/charge-points/HTML", {"name": "<script>alert(1)</script>"})
    check("api: markup is data, and is said to be", answer.headers["Content-Type"].startswith("application/json"), dict(answer.headers))


class Slow:
    """Begins a request and never ends it; how long the server bears it."""

    def __init__(self, server, row, data, drip):
        self.row, self.drip, self.took_s, self.is_over = row, drip, None, False
        self.wire = Wire(server.api, timeout=0.5)
        self.wire.send(data)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        began = time.monotonic()
        while time.monotonic() - began < 2 * SLOW_END_S:
            try:
                if self.drip:
                    self.wire.send(self.drip)
                piece = self.wire.socket.recv(4096)
                if not piece:
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self.took_s = time.monotonic() - began

    def check(self):
        self.thread.join()
        self.wire.close()
        check(f"slow: {self.row}: ended by the server in time", self.took_s < SLOW_END_S, self.took_s)


def log_is_clean(server):
    lines = server.log().split("\n")
    odd = [line for line in lines if line and not LINE.fullmatch(line)]
    check("the log has nothing but its own lines", odd == [], odd[:3])
    check("and says what it refused", all(any(f"event={e} " in line for line in lines) for e in ("upgrade.refused", "frame.garbage", "call.refused")))
    check("nothing is damaged", not any(e in server.log() for e in ("log.damaged", "store.unreadable", "level=error")), [line for line in lines if "level=error" in line][:3])


def main():
    with Server("device.auth_failures_per_minute=100000", "events.mass_disconnect_count=100000", f"files.max_bytes={hostile_api.FILE_MAX}") as server:
        keys = {"admin": server.key, **{role: server.post("/api-keys", {"name": role, "role": role}).data["key"] for role in ("viewer", "operator")}}
        put = f"PUT /api/v1/charge-points/SLOW HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n".encode()
        post = f"POST /api/v1/files?name=slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nContent-Type: application/octet-stream\r\nContent-Length: 60000\r\n\r\n".encode()
        slow = [Slow(server, "a head that stops", b"GET /healthz HT", b""), Slow(server, "a head that drips", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ", b"b"),
                Slow(server, "a file that stops", post + b"x", b""), Slow(server, "a file that drips", post + b"x", b"x"),
                Slow(server, "a body that stops", put + b"{", b""), Slow(server, "a body that drips", put + b"{", b" "), Slow(server, "nothing said", b"", b"")]
        witness = Witness(server)
        for name, part in (("heads", heads), ("frames", frames), ("calls", calls)):
            part(server)
            witness.look(name)
        asyncio.run(strangers_transactions(server))
        asyncio.run(texts(server))
        witness.look("texts")
        api(server, keys)
        witness.look("the API")
        for s in slow:
            s.check()
        check("the API answers", server.get("/charge-points").status == 200)
        check("nobody of them got in as another", server.get("/charge-points/OTHER").status == 404)
        until(lambda: metric(server, "gateway_frames_ignored_total") > 40, "what was no message is counted")
        log_is_clean(server)
        # not splitlines(): a line of JSON may hold U+0085 and U+2028 as they are
        out = subprocess.run([server.binary, "tail", "--data", server.data, "--no-follow", "--since", "1", "--format", "json", "--all"], capture_output=True, timeout=120)
        events = [json.loads(line) for line in out.stdout.split(b"\n") if line]
        check("tail: one event, one line", out.returncode == 0 and len(events) > 500, (len(events), out.stderr))
    report()


main()
