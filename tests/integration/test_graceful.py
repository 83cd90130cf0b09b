"""A stop with 10,000 stations: no answer lost, all closed with 1001, the log sealed behind its last event, under 5 seconds. Ten
of them are ours, to see what a station sees; the rest is the simulator's. SKIPPED where so many descriptors cannot be had."""
import asyncio, contextlib, os, resource, signal, sqlite3, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import BIN, Server, Station, check, report, until, until_async

STATIONS = 10000
OURS = 10
STOP_S = 5


def connected(server):
    return server.get("/system").data["connections"]["stations"]


async def life(server):
    ours = [await Station(server, f"OURS-{i}").connect() for i in range(OURS)]
    for s in ours:
        await s.boot()
    answered = []

    async def talk(s):
        n = 0
        try:
            while True:
                n += 1
                answered.append((s.identity, (await s.frame("DataTransfer", {"vendorId": f"v{n}"}, f"{s.identity}-{n}"))[1]))
        except (ConnectionError, asyncio.TimeoutError, Exception) as e:  # the end that we wait for
            return type(e).__name__

    talks = [asyncio.ensure_future(talk(s)) for s in ours]
    await until_async(lambda: len(answered) > 200, "our stations are answered")
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    code = await asyncio.to_thread(server.process.wait, 60)
    took = time.monotonic() - began
    await asyncio.gather(*talks)
    await asyncio.wait([asyncio.ensure_future(s.ws.wait_closed()) for s in ours], timeout=10)
    check("the server stops with 0", code == 0, server.log()[-500:])
    check(f"with {STATIONS} stations it stops within {STOP_S} s", took < STOP_S, took)
    check("each of our stations was told 1001", [s.ws.close_code for s in ours] == [1001] * OURS, [s.ws.close_code for s in ours])
    print(f"stopped in {took:.2f} s with {STATIONS} stations, {len(answered)} answers given to ours")
    return answered


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < STATIONS + 500:
        print(f"SKIPPED: a process may hold only {hard} descriptors")
        check("there is nothing to check", True)
        report()
    with Server("logging.level=warn") as server:
        fleet = subprocess.Popen([BIN, "sim", "--url", f"ws://{server.ocpp}/ocpp", "--stations", str(STATIONS), "--idle", "--connects", "4000"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: connected(server) >= STATIONS, "all stations are connected", timeout=120)
            answered = asyncio.run(life(server))
        finally:
            fleet.kill()
            fleet.wait()
        server.stderr_file.close()
        left = [f for f in os.listdir(os.path.join(server.data, "log")) if f.endswith(".new")]
        check("the log is whole in its files", left == [], left)
        events = server.tail()
        told = {(e["chargePointId"]) for e in events if e["eventType"] == "charge_point.disconnected" and e["payload"]["reason"] == "server_shutdown"}
        check("every station's end is an event with its reason", len(told) == STATIONS + OURS, len(told))
        kept = {(e["chargePointId"], e["payload"]["vendorId"]) for e in events if e["eventType"] == "data_transfer.received"}
        lost = [a for a in answered if (a[0], "v" + a[1].rsplit("-", 1)[1]) not in kept]
        check("no answer was lost", not lost, lost[:5])
        with contextlib.closing(sqlite3.connect(os.path.join(server.data, "store.db"))) as store:
            online = store.execute("SELECT count(*) FROM charge_points WHERE online = 1").fetchone()[0]
        check("the tables say that nobody is online", online == 0, online)
        doctor = subprocess.run([BIN, "doctor", "--data", server.data], capture_output=True, text=True)
        check("doctor finds nothing bad", doctor.returncode == 0, doctor.stdout)
    report()


main()
