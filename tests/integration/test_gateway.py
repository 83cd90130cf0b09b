"""Who may connect, who takes whose place, and what becomes of commands: ocpp16.md 1, 2.5, 2.6, 10.1; gateway-contract.md 2."""
import asyncio, base64, http.client, json, os, socket, sys, threading, time
sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, Station, check, report, until, until_async


def upgrade(server, path, headers="", protocol="Sec-WebSocket-Protocol: ocpp1.6\r\n", connection="Connection: Upgrade\r\n"):
    """The status of a bare upgrade request."""
    host, port = server.ocpp.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as s:
        s.sendall((f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n{connection}Sec-WebSocket-Version: 13\r\n"
                   f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{protocol}{headers}\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = s.recv(4096)
            if not piece:
                break
            head += piece
        rest = head.split(b"\r\n\r\n", 1)[1] if b"\r\n\r\n" in head else b""
        status = int(head.split(b" ")[1]) if head else 0
        if status == 101 and not rest:
            s.settimeout(0.2)
            try:
                rest = s.recv(100)
            except TimeoutError:
                rest = b""
        return status, head.decode("latin-1"), rest


def basic(identity, password):
    return "Authorization: Basic " + base64.b64encode(identity.encode() + b":" + password).decode() + "\r\n"


def who_may_connect(server):
    key = "0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF"
    raw = bytes.fromhex(key)
    check("a station with a secret is made", server.put("/charge-points/AL1000", {"registration": "accepted", "secret": key}).status in (200, 201))
    check("a rejected station is made", server.put("/charge-points/OUT", {"registration": "rejected"}).status in (200, 201))
    rows = [
        ("1.1 a plain identity", "/ocpp/A1", "", 101), ("1.1 a second endpoint", "/ocpp16/A1", "", 101), ("1.1 one trailing slash", "/ocpp/A1/", "", 101),
        ("1.1 an encoded blank", "/ocpp/RDAM%20123", "", 101), ("1.1 an encoded slash is data", "/ocpp/a%2Fb", "", 101), ("1.1 a query is dropped", "/ocpp/A1?x=1", "", 101),
        ("1.1 a bad escape", "/ocpp/a%zz", "", 400), ("1.1 bad UTF-8", "/ocpp/%ff", "", 400), ("1.1 a control character", "/ocpp/a%00", "", 400),
        ("1.1 no identity", "/ocpp/", "", 400), ("1.1 two segments", "/ocpp/a/b", "", 404), ("1.1 another path", "/other/a", "", 404), ("1.1 too long", "/ocpp/" + "x" * 256, "", 400),
        ("1.4 the raw bytes of the key", "/ocpp/AL1000", basic("AL1000", raw), 101), ("1.4 its hexadecimal text", "/ocpp/AL1000", basic("AL1000", key.encode()), 101),
        ("1.4 in lower case", "/ocpp/AL1000", basic("AL1000", key.lower().encode()), 101), ("1.4 the wrong key", "/ocpp/AL1000", basic("AL1000", raw[:-1]), 401),
        ("1.4 no key", "/ocpp/AL1000", "", 401), ("1.4 another user name", "/ocpp/AL1000", basic("AL1001", raw), 401), ("1.4 no base64", "/ocpp/AL1000", "Authorization: Basic ???\r\n", 401),
        ("10.1 a rejected station may connect and boot", "/ocpp/OUT", "", 101),
    ]
    for row, path, headers, want in rows:
        status, head, _ = upgrade(server, path, headers)
        check(row, status == want, (status, head))
        if want == 401:
            check(f"{row}: the challenge is there", "www-authenticate: basic" in head.lower(), head)
    for row, protocol, want in [("1.2 ocpp1.6 out of several", "Sec-WebSocket-Protocol: ocpp2.0.1, ocpp1.6\r\n", "ocpp1.6"), ("1.2 over two lines", "Sec-WebSocket-Protocol: ocpp2.0.1\r\nSec-WebSocket-Protocol: ocpp1.6\r\n", "ocpp1.6"), ("39 none at all", "", None)]:
        status, head, _ = upgrade(server, "/ocpp/P1", protocol=protocol)
        line = [l for l in head.splitlines() if l.lower().startswith("sec-websocket-protocol:")]
        check(row, status == 101 and (line == [] if want is None else len(line) == 1 and line[0].split(":")[1].strip() == want), head)
    status, head, rest = upgrade(server, "/ocpp/P2", protocol="Sec-WebSocket-Protocol: ocpp2.0.1\r\n")
    check("1.2 no common protocol: upgraded without the header, closed with 1002", status == 101 and "sec-websocket-protocol" not in head.lower() and rest[:4] == b"\x88" + rest[1:2] + (1002).to_bytes(2, "big"), (head, rest))
    check("40 no Connection: Upgrade", upgrade(server, "/ocpp/P3", connection="")[0] == 101)


def too_many_failures():
    """1.3: failures are limited per source address, and a right key does not help while they are."""
    with Server("device.auth_failures_per_minute=3") as server:
        server.put("/charge-points/S1", {"registration": "accepted", "secret": "0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF"})
        statuses = [upgrade(server, "/ocpp/S1", basic("S1", b"wrong"))[0] for _ in range(5)]
        check("1.3 past the limit of failures an address is not looked at", statuses == [401, 401, 401, 429, 429], statuses)
        right = upgrade(server, "/ocpp/S1", basic("S1", bytes.fromhex("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")))[0]
        check("1.3 nor with the right key, for a moment", right == 429, right)
        check("1.3 another station of that address is", upgrade(server, "/ocpp/S2")[0] == 101)


async def boot_policy(server):
    server.put("/charge-points/PEND", {"registration": "pending"})
    s = await Station(server, "PEND").connect()
    b = await s.boot()
    check("10.1 a pending station is told so, with an interval", b["status"] == "Pending" and b["interval"] > 0, b)
    f = await s.frame("StatusNotification", {"connectorId": 0, "errorCode": "NoError", "status": "Available"})
    check("10.1 and nothing else is taken from it", f[0] == 4 and f[2] == "SecurityError", f)
    r = server.post("/charge-points/PEND/commands", {"action": "RemoteStartTransaction", "payload": {"idTag": "A"}})
    check("11.12 a remote start to a pending station is refused by our own API", r.status in (409, 422), r.text)
    s.on_call["TriggerMessage"] = {"status": "Accepted"}
    r = await asyncio.to_thread(server.post, "/charge-points/PEND/commands", {"action": "TriggerMessage", "payload": {"requestedMessage": "StatusNotification"}})
    check("10.1 a trigger is allowed", r.status == 200 and r.data["status"] == "Accepted", r.text)
    check("10.1 and what it asks for is taken", await s.status(0, "Available") == {})
    server.put("/charge-points/PEND", {"registration": "accepted"})
    b = await s.boot()
    for _ in range(50):  # the change reaches the gateway's memory a moment after the API's answer
        if b["status"] == "Accepted":
            break
        b = await s.boot()
    check("10.1 accepted by a person, it is accepted at its next boot", b["status"] == "Accepted", b)
    await s.close()
    out = await Station(server, "OUT").connect()
    check("10.1 a rejected station is told so", (await out.boot())["status"] == "Rejected")
    await out.close()


async def take_over(server):
    old = await Station(server, "TWIN").connect()
    await old.boot()
    answered = threading.Event()
    waiting = asyncio.ensure_future(asyncio.to_thread(server.post, "/charge-points/TWIN/commands", {"action": "ClearCache", "payload": {}, "wait_s": 30}))
    await until_async(lambda: any(a == "ClearCache" for a, _ in old.calls), "the command reaches the station")
    new = await Station(server, "TWIN").connect()
    await asyncio.wait_for(old.ws.wait_closed(), 20)
    check("1.6 the older connection is closed", old.ws.closed)
    r = await waiting
    check("2.6 its command was sent and its outcome is unknown", r.status == 200 and (r.data["outcome"], r.data["reason"]) == ("unknown", "CONNECTION_LOST"), r.text)
    check("1.6 an accepted station goes on without a boot", await new.status(1, "Available") == {})
    new.on_call["ClearCache"] = {"status": "Accepted"}
    r = await asyncio.to_thread(server.post, "/charge-points/TWIN/commands", {"action": "ClearCache", "payload": {}})
    check("and the new one gets the commands", r.data and r.data["outcome"] == "answered", r.text)
    await new.close()


async def garbage(server):
    s = await Station(server, "JUNK").connect()
    await s.boot()
    for text in ["", "x", "{}", "[]", "[2]", "[1,\"a\"]", "[2,null,\"Heartbeat\",{}]", "[9,\"x\",{}]", "[3,\"nobody\",{}]", "[4,\"nobody\"]", "[2,\"a\",\"Heartbeat\",{}", "\u0000"]:
        await s.send(text)
    check("52 the connection survives what is no message", (await s.call("Heartbeat", {})).get("currentTime"))
    short = asyncio.get_running_loop().create_future()
    s.waiting["short"] = short
    await s.send('[2,"short","Heartbeat"]')
    f = await asyncio.wait_for(short, 20)
    check("2.3 a call that is too short is a ProtocolError", f[0] == 4 and f[2] == "ProtocolError", f)
    number = asyncio.get_running_loop().create_future()
    s.waiting[17] = number
    await s.send('[2,17,"Heartbeat",{}]')
    check("2.2 an id that is a number is echoed as it came", (await asyncio.wait_for(number, 20))[1] == 17)
    again = []
    for _ in range(2):
        future = asyncio.get_running_loop().create_future()
        s.waiting["same"] = future
        await s.send('[2,"same","DataTransfer",{"vendorId":"v"}]')
        again.append(await asyncio.wait_for(future, 20))
    check("2.2 the same message again gets the same answer", again[0] == again[1], again)
    await s.ws.send(b"\x00\x01")
    await asyncio.wait_for(s.ws.wait_closed(), 20)
    check("1.6 a binary frame is closed with 1003", s.ws.close_code == 1003, s.ws.close_code)


async def commands(server):
    s = await Station(server, "CMD").connect()
    await s.boot()
    s.on_call.update({
        "GetConfiguration": {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": 600}], "unknownKey": []},
        "ChangeConfiguration": {"status": "RebootRequired"}, "Reset": {"status": "Accepted"}, "UnlockConnector": {"status": "UnlockFailed"},
        "ChangeAvailability": {"status": "Scheduled"}, "ClearCache": {"status": "Rejected"}, "DataTransfer": {"status": "Accepted", "data": "d"},
        "TriggerMessage": {"status": "NotImplemented"}, "RemoteStartTransaction": {"status": "Accepted"}, "RemoteStopTransaction": {"status": "Rejected"}})
    rows = [
        ("GetConfiguration", {}, "Accepted"), ("GetConfiguration", {"key": ["HeartbeatInterval"]}, "Accepted"), ("ChangeConfiguration", {"key": "k", "value": "v"}, "RebootRequired"),
        ("Reset", {"type": "Soft"}, "Accepted"), ("UnlockConnector", {"connectorId": 1}, "UnlockFailed"), ("ChangeAvailability", {"connectorId": 0, "type": "Operative"}, "Scheduled"),
        ("ClearCache", {}, "Rejected"), ("DataTransfer", {"vendorId": "v"}, "Accepted"), ("TriggerMessage", {"requestedMessage": "Heartbeat"}, "NotImplemented"),
        ("RemoteStartTransaction", {"connectorId": 1, "idTag": "A"}, "Accepted"), ("RemoteStopTransaction", {"transactionId": 5}, "Rejected"),
    ]
    for action, payload, status in rows:
        r = await asyncio.to_thread(server.post, "/charge-points/CMD/commands", {"action": action, "payload": payload})
        check(f"{action} comes back with {status}", r.status == 200 and r.data and (r.data["outcome"], r.data["status"], r.data["state"]) == ("answered", status, "done"), r.text)
        check(f"{action} reached the station as it was", s.calls and s.calls[-1] == (action, payload), s.calls[-1:])
    for row, body, status in [("an unknown command", {"action": "Dance", "payload": {}}, 422), ("a payload without what it needs", {"action": "Reset", "payload": {}}, 422),
                              ("a word that is none", {"action": "Reset", "payload": {"type": "Gentle"}}, 422), ("a member that nobody knows", {"action": "ClearCache", "payload": {"x": 1}}, 422),
                              ("no payload object", {"action": "ClearCache", "payload": 7}, 400)]:
        r = server.post("/charge-points/CMD/commands", body)
        check(f"{row} is refused with {status}", r.status == status, (r.status, r.text))
    check("a station that nobody knows", server.post("/charge-points/NOBODY/commands", {"action": "ClearCache", "payload": {}}).status == 404)
    # the same id again is not sent again
    before = len(s.calls)
    twice = [await asyncio.to_thread(server.post, "/charge-points/CMD/commands", {"action": "UnlockConnector", "payload": {"connectorId": 1}, "command_id": "11111111-2222-4333-8444-555555555555"}) for _ in range(2)]
    check("a repeated command id gets its first answer and is sent once", len(s.calls) == before + 1 and twice[0].data and twice[0].data["status"] == twice[1].data["status"], (len(s.calls) - before, twice[1].text))
    # one at a time, in order, urgent ones first
    gate = asyncio.Event()
    s.on_call["ClearCache"] = None
    results = [asyncio.ensure_future(asyncio.to_thread(server.post, "/charge-points/CMD/commands", {"action": "ClearCache", "payload": {}, "wait_s": 20}))]
    await until_async(lambda: s.calls[-1][0] == "ClearCache", "the command reaches the station")
    check("2.5 while one is out no other is sent", (await asyncio.to_thread(server.post, "/charge-points/CMD/commands", {"action": "Reset", "payload": {"type": "Soft"}, "wait_s": 0})).status == 202 and s.calls[-1][0] == "ClearCache")
    await s.close()
    r = await results[0]
    check("2.6 sent and not answered when the connection ended", r.data and (r.data["outcome"], r.data["reason"]) == ("unknown", "CONNECTION_LOST"), r.text)
    events = server.tail("--station", "CMD")
    responses = [e for e in events if e["eventType"] == "command.response"]
    check("each command is an event once", len({e["payload"]["commandId"] for e in responses}) == len(responses) >= len(rows) + 2, len(responses))
    rejected = [e["payload"] for e in responses if e["payload"]["commandName"] == "RemoteStopTransaction"]
    check("a device's refusal says so", rejected and rejected[0]["details"].get("reason") == "DEVICE_REJECTED", rejected)
    listed = server.get("/charge-points/CMD/commands?limit=100")
    check("the API lists them", listed.status == 200 and len(listed.data["list"]) >= len(rows), listed.text[:300])
    server.put("/charge-points/NEVER", {"registration": "accepted"})
    r = server.post("/charge-points/NEVER/commands", {"action": "ClearCache", "payload": {}})
    check("a station that is not there: not sent", r.status == 200 and (r.data["outcome"], r.data["reason"]) == ("not_sent", "DEVICE_OFFLINE"), r.text)
    until(lambda: any(c["state"] == "done" for c in server.get("/charge-points/NEVER/commands").data["list"]), "the command is in the tables")
    check("1.6 what we do about a station is no sign of its life", server.get("/charge-points/NEVER").data["last_seen"] is None)


async def mass(server):
    stations = await asyncio.gather(*(Station(server, f"M-{i}").connect() for i in range(20)))
    await asyncio.gather(*(s.boot() for s in stations))
    for s in stations:
        s.ws.transport.abort()
    def told():
        return [e for e in server.tail() if e["eventType"] == "gateway.mass_disconnect"]
    alarm = await asyncio.to_thread(until, told, "many stations lost at once raise one event")
    check("the alarm says how many and where", alarm and alarm[0]["payload"]["count"] >= 10 and alarm[0]["payload"]["networks"] == ["127.0.0.0/24"], alarm)


async def stop_gracefully(server):
    s = await Station(server, "LAST").connect()
    await s.boot()
    pending = [asyncio.ensure_future(s.frame("DataTransfer", {"vendorId": f"v{i}"})) for i in range(30)]
    await asyncio.gather(*pending)
    started = time.monotonic()
    code = await asyncio.to_thread(server.stop)
    await asyncio.wait_for(s.ws.wait_closed(), 20)
    check("a station is told 1001 when the server stops", s.ws.close_code == 1001, s.ws.close_code)
    check("the server stops within its time", time.monotonic() - started < 10)


async def deletion():
    """A station that was deleted is one that nobody knows, though it is still in memory."""
    with Server("device.unknown=reject") as server:
        check("10.1 who is not known is not let in", upgrade(server, "/ocpp/GONE")[0] == 404)
        server.put("/charge-points/GONE", {"registration": "accepted"})
        s = await Station(server, "GONE").connect()
        await s.boot()
        check("it is deleted", server.call("DELETE", "/charge-points/GONE").status == 200)
        await asyncio.wait_for(s.ws.wait_closed(), 20)
        check("2 and its connection closed with 1008", s.ws.close_code == 1008, s.ws.close_code)
        check("10.1 then it is not known any more", upgrade(server, "/ocpp/GONE")[0] == 404)
        server.put("/charge-points/GONE", {"registration": "accepted"})
        check("until it is made again", await asyncio.to_thread(until, lambda: upgrade(server, "/ocpp/GONE")[0] == 101, "it may come in"))


async def queue_rules():
    """What is in the queue is sent only while it is allowed (6), after the boot that is waited for (field-lessons 49), and once an id."""
    with Server("device.unknown=pending", "ocpp.boot_wait_s=1") as server:
        s = await Station(server, "NEW").connect()
        await until_async(lambda: server.get("/charge-points/NEW").status == 200, "a new station is known")
        s.on_call["ClearCache"] = {"status": "Accepted"}
        for action, payload in (("RemoteStartTransaction", {"idTag": "A"}), ("ClearCache", {})):
            r = server.post("/charge-points/NEW/commands", {"action": action, "payload": payload, "wait_s": 0, "expires_in_s": 3})
            check("a command to one that has not booted waits", r.status == 202, r.text)
        check("10.1 it is pending then", (await s.boot())["status"] == "Pending")
        def outcomes():
            rows = server.get("/charge-points/NEW/commands").data["list"]
            return {c["action"]: (c["outcome"], c["reason"]) for c in rows} if all(c["state"] == "done" for c in rows) else None
        done = await asyncio.to_thread(until, outcomes, "both come to an end")
        check("6 a pending station is not started, whenever that was asked for", done["RemoteStartTransaction"] == ("not_sent", "EXPIRED") and s.calls == [("ClearCache", {})], (done, s.calls))
        check("6 but told what it may be told", done["ClearCache"] == ("answered", None), done)
        await s.close()

        server.put("/charge-points/QUIET", {"registration": "accepted"})
        s = await Station(server, "QUIET").connect()
        s.on_call.update({"TriggerMessage": {"status": "NotImplemented"}, "ClearCache": {"status": "Accepted"}})
        r = await asyncio.to_thread(server.post, "/charge-points/QUIET/commands", {"action": "ClearCache", "payload": {}})
        check("49 who does not boot is asked to, then gets its commands", [a for a, _ in s.calls] == ["TriggerMessage", "ClearCache"] and r.data["outcome"] == "answered", (s.calls, r.text))
        await s.close()

        body = {"action": "ClearCache", "payload": {}, "command_id": ""}
        for i in range(20):
            server.put(f"/charge-points/AWAY-{i}", {"registration": "accepted"})
        posts = [asyncio.to_thread(server.post, f"/charge-points/AWAY-{i}/commands", {**body, "command_id": f"{i:08x}-2222-4333-8444-555555555555"}) for i in range(20) for _ in range(4)]
        answers = await asyncio.gather(*posts)
        check("a command id that comes several times at once is one command", all(r.status == 200 and r.data["reason"] == "DEVICE_OFFLINE" for r in answers), [r.text for r in answers if r.status != 200][:1])
        told = [e["payload"]["commandId"] for e in server.tail() if e["eventType"] == "command.response" and e["chargePointId"].startswith("AWAY")]
        check("and has one outcome", sorted(set(told)) == sorted(told) and len(told) == 20, len(told))


def main():
    with Server("events.mass_disconnect_count=10") as server:
        who_may_connect(server)
        for part in (boot_policy, take_over, garbage, commands, mass, stop_gracefully):
            asyncio.run(part(server))
    too_many_failures()
    asyncio.run(deletion())
    asyncio.run(queue_rules())
    report()


main()
