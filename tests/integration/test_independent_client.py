"""An OCPP client that is not ours (the MIT-licensed Python library "ocpp") boots, authorises, starts, meters and stops; what it did is at the
API as a session with the right energy, a curve and its history; tail and the event stream showed each event in order; a remote
start and a remote stop from the API reached it and came back as outcome and event."""
import asyncio, json, os, subprocess, sys, threading, urllib.request, uuid
sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

PEER = "ocpp==2.1.0"


def with_peer():
    """Goes on in an environment of its own that has the library; SKIPPED where it cannot be had."""
    try:
        import ocpp  # noqa: F401
        return
    except ImportError:
        pass
    home = os.path.join(os.environ.get("CHARGELINE_BUILD", "build"), "peer-venv")
    python = os.path.join(home, "bin", "python3")
    if "CHARGELINE_PEER" not in os.environ:
        if not os.path.exists(os.path.join(home, "ready")):
            for step in (["/usr/bin/python3", "-m", "venv", "--system-site-packages", home], [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", PEER]):
                done = subprocess.run(step, capture_output=True, text=True)
                if done.returncode != 0:
                    print("SKIPPED: the independent client cannot be installed: " + (done.stderr or done.stdout).strip().splitlines()[-1])
                    print("0 passed, 0 failed")
                    sys.exit(0)
            open(os.path.join(home, "ready"), "w").close()
        os.environ["CHARGELINE_PEER"] = "1"
        os.execv(python, [python] + sys.argv)


with_peer()
import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action, RegistrationStatus, RemoteStartStopStatus
from harness import Server, check, report, until

TAG = "04A2B3C4D5E680"


class Peer(ChargePoint):
    remote_started = remote_stopped = None

    @on(Action.remote_start_transaction)
    def started(self, id_tag, **more):
        self.remote_started = (id_tag, more)
        return call_result.RemoteStartTransaction(status=RemoteStartStopStatus.accepted)

    @on(Action.remote_stop_transaction)
    def stopped(self, transaction_id, **_):
        self.remote_stopped = transaction_id
        return call_result.RemoteStopTransaction(status=RemoteStartStopStatus.accepted)


class Stream(threading.Thread):
    """Reads /events/stream until it is told to stop by the server's end."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.events, self.ids, self.is_open = [], [], threading.Event()
        self.request = urllib.request.Request(f"http://{server.api}/api/v1/events/stream", headers={"Authorization": "Bearer " + server.key})

    def run(self):
        try:
            with urllib.request.urlopen(self.request, timeout=60) as r:
                self.is_open.set()
                for line in r:
                    text = line.decode().rstrip("\n")
                    if text.startswith("id:"):
                        self.ids.append(int(text[3:]))
                    elif text.startswith("data:"):
                        self.events.append(json.loads(text[5:]))
        except OSError:
            pass


def sample(time, wh, power):
    return {"timestamp": time, "sampled_value": [{"value": str(wh), "unit": "Wh", "measurand": "Energy.Active.Import.Register"},
                                                 {"value": str(power), "unit": "W", "measurand": "Power.Active.Import"}, {"value": "230.1", "unit": "V", "measurand": "Voltage"}]}


async def charge(peer, server, reason):
    a = await peer.call(call.Authorize(id_tag=TAG))
    check("the tag is accepted", a.id_tag_info["status"] == "Accepted", a)
    start = await peer.call(call.StartTransaction(connector_id=1, id_tag=TAG, meter_start=1000, timestamp="2026-03-01T09:00:00Z" if reason == "Local" else "2026-03-01T10:00:00Z"))
    hour = "09" if reason == "Local" else "10"
    check("the start is accepted", start.id_tag_info["status"] == "Accepted" and start.transaction_id > 0, start)
    for minute, wh, power in [(5, 1500, 7200), (10, 2300, 7400), (15, 2900, 3000)]:
        await peer.call(call.MeterValues(connector_id=1, transaction_id=start.transaction_id, meter_value=[sample(f"2026-03-01T{hour}:{minute:02}:00Z", wh, power)]))
    if reason == "Remote":
        return start.transaction_id
    stop = await peer.call(call.StopTransaction(meter_stop=3250, timestamp=f"2026-03-01T{hour}:20:00Z", transaction_id=start.transaction_id, reason=reason, id_tag=TAG))
    check("the stop is answered with a verdict", stop.id_tag_info["status"] == "Accepted", stop)
    return start.transaction_id


async def life(server, stream):
    async with websockets.connect(f"ws://{server.ocpp}/ocpp/PEER-1", subprotocols=["ocpp1.6"]) as ws:
        peer = Peer("PEER-1", ws)
        reading = asyncio.ensure_future(peer.start())
        boot = await peer.call(call.BootNotification(charge_point_model="Post-22", charge_point_vendor="Acme"))
        check("the boot is accepted", boot.status == RegistrationStatus.accepted and boot.interval > 0, boot)
        await peer.call(call.StatusNotification(connector_id=1, error_code="NoError", status="Available"))
        await peer.call(call.Heartbeat())
        one = await charge(peer, server, "Local")
        r = await asyncio.to_thread(server.post, "/charge-points/PEER-1/commands", {"action": "RemoteStartTransaction", "payload": {"idTag": TAG, "connectorId": 1}})
        check("the remote start came back with its outcome", r.status == 200 and (r.data["outcome"], r.data["status"]) == ("answered", "Accepted"), r.text)
        check("the remote start reached the client", peer.remote_started and peer.remote_started[0] == TAG, peer.remote_started)
        two = await charge(peer, server, "Remote")
        r = await asyncio.to_thread(server.post, "/charge-points/PEER-1/commands", {"action": "RemoteStopTransaction", "payload": {}, "transaction_id": str(two)})
        check("the remote stop came back with its outcome", r.status == 200 and (r.data["outcome"], r.data["status"]) == ("answered", "Accepted"), r.text)
        check("the remote stop reached the client with its id", peer.remote_stopped == two, (peer.remote_stopped, two))
        await peer.call(call.StopTransaction(meter_stop=3000, timestamp="2026-03-01T10:20:00Z", transaction_id=two, reason="Remote"))
        reading.cancel()
    return str(one), str(two)


def check_session(server, transaction, energy):
    def done():
        r = server.get("/charging/sessions?device_id=PEER-1&limit=10")
        return [s for s in (r.data or {}).get("list", []) if str(s.get("transaction_id")) == transaction and s["status"] == "completed"]
    found = until(done, f"session of transaction {transaction} completed at the API")
    if not found:
        print(server.get("/charging/sessions?limit=10").text)
        return
    s = server.get("/charging/sessions/" + found[0]["session_id"]).data
    check("its energy is the difference of the meter", s["total_energy"] == energy, s)
    check("its greatest power was seen", s["max_power"] == 7400, s["max_power"])
    check("its device and port", (s["device_id"], s["port_number"]) == ("PEER-1", 1), s)
    types = [e.get("event_type", e.get("type")) for e in s["event_history"]]
    check("its history begins with the start and ends with the stop", types and types[0] == "transaction.started" and types[-1] == "transaction.stopped", s["event_history"])
    curve = server.get(f"/charging/sessions/{s['session_id']}/curve")
    points = curve.data["list"] if isinstance(curve.data, dict) else curve.data
    check("its curve has the power at each time", points and [p["power_w"] for p in points if p["power_w"] is not None] == [7200, 7400, 3000], curve.text[:800])


def main():
    with Server() as server:
        server.accept_tag(TAG)
        stream = Stream(server)
        stream.start()
        check("the event stream opens", stream.is_open.wait(20))
        one, two = asyncio.run(life(server, stream))
        check_session(server, one, 2250)
        check_session(server, two, 2000)
        tailed = server.tail("--station", "PEER-1")
        want = (["charge_point.connected", "connector.status_changed", "authorization.requested", "transaction.started"] + ["transaction.meter_values"] * 3 + ["transaction.stopped", "command.response", "authorization.requested", "transaction.started"]
                + ["transaction.meter_values"] * 3 + ["command.response", "transaction.stopped", "charge_point.disconnected"])
        check("tail shows each event in order", [e["eventType"] for e in tailed] == want, [e["eventType"] for e in tailed])
        until(lambda: len([e for e in stream.events if e["chargePointId"] == "PEER-1"]) >= len(want), "the stream shows as many")
        streamed = [e for e in stream.events if e["chargePointId"] == "PEER-1"]
        check("the stream shows the same events in the same order", [e["eventId"] for e in streamed] == [e["eventId"] for e in tailed])
        check("the stream's ids rise", stream.ids == sorted(stream.ids))
        commands = [e["payload"] for e in tailed if e["eventType"] == "command.response"]
        check("both commands are events with their status", [(c["commandName"], c["status"]) for c in commands] == [("RemoteStartTransaction", "Accepted"), ("RemoteStopTransaction", "Accepted")], commands)
    report()


main()
