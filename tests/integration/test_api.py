"""The API of the running program: what a command becomes, what a repeat gets after a restart, how fast a stream is, what becomes of
those who are slow, where the first key is."""
import asyncio, http.client, json, os, socket, stat, threading, time

from harness import Server, Station, check, report, until


def host_port(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


class Stream:
    """A reader of server-sent events: (id, type, data) into a list."""

    def __init__(self, server, query="", last=None):
        self.events, self.seen = [], threading.Event()
        self.connection = http.client.HTTPConnection(server.api, timeout=60)
        headers = {"Authorization": "Bearer " + server.key, **({"Last-Event-ID": str(last)} if last is not None else {})}
        self.connection.request("GET", "/api/v1/events/stream" + query, headers=headers)
        self.answer = self.connection.getresponse()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        fields = {}
        try:
            while line := self.answer.readline().decode():
                line = line.rstrip("\n")
                if line == "" and "data" in fields:
                    self.events.append((fields.get("id"), fields.get("event"), json.loads(fields["data"]), time.monotonic()))
                    fields = {}
                elif line.startswith(":"):
                    self.seen.set()
                elif ":" in line:
                    name, value = line.split(":", 1)
                    fields[name] = value.lstrip(" ")
        except (OSError, ValueError, http.client.HTTPException):
            pass  # the end of the server is the end of the stream

    def types(self):
        return [e[1] for e in self.events]


def test_slow(server):
    """Begun first and looked at last: a head and a body that trickle, each ended by the server within its limits."""
    trickling = []
    for start in (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ",
                  b"POST /api/v1/api-keys HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + server.key.encode() +
                  b"\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"):
        s = socket.create_connection(host_port(server.api))
        s.sendall(start)
        trickling.append(s)
    ended = {}

    def trickle(i, s):
        begun = time.monotonic()
        s.settimeout(0.5)
        while time.monotonic() - begun < 40:
            try:
                s.sendall(b"a")
                if s.recv(4096) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        ended[i] = time.monotonic() - begun
        s.close()

    threads = [threading.Thread(target=trickle, args=(i, s)) for i, s in enumerate(trickling)]
    for t in threads:
        t.start()

    def look():
        for t in threads:
            t.join()
        check("a head that trickles is ended", 5 < ended[0] < 15, ended)
        check("a body that trickles is ended", 3 < ended[1] < 12, ended)

    return look


async def test_commands(server):
    post = lambda body, **kw: asyncio.to_thread(server.post, "/charge-points/CP1/commands", body, **kw)
    s = await Station(server, "CP1").connect()
    await s.boot()
    s.on_call["Reset"] = {"status": "Accepted"}
    body = {"action": "Reset", "payload": {"type": "Soft"}}
    first = await post(body, headers={"Idempotency-Key": "reset-1"})
    check("a command comes back with its outcome", first.status == 200 and first.data["status"] == "Accepted", first.text)
    got = await asyncio.to_thread(server.get, "/commands/" + first.data["command_id"])
    check("and is there to be read at once", got.status == 200 and got.data["state"] == "done", got.text)
    listed = await asyncio.to_thread(server.get, "/charge-points/CP1/commands?sort=-queued_at")
    check("and in the station's list", listed.data["list"][0]["command_id"] == first.data["command_id"], listed.text)
    again = await post(body, headers={"Idempotency-Key": "reset-1"})
    check("a repeat gets the first answer", again.text == first.text, again.text)
    check("and was not sent again", len([c for c in s.calls if c[0] == "Reset"]) == 1, s.calls)
    other = await post({"action": "Reset", "payload": {"type": "Hard"}}, headers={"Idempotency-Key": "reset-1"})
    check("another body is refused", other.status == 422 and other.code == "IDEMPOTENCY_KEY_REUSED", other.text)
    r = await post({"action": "Fly"})
    check("an action that is none", r.status == 422 and r.code == "UNKNOWN_COMMAND", r.text)
    r = await post({"action": "Reset", "payload": {"type": "Gentle"}})
    check("a payload that is not allowed", r.status == 422 and r.code == "INVALID_COMMAND_PAYLOAD" and r.json["details"], r.text)
    s.on_call["ClearCache"] = None  # no answer
    r = await post({"action": "ClearCache", "wait_s": 0})
    check("who does not wait gets 202", r.status == 202 and r.data["state"] in ("queued", "sent") and r.data["outcome"] is None, r.text)
    await s.close()
    done = await asyncio.to_thread(until, lambda: (lambda a: a.data if a.data["state"] == "done" else None)(server.get("/commands/" + r.data["command_id"])),
                                   "the command comes to its outcome")
    check("sent and unknown", done and done["outcome"] == "unknown", done)
    r = await post({"action": "Reset", "payload": {"type": "Soft"}, "expires_in_s": 1})
    check("to a station that is away: not sent", r.status == 200 and r.data["outcome"] == "not_sent" and r.data["reason"], r.text)
    return first


async def test_stream(server):
    stream, filtered = Stream(server), Stream(server, "?charge_point_id=CP3&type=connector.status_changed")
    check("it begins", stream.seen.wait(20) and filtered.seen.wait(20))
    s = await Station(server, "CP3").connect()
    await s.boot()
    sent = []
    for i in range(20):
        sent.append(time.monotonic())
        await s.status(1, "Available" if i % 2 else "Preparing")
    await asyncio.to_thread(until, lambda: stream.types().count("connector.status_changed") >= 20, "all events come")
    arrived = [e[3] for e in stream.events if e[1] == "connector.status_changed"]
    lags = sorted(a - b for a, b in zip(arrived, sent))
    check("within 20 ms of their message, as a rule", lags[len(lags) // 2] < 0.02, lags)
    ids = [int(e[0]) for e in stream.events]
    check("in order", ids == sorted(ids))
    check("as published", all(e[2]["chargePointId"] == "CP3" and e[2]["eventType"] == e[1] for e in stream.events if e[1].startswith("connector")))
    resumed = Stream(server, last=ids[0])
    await asyncio.to_thread(until, lambda: len(resumed.events) >= len(ids) - 1, "a resumed stream comes to the same end")
    check("without a gap", [int(e[0]) for e in resumed.events][:len(ids) - 1] == ids[1:], (ids, [e[0] for e in resumed.events]))
    await asyncio.to_thread(until, lambda: len(filtered.events) >= 20, "what fits the filter comes")
    check("and nothing else", set(filtered.types()) == {"connector.status_changed"}, filtered.types())
    listed = await asyncio.to_thread(server.get, "/events?limit=1000&charge_point_id=CP3")
    check("the list has the same", [e["position"] for e in listed.data["list"]] == ids, listed.text[:300])
    frames = await asyncio.to_thread(server.get, "/charge-points/CP3/messages?limit=2")
    check("the newest frames first: our answer, then the call", [f["direction"] for f in frames.data["list"]] == ["out", "in"] and
          frames.data["list"][1]["action"] == "StatusNotification", frames.text[:600])
    await s.close()
    return stream


def test_first_key():
    with Server() as server:
        path = os.path.join(server.data, "admin.key")
        check("the first key's file is its owner's", stat.S_IMODE(os.stat(path).st_mode) == 0o600, oct(os.stat(path).st_mode))
        check("it is in no log", server.key not in server.log())
        first = server.key
        check("it works", server.get("/api-keys").status == 200)
        store = open(os.path.join(server.data, [f for f in os.listdir(server.data) if f.endswith(".db")][0]), "rb").read()
        check("and is not in the store", first.encode() not in store)
        server.stop()
        server.start()
        check("it is made once", server.key == first and server.get("/system").status == 200)
        server.stop()
        server.env = {"CHARGELINE_ADMIN_KEY": "a-key-that-was-preset"}
        server.start()
        check("a preset takes its place", server.key == "a-key-that-was-preset" and server.get("/system").status == 200)
        check("and the first ends", server.get("/system", key=first).status == 401)


def test_failures(server):
    """Last: after it this address waits."""
    statuses = [server.get("/system", key="wrong-" + str(i)).status for i in range(80)]
    check("wrong keys are refused, then not looked at", statuses[0] == 401 and statuses[-1] == 429, statuses)
    answer = server.get("/system")
    check("nor is a right one, for a moment", answer.status == 429 and int(answer.headers["Retry-After"]) >= 1, answer.status)
    check("what needs no key answers", server.get("/healthz", key=None).status == 200)


def test_metrics_listener():
    with Server("listen.metrics=127.0.0.1:0") as server:
        check("with an own address, /metrics is not on the API's", server.get("/metrics", key=None).status == 404)


async def main():
    test_first_key()
    test_metrics_listener()
    with Server("commands.reconnect_grace_s=0") as server:
        look = test_slow(server)
        first = await test_commands(server)
        stream = await test_stream(server)
        await asyncio.to_thread(look)
        made = server.post("/api-keys", {"name": "x", "role": "viewer"}, headers={"Idempotency-Key": "key-1"})
        server.stop()
        check("the end of the server is said to who listens", until(lambda: "stream.end" in stream.types(), "the stream ends"), stream.types()[-3:])
        server.start()
        again = server.post("/charge-points/CP1/commands", {"action": "Reset", "payload": {"type": "Soft"}}, headers={"Idempotency-Key": "reset-1"})
        check("a repeat after a restart gets the first answer", again.status == 200 and again.text == first.text, again.text)
        key = server.post("/api-keys", {"name": "x", "role": "viewer"}, headers={"Idempotency-Key": "key-1"})
        check("a key is made once, and shown once", key.data["api_key_id"] == made.data["api_key_id"] and key.data["key"] is None, key.text)
        test_failures(server)
    report()


asyncio.run(main())
