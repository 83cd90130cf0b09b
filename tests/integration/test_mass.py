"""Thousands of stations lost and back at one instant, over and over, and those whose end nobody told us: reliability.md 2.3,
field-lessons.md 15, 19-21."""
import os, socket, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from fleet import Fleet, Silent, metric, rss_kb
from harness import Server, check, report, until

STATIONS = 5000
BACK_MS = 10000
BOOT_P99_US = 1000000     # field-lessons.md 15
ROUNDS = 50
WARM_ROUNDS = 20          # the store's and the log's page caches have their size after some 200,000 events
GROWTH_KB = 2048          # in the rounds after that: 9 bytes a station and round would show
REST_S = 3                # nothing given back for so long: it rests
SILENT = 100
QUIET = "logging.level=warn"


def events(server, kind):
    return [e for e in server.tail("--type", kind) if e["eventType"] == kind]


def all_at_once():
    """5,000 gone by RST in one instant; two further losses in the same hour are the same piece of news."""
    with Server(QUIET, "events.mass_disconnect_window_s=3600") as server, Fleet(server, "M", STATIONS) as fleet:
        first = fleet.ask("connect")
        check("5,000 stations come and boot", first["in"] == STATIONS and first["refused"] == 0, first)
        p99_us = []
        for i in range(3):
            fleet.ask("drop")
            back = fleet.ask("connect")
            check(f"after loss {i + 1} all are back and booted", back["in"] == STATIONS, back)
            check("within 10 s", back["ms"] < BACK_MS, back)
            check("none was refused", back["refused"] == 0 and metric(server, "gateway_connections_refused_total", 'status="503"') == 0, back)
            p99_us.append(back["p99_us"])
            print(f"{STATIONS} back and booted in {back['ms']:.0f} ms, boot p99 {back['p99_us'] / 1000:.0f} ms")
        check("a boot is answered within a second at p99, in a loss in which nobody else had the machine", min(p99_us) < BOOT_P99_US, p99_us)
        beat = fleet.ask("beat 1000 1000 heartbeat")
        check("all are served as before", beat["in"] == STATIONS and beat["count"] > STATIONS * 0.8 and beat["busy"] == 0, beat)
        ended = until(lambda: metric(server, "gateway_connections_ended_total", 'reason="tcp_connection_closed"') >= 3 * STATIONS, "each loss is counted")
        check("and known as what it was", ended)
        told = events(server, "gateway.mass_disconnect")
        check("one alarm in the window", len(told) == 1, told)
        check("it says how many and where", told and told[0]["payload"]["count"] >= 100 and told[0]["payload"]["networks"] == ["127.0.0.0/24"], told)
        check("the log says so once", server.log().count("event=stations.lost") == 1)


def alarm_each_window():
    with Server(QUIET, "events.mass_disconnect_window_s=1", "events.mass_disconnect_count=20") as server, Fleet(server, "W", 30) as fleet:
        for i in range(2):
            fleet.ask("connect")
            fleet.ask("drop")
            until(lambda: server.log().count("event=stations.lost") == i + 1, f"alarm {i + 1}")
            fleet.ask("connect")
            beat = fleet.ask("beat 1300 100 heartbeat") # the window passes
            check("they are back", beat["in"] == 30, beat)
        check("a loss in the next window is told again, and nothing else", len(events(server, "gateway.mass_disconnect")) == 2)
    with Server(QUIET, "events.mass_disconnect_count=20") as server, Fleet(server, "F", 19) as fleet:
        fleet.ask("connect")
        fleet.ask("drop")
        until(lambda: metric(server, "gateway_connections_ended_total", 'reason="tcp_connection_closed"') == 19, "the loss of 19 is seen")
        check("one fewer than it takes is no alarm", events(server, "gateway.mass_disconnect") == [])


def resting_kb(server):
    """Its memory once it rests: what it needed while it was behind is given back when it is quiet."""
    seen = {"least": rss_kb(server), "at": time.monotonic()}

    def rests():
        now = rss_kb(server)
        if now < seen["least"]:
            seen.update(least=now, at=time.monotonic())
        return time.monotonic() - seen["at"] > REST_S

    until(rests, "it comes to rest")
    return seen["least"]


def many_rounds():
    with Server(QUIET) as server, Fleet(server, "R", STATIONS) as fleet:
        sizes, slowest, warm = [], 0, 0
        for i in range(WARM_ROUNDS + ROUNDS):
            if i == WARM_ROUNDS:
                warm = resting_kb(server)
            back = fleet.ask("connect")
            if back["in"] != STATIONS or back["refused"] > 0:
                check(f"round {i}: all come in", False, back)
            slowest = max(slowest, back["ms"])
            fleet.ask("drop")
            sizes.append(rss_kb(server))
        check("the slowest round brought all in within 10 s", slowest < BACK_MS, slowest)
        last = resting_kb(server)
        print(f"{ROUNDS} rounds of {STATIONS}: slowest {slowest:.0f} ms; memory {sizes[0]} kB first, {max(sizes)} at most, {warm} kB at rest "
              f"when it is warm, {last} kB at the end")
        check("memory does not grow with the rounds", last - warm <= GROWTH_KB, (warm, last, sizes[::10]))
        descriptors = until(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) < 100, "no socket stays behind")
        check("nor do descriptors", descriptors)


def half_open():
    """Peers that are there for the kernel and nobody else: they answer no ping."""
    with Server("ocpp.ping_s=1") as server, Fleet(server, "ALIVE", 50) as alive:
        alive.ask("connect")
        silent = [Silent(server, f"GONE-{i}") for i in range(SILENT)]
        check("they came in", all(s.is_in for s in silent))
        ended = until(lambda: metric(server, "gateway_connections_ended_total", 'reason="ping_timeout"') == SILENT,
                      "each is found by its ping", 15)
        check("within two periods and some", ended)
        stations = {e["chargePointId"]: e["payload"]["reason"] for e in events(server, "charge_point.disconnected")}
        check("the event says why", all(stations.get(f"GONE-{i}") == "ping_timeout" for i in range(SILENT)), list(stations.items())[:5])
        check("who answers its pings stays", alive.ask("lost")["lost"] == 0)
        for s in silent:
            s.close()
    with Server("ocpp.ping_s=3600") as server:
        silent = [Silent(server, f"TWIN-{i}") for i in range(SILENT)]
        check("they came in", all(s.is_in for s in silent))
        with Fleet(server, "TWIN", SILENT) as fleet:
            back = fleet.ask("connect")
            check("the newer connection takes the place of a half-open one at once", back["in"] == SILENT and back["ms"] < BACK_MS, back)
            check("each older one ended as replaced", metric(server, "gateway_connections_ended_total", 'reason="replaced"') == SILENT)
            check("the newer ones are served", fleet.ask("beat 300 100 heartbeat")["count"] > SILENT)
            # past the time that a close handshake may take
            until(lambda: len(os.listdir(f"/proc/{server.process.pid}/fd")) < SILENT + 100, "the old sockets are given back", 10)
            check("and stay", fleet.ask("lost")["lost"] == 0)
            reasons = [e["payload"]["reason"] for e in events(server, "charge_point.disconnected")]
            check("the events say so", reasons == ["replaced"] * SILENT, reasons[:5])
        for s in silent:
            s.close()


def main():
    for part in (all_at_once, alarm_each_window, many_rounds, half_open):
        began = time.monotonic()
        part()
        print(f"{part.__name__}: {time.monotonic() - began:.1f} s", flush=True)
    report()


main()
