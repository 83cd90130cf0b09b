"""The commands beside the server: tail, doctor, config, version, reference. What they say, in which form, with which exit code; with the
server running, stopped, and on directories damaged in every way that doctor tells apart."""
import asyncio
import contextlib
import filecmp
import json
import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
from pathlib import Path

from harness import BIN, WAIT_S, Server, Station, check, report, until

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("CHARGELINE_BUILD", Path(BIN).parent))
COMMANDS = ["tail", "doctor", "config", "version", "reference"]
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
ENV = {k: v for k, v in os.environ.items() if not k.startswith("CHARGELINE_")}


def run(*arguments, env=None, **more):
    return subprocess.run([BIN, *arguments], capture_output=True, text=True, timeout=120, env={**ENV, **(env or {})}, check=False, **more)


def refused(row, code, *arguments, words="", env=None):
    """Ends with code, with one line on standard error that holds words, and nothing else."""
    r = run(*arguments, env=env)
    check(f"{row}: exit {code}", r.returncode == code, (r.returncode, r.stderr))
    check(f"{row}: one line that begins with the command's name",
          r.stderr.count("\n") == 1 and r.stderr.startswith(f"chargeline {arguments[0]}: "), r.stderr)
    check(f"{row}: the line says what", words in r.stderr, r.stderr)
    check(f"{row}: nothing on standard output", r.stdout == "", r.stdout)


# --- help and usage ---

WRONG = [
    # row, arguments, words of the line
    ("an option that is none", ["tail", "--nonsense"], "--nonsense"),
    ("a word that is no option", ["tail", "nonsense"], "nonsense"),
    ("an option without its value", ["tail", "--data"], "--data DIR"),
    ("an option where a value should be", ["tail", "--data", "--all"], "--data DIR"),
    ("a switch with a value", ["tail", "--all=yes"], "--all"),
    ("a type that is none", ["tail", "--type", "transaction.began"], "transaction.began"),
    ("a group that is none", ["tail", "--type", "nothing.*"], "nothing.*"),
    ("one bad type among good ones", ["tail", "--type", "transaction.started,,x"], "--type"),
    ("a trace that is too short", ["tail", "--trace", "abc"], "abc"),
    ("a trace with another letter", ["tail", "--trace", "g" * 32], "hexadecimal"),
    ("a format that is none", ["tail", "--format", "xml"], "xml"),
    ("a beginning that is none", ["tail", "--since", "yesterday"], "yesterday"),
    ("a beginning before the first", ["tail", "--since", "-1"], "-1"),
    ("an age of nothing", ["tail", "--since", "h"], "\"h\""),
    ("a count that is none", ["tail", "--last", "many"], "many"),
    ("a negative count", ["tail", "--last", "-1"], "-1"),
    ("two beginnings", ["tail", "--last", "1", "--since", "1"], "together"),
    ("doctor with a word too many", ["doctor", "now"], "now"),
    ("config without saying what", ["config"], "--explain or --check"),
    ("config with both", ["config", "--explain", "--check"], "--explain or --check"),
    ("version with an option", ["version", "--long"], "--long"),
    ("reference without a place", ["reference"], "--out"),
]


def test_help():
    for name in COMMANDS:
        for option in ("--help", "-h"):
            r = run(name, option)
            check(f"{name} {option} is no failure", r.returncode == 0 and r.stderr == "", r)
            check(f"{name} {option} says how it is called", r.stdout.startswith(f"usage: chargeline {name}"), r.stdout)
            check(f"{name} {option} says the exit codes", "\nexit: 0 " in r.stdout, r.stdout)
            check(f"{name} {option} fits a terminal", all(len(line) <= 110 for line in r.stdout.splitlines()), r.stdout)
    for name in ("tail", "doctor", "config", "reference"):
        check(f"{name} --help has an example", "chargeline " + name in run(name, "--help").stdout.split("\n", 1)[1], name)
    for row, arguments, words in WRONG:
        refused(row, 2, *arguments, words=words)
    many = [a for i in range(257) for a in ("--set", f"gateway.id=g{i}")]
    refused("more settings than are taken", 2, "config", "--check", *many, words="too often")


def test_version():
    r = run("version")
    lines = r.stdout.splitlines()
    check("version ends well", r.returncode == 0 and r.stderr == "", r)
    check("the first line is name and version", re.fullmatch(r"chargeline \d+\.\d+\.\d+", lines[0]), lines)
    check("then how it was built", re.match(r"build +.*(gcc|clang) \d+", lines[1]), lines)
    check("then each library", {line.split()[0] for line in lines[2:]} >= {"libuv", "openssl", "sqlite", "libyaml", "zstd"}, lines)
    check("each with a number", all(re.search(r" \d+\.\d+", line) for line in lines[2:]), lines)
    check("--version says the same", run("--version").stdout == r.stdout)


# --- config ---

def test_config(place):
    file = place / "chargeline.yaml"
    r = run("config", "--explain")
    check("explain ends well", r.returncode == 0 and r.stderr == "", r)
    check("explain has a setting with its origin", "\ngateway.id: \"gateway-1\" # from default\n" in r.stdout, r.stdout[:500])
    file.write_text(r.stdout)
    again = run("config", "--explain", "--config", str(file))
    check("what explain prints is a file that is taken", again.returncode == 0, again.stderr)
    strip = re.compile(r" # from .*")
    check("and says the same values", strip.sub("", again.stdout) == strip.sub("", r.stdout))
    check("and its origin is that file", "chargeline.yaml" in again.stdout)

    r = run("config", "--check", "--config", str(file))
    check("check says ok", r.returncode == 0 and r.stdout == f"{file}: ok\n" and r.stderr == "", r)
    r = run("config", "--check")
    check("check without a file too", r.returncode == 0 and r.stdout == "configuration: ok\n", r)
    r = run("config", "--explain", "--set", "gateway.id=a", "--set=gateway.id=b", env={"CHARGELINE_LISTEN_API": "127.0.0.1:1"})
    check("--set weighs most, the last one wins", "gateway.id: \"b\" # from --set" in r.stdout, r.stdout[:500])
    check("a variable is named as origin", "listen.api: \"127.0.0.1:1\" # from CHARGELINE_LISTEN_API" in r.stdout, r.stdout)
    check("--data is data.dir", "data.dir: \"/d\"" in run("config", "--explain", "--data", "/d").stdout)
    r = run("config", "--check", env={"CHARGELINE_LISTEN_OCPPP": "x"})
    check("a variable that is no setting is a warning", r.returncode == 0 and "CHARGELINE_LISTEN_OCPPP" in r.stderr, r)

    bad = place / "bad.yaml"
    for row, text, words in [("a wrong key", "gateway:\n  idd: x\n", "bad.yaml:2"), ("a wrong value", "log.keep_s: soon\n", "bad.yaml:1"),
                             ("no YAML", "a: [\n", "bad.yaml")]:
        bad.write_text(text)
        refused(row, 2, "config", "--check", "--config", str(bad), words=words)
        refused(row + " in explain", 2, "config", "--explain", "--config", str(bad), words=words)
    refused("a file that is not there", 2, "config", "--check", "--config", str(place / "none.yaml"), words="none.yaml")
    refused("a wrong --set", 2, "config", "--check", "--set", "nonsense=1", words="nonsense")
    refused("a wrong variable", 2, "config", "--check", words="CHARGELINE_LOG_KEEP_S", env={"CHARGELINE_LOG_KEEP_S": "soon"})
    with open("/dev/full", "w") as full:
        r = subprocess.run([BIN, "config", "--explain"], stdout=full, stderr=subprocess.PIPE, text=True, env=ENV, check=False)
    check("explain onto a full disk fails", r.returncode == 1 and r.stderr.count("\n") == 1, r)


# --- reference ---

def test_reference(place):
    out = place / "reference"
    r = run("reference", "--out", str(out))
    check("reference ends well", r.returncode == 0 and r.stderr == "", r)
    written = sorted(p.name for p in out.iterdir())
    check("all pages are written", written == ["ap3000.md", "api.md", "configuration.md", "errors.md", "events.md", "messages.md", "metrics.md"], written)
    for name in written:
        committed = ROOT / "docs/reference" / name
        check(f"docs/reference/{name} is what the program writes: chargeline reference --out docs/reference",
              committed.exists() and filecmp.cmp(committed, out / name, shallow=False))
    check("nothing else is in docs/reference", sorted(p.name for p in (ROOT / "docs/reference").iterdir()) == written)
    again = run("reference", "--out", str(out))
    check("a second time over the first", again.returncode == 0, again.stderr)
    for page, source, pattern in [("events.md", "eventlog/event.def", r'^EVENT\(\w+, *"([^"]+)"'), ("errors.md", "base/err.def", r"^ERR\((ERR_\w+)"),
                                  ("errors.md", "api/errors.def", r"^API_ERROR\((\w+)"), ("messages.md", "proto/ocpp16/actions.def", r'^ACTION\(\w+, *"(\w+)"'),
                                  ("metrics.md", "metrics/metrics.def", r'^METRIC\(\w+, *\w+, *"(\w+)"'), ("api.md", "api/routes.def", r'^ROUTE\(\w+, *"([^"]+)"'),
                                  ("configuration.md", "config/config.def", r'^SETTING\(\w+, *"([^"]+)"')]:
        text = (out / page).read_text()
        names = re.findall(pattern, (ROOT / "src" / source).read_text(), re.M)
        missing = [n for n in names if n not in text]
        check(f"{page} has every line of {source}", names and not missing, missing)
    refused("a place that cannot be made", 1, "reference", "--out", str(place / "a/b/c"), words="a/b/c")
    (place / "file").write_text("")
    refused("a place that is a file", 1, "reference", "--out", str(place / "file"), words="file/")


# --- a server with events ---

AT = "2026-03-01T09:00:00Z"


async def talk(server):
    """One session and what goes wrong beside it, of CP-1; a boot of CP-2. Returns the trace of a command."""
    one = await Station(server, "CP-1").connect()
    await one.boot(firmwareVersion="1.2\x1b[31m")
    await one.status(1, "Preparing")
    await one.status(1, "Faulted", "GroundFailure")
    start = await one.call("StartTransaction", {"connectorId": 1, "idTag": "T1", "meterStart": 100, "timestamp": AT})
    await one.call("MeterValues", {"connectorId": 1, "transactionId": start["transactionId"], "meterValue": [{"timestamp": AT, "sampledValue": [
        {"value": "150", "unit": "Wh"}, {"value": "7200", "measurand": "Power.Active.Import", "unit": "W"}]}]})
    await one.call("StopTransaction", {"transactionId": start["transactionId"], "meterStop": 900, "timestamp": AT, "reason": "Local"})
    await one.call("StopTransaction", {"transactionId": 4711, "meterStop": 77, "timestamp": AT})
    await one.frame("Nonsense", {})
    one.on_call["Reset"] = {"status": "Accepted"}
    answer = await asyncio.to_thread(server.post, "/charge-points/CP-1/commands", {"action": "Reset", "payload": {"type": "Soft"}})
    check("the command is answered", answer.status == 200, answer.text)
    await one.close()
    two = await Station(server, "CP-2").connect()
    await two.boot()
    await two.close()
    return answer.data["trace_id"]


def test_tail_once(server, trace):
    data = ["--data", server.data]
    events = server.tail()
    types = [e["eventType"] for e in events]
    check("json has the contract's members", all(set(e) >= {"eventId", "eventType", "chargePointId", "gatewayId", "timestamp", "payload", "traceId",
                                                            "sequence", "schemaVersion"} for e in events), events[:1])
    check("what is internal is left out", "frame.seen" not in types and "command.queued" not in types, types)
    every = server.tail("--all")
    check("--all has it", {"connection.opened", "command.queued", "command.sent", "gateway.started"} <= {e["eventType"] for e in every}, every)
    check("a type that is named is shown, internal or not", [e["eventType"] for e in server.tail("--type", "command.sent")] == ["command.sent"])
    check("--type with a group", [e["eventType"] for e in server.tail("--type", "transaction.*")] ==
          ["transaction.started", "transaction.meter_values", "transaction.stopped"])
    check("--type as a list and repeated", {e["eventType"] for e in server.tail("--type", "transaction.started,device.protocol_error", "--type",
          "transaction.stopped")} == {"transaction.started", "device.protocol_error", "transaction.stopped"})
    check("--station", {e["chargePointId"] for e in server.tail("--station", "CP-2")} == {"CP-2"})
    check("--station of nobody", server.tail("--station", "CP-9") == [])
    check("--trace", {e["eventType"] for e in server.tail("--all", "--trace", trace)} == {"command.queued", "command.sent", "command.response"})
    check("the order is that of the log", [e["eventId"] for e in every if e["eventId"] in {x["eventId"] for x in events}] == [e["eventId"] for e in events])

    def last(*arguments):
        r = run("tail", *data, "--no-follow", "--format", "json", *arguments)
        check(f"tail {arguments} ends well", r.returncode == 0 and r.stderr == "", r.stderr)
        return [json.loads(line)["eventId"] for line in r.stdout.splitlines()]

    ids = [e["eventId"] for e in events]
    check("without a beginning: the last ten", last() == ids[-10:], len(ids))
    check("--last 3", last("--last", "3") == ids[-3:])
    check("--last more than there are", last("--last", "1000000") == ids)
    check("--last 0", last("--last", "0") == [])
    check("--last counts what matches", len(last("--last", "2", "--station", "CP-1", "--type", "transaction.*")) == 2)
    check("--since a position, with what is not published", last("--since", "2", "--all") == [e["eventId"] for e in every][1:])
    check("--since 0 is the beginning", last("--since", "0") == ids)
    check("--since past the end", last("--since", "1000000") == [])
    check("--since the time of an event", last("--since", events[3]["timestamp"])[-(len(ids) - 3):] == ids[3:])
    check("--since a day", last("--since", "2020-01-01") == ids)
    check("--since a day to come", last("--since", "2999-01-01") == [])
    check("--since an age", last("--since", "1h") == ids and last("--since", "0s") == [])


def test_tail_words(server):
    r = run("tail", "--data", server.data, "--no-follow", "--since", "1", "--all")
    lines = r.stdout.splitlines()
    check("a line an event", len(lines) == len(server.tail("--all")), r.stdout)
    check("time, station, words", all(re.match(TIME + r"  \S+ +\S", line) for line in lines), lines)
    check("aligned", {len(re.match(TIME + r"  \S+ +", line)[0]) for line in lines} == {40}, lines)
    check("nothing steers the terminal", not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", r.stdout), r.stdout)
    text = r.stdout
    for row, words in [("a boot", "CP-1          booted: Peer P1, firmware 1.2?[31m, ocpp1.6 from "), ("a status", "connector 1: Preparing\n"),
                       ("a fault", "connector 1: Preparing -> Faulted, error GroundFailure"), ("a start", "connector 1: tag T1 Accepted, meter 100 Wh, while offline\n"),
                       ("meter values", "on connector 1: energy 150 Wh, power 7200 W, 2 samples"), ("a stop", "Local, 800 Wh, meter 100 -> 900 Wh"),
                       ("a quarantine", "StopTransaction could not be applied: "), ("a protocol error", "protocol error NotImplemented"),
                       ("a command", "command Reset: Accepted"), ("an end", "disconnected: tcp_connection_closed")]:
        check(f"{row} is told in words", words in text, text)


# Each type with all that its payload may hold, and what is said of it.
SAID = [
    ("charge_point.connected", {"model": "M", "vendor": "V", "firmwareVersion": "1", "serialNumber": "S", "protocol": "p", "remoteAddress": "r"},
     "booted: V M, firmware 1, serial S, p from r"),
    ("charge_point.connected", {"model": "M", "vendor": "V", "protocol": "p", "remoteAddress": "r"}, "booted: V M, p from r"),
    ("charge_point.disconnected", {"reason": "replaced", "generation": 3}, "disconnected: replaced"),
    ("connector.status_changed", {"connectorId": 2, "status": "Faulted", "previousStatus": "Charging", "errorCode": "OtherError", "info": "I", "vendorId": "v",
                                  "vendorErrorCode": "E7", "flags": ["a", "b"]}, "connector 2: Charging -> Faulted, error OtherError, vendor error E7, I, flags a b"),
    ("connector.status_changed", {"connectorId": 0, "status": "Available", "errorCode": "NoError", "info": "", "flags": []}, "connector 0: Available"),
    ("transaction.started", {"connectorId": 1, "transactionId": "7", "idTag": "T", "meterStartWh": -5, "reservationId": -1, "orderNo": "O", "offline": True,
                             "idTagStatus": "Blocked", "supersedes": "6", "flags": ["late"]},
     "transaction 7 began on connector 1: tag T Blocked, meter -5 Wh, reservation -1, order O, while offline, replaces 6, flags late"),
    ("transaction.started", {"connectorId": 1, "transactionId": "7", "idTag": "T", "meterStartWh": 0, "offline": False},
     "transaction 7 began on connector 1: tag T, meter 0 Wh"),
    ("transaction.meter_values", {"connectorId": 1, "transactionId": "7", "meterValues": []}, "transaction 7 on connector 1: 0 samples"),
    ("transaction.meter_values", {"connectorId": 1, "transactionId": "7", "flags": ["f"], "meterValues": [
        {"timestamp": AT, "sampledValue": {"value": v, "measurand": m, **more}} for v, m, more in [
            ("1", "Energy.Active.Import.Register", {"unit": "kWh"}), ("2", "Energy.Active.Import.Register", {"unit": "kWh"}),
            ("10", "Current.Import", {"unit": "A"}), ("3", "Current.Import", {"unit": "A", "phase": "L1"}), ("230", "Voltage", {"unit": "V", "phase": "L1-N"}),
            ("55", "SoC", {"unit": "Percent"}), ("21.5", "Temperature", {}), ("9", "Frequency", {})]]},
     "transaction 7 on connector 1: energy 2 kWh, current 10 A, voltage 230 V L1-N, battery 55 Percent, temperature 21.5, 8 samples, flags f"),
    ("transaction.stopped", {"transactionId": "7", "reason": "Local", "meterStopWh": 9, "stopTimestamp": AT, "connectorId": 1, "idTag": "T", "energyWh": 4,
                             "meterStartWh": 5, "flags": ["x"]}, "transaction 7 ended on connector 1: Local, 4 Wh, meter 5 -> 9 Wh, tag T, flags x"),
    ("transaction.stopped", {"transactionId": "7", "reason": "Other", "meterStopWh": 9, "stopTimestamp": AT}, "transaction 7 ended: Other, meter 9 Wh"),
    ("command.response", {"commandId": "c", "commandName": "Reset", "status": "Rejected", "details": {"reason": "EXPIRED"}, "outcome": "not_sent"},
     'command Reset: Rejected, outcome not_sent, {"reason": "EXPIRED"}, id c'),
    ("command.response", {"commandId": "c", "commandName": "Reset", "status": "Accepted", "details": {}, "outcome": "answered"}, "command Reset: Accepted, id c"),
    ("meter_values.received", {"connectorId": 0, "meterValues": [{"timestamp": AT, "sampledValue": {"value": "1", "measurand": "Frequency"}}]},
     "connector 0: 1 sample"),
    ("authorization.requested", {"idTag": "T", "status": "Invalid", "connectorId": 1}, "tag T asked about at connector 1: Invalid"),
    ("heartbeat.received", {}, "heartbeat"),
    ("firmware.status_changed", {"status": "Installed", "requestId": 5}, "firmware update: Installed, request 5"),
    ("diagnostics.status_changed", {"status": "Uploaded"}, "diagnostics upload: Uploaded"),
    ("security.event", {"type": "TamperDetectionActivated", "timestamp": AT, "techInfo": "lid", "origin": "station"},
     "security event TamperDetectionActivated: lid, seen by the station"),
    ("data_transfer.received", {"vendorId": "V", "messageId": "m", "data": [1], "status": "Accepted"}, "vendor data of V, message m: Accepted, [1]"),
    ("certificate.sign_requested", {"csr": "C", "status": "Rejected"}, "wants its certificate signed: Rejected"),
    ("log.status_changed", {"status": "Uploading", "requestId": 1}, "log upload: Uploading, request 1"),
    ("reservation.status_changed", {"reservationId": 3, "status": "expired"}, "reservation 3: expired"),
    ("device.alarm", {"alarm": "smoke", "connectorId": 1, "details": {"t": 90}}, 'alarm smoke on connector 1: {"t": 90}'),
    ("device.quarantined", {"quarantineId": "q", "action": "StopTransaction", "reason": "R", "messageId": "m", "connectorId": 1, "transactionId": "7",
                            "suggestion": "S"}, "StopTransaction could not be applied: R, connector 1, transaction 7, suggestion S, quarantine q"),
    ("device.protocol_error", {"code": "garbage", "detail": "D"}, "protocol error garbage: D"),
    ("gateway.mass_disconnect", {"count": 100, "windowSeconds": 10, "networks": ["10.0.0.0/24"]}, "100 stations were lost within 10 s, networks 10.0.0.0/24"),
    ("connection.opened", {"generation": 2, "protocol": "p", "remoteAddress": "r", "securityProfile": 1},
     "connected: p from r, security profile 1, generation 2"),
    ("boot.held", {"model": "M", "vendor": "V", "protocol": "p", "remoteAddress": "r", "registration": "pending"}, "boot held: pending, V M, p from r"),
    ("frame.seen", {}, "frame -"),
    ("command.queued", {"commandId": "c", "commandName": "Reset", "payload": {"type": "Hard"}, "origin": "api", "expiresAt": AT, "urgent": True},
     'command Reset queued by api, urgent, {"type": "Hard"}, id c'),
    ("command.sent", {"commandId": "c", "messageId": "m"}, "command sent, id c"),
    ("quarantine.resolved", {"quarantineId": "q", "resolution": "applied", "transactionId": "7", "by": "admin"}, "quarantine q: applied, transaction 7, by admin"),
    ("gateway.started", {}, "the gateway began"),
    ("order.changed", {"orderNo": "a5", "orderKey": "a5", "transactionId": "7", "state": "failed", "previousState": "starting", "connectorId": 2,
                       "idTag": "T", "reason": "no charger"}, "order a5 on connector 2: starting -> failed, no charger, tag T, transaction 7"),
    ("order.changed", {"orderNo": "a5", "orderKey": "a5", "transactionId": "7", "state": "new"}, "order a5: new, transaction 7"),
    ("firmware.job", {"jobId": "j", "fileId": "f", "status": "Downloading", "command": 224, "packet": 3, "packets": 9, "sizeBytes": 1, "byteSum": 1,
                      "version": 126, "deviceType": 32, "checkPacket": False}, "firmware job j: Downloading, packet 3 of 9"),
    ("firmware.status_changed", {"status": "Downloading", "jobId": "j", "packet": 3, "packets": 9},
     "firmware update: Downloading, packet 3 of 9, job j"),
    ("transaction.started", {"connectorId": "of a version to come"}, 'transaction.started {"connectorId": "of a version to come"}'),
    ("device.protocol_error", {"code": "a\u202eb\u0085c\u2028\ue000\x7f", "detail": "\u4f60" * 200}, "protocol error a?b?c?\ue000?: " + "\u4f60" * 100 + "..."),
]


def make_log(data, ahead_s, events):
    data.mkdir()
    lines = "".join(f"{name} {json.dumps(payload, ensure_ascii=False)}\n" for name, payload in events)
    r = subprocess.run([BUILD / "event-log", data / "log", str(ahead_s)], input=lines, capture_output=True, text=True, timeout=WAIT_S, check=False)
    check("a log is made", r.returncode == 0, r.stderr)


def test_every_event(place):
    wires = set(re.findall(r'^EVENT\(\w+, *"([^"]+)"', (ROOT / "src/eventlog/event.def").read_text(), re.M))
    check("every type has a row here", wires == {name for name, _, _ in SAID}, wires ^ {name for name, _, _ in SAID})
    make_log(place / "all", 0, [(name, payload) for name, payload, _ in SAID])
    r = run("tail", "--data", str(place / "all"), "--no-follow", "--all", "--last", "1000")
    said = [re.sub(rf"^{TIME}  CP-1 +", "", line) for line in r.stdout.splitlines()]
    check("each is a line", len(said) == len(SAID) and r.returncode == 0, r)
    for (name, _, words), line in zip(SAID, said):
        check(f"{name} in words", line == words, line)
    make_log(place / "ahead", 3600, [("heartbeat.received", {})])
    text = doctor(place / "ahead")
    check("an event of an hour to come: the clock is wrong", finding(text, "bad", "clock", "still to come"), text)
    make_log(place / "empty", 0, [])
    check("an empty log is well", finding(doctor(place / "empty"), "ok", "log", "empty"))
    r = run("tail", "--data", str(place / "empty"), "--no-follow")
    check("and shows nothing", r.returncode == 0 and r.stdout == r.stderr == "", r)


def on_terminal(arguments, env):
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([BIN, *arguments], stdout=theirs, stderr=theirs, env={**ENV, "TERM": "xterm", **env}) as p:
        os.close(theirs)
        text = b""
        with contextlib.suppress(OSError): # the other side is closed
            while piece := os.read(ours, 65536):
                text += piece
        os.close(ours)
        p.wait(WAIT_S)
    return text.decode()


def test_colours(server):
    arguments = ["tail", "--data", server.data, "--no-follow"]
    check("colours on a terminal", "\x1b[32m" in on_terminal(arguments, {}))
    check("none with NO_COLOR", "\x1b" not in on_terminal(arguments, {"NO_COLOR": "1"}))
    check("none on a dumb terminal", "\x1b" not in on_terminal(arguments, {"TERM": "dumb"}))
    check("none in JSON", "\x1b" not in on_terminal([*arguments, "--format", "json"], {}))
    check("doctor too", "\x1b[32mok" in on_terminal(["doctor", "--data", server.data], {}))


class Follower:
    """A tail that waits for more; lines as they come."""

    def __init__(self, server, *arguments):
        self.process = subprocess.Popen([BIN, "tail", "--data", server.data, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV)
        self.lines = []
        self.thread = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.thread.start()

    def stop(self, how=signal.SIGINT):
        self.process.send_signal(how)
        code = self.process.wait(WAIT_S)
        self.thread.join(WAIT_S)
        errors = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return code, errors


async def boot_again(server, name):
    station = await Station(server, name).connect()
    await station.boot()
    await station.close()


def test_follow(server):
    before = len(server.tail("--station", "CP-2"))
    plain = Follower(server, "--station", "CP-2", "--last", "1000", "--format", "json")
    until(lambda: len(plain.lines) == before, "what is there is shown first")
    fresh = Follower(server, "--last", "1")
    until(lambda: len(fresh.lines) == 1, "the last one is shown first")
    asyncio.run(boot_again(server, "CP-2"))
    until(lambda: len(plain.lines) == before + 2, "what happens is shown")
    until(lambda: len(fresh.lines) == 3, "by everyone who follows")
    check("in order", [json.loads(line)["eventType"] for line in plain.lines[-2:]] == ["charge_point.connected", "charge_point.disconnected"], plain.lines)
    for row, follower, how in [("SIGINT", plain, signal.SIGINT), ("SIGTERM", fresh, signal.SIGTERM)]:
        code, errors = follower.stop(how)
        check(f"{row} ends it cleanly and quietly", code == 0 and errors == "", (code, errors))

    r, w = os.pipe()
    with subprocess.Popen([BIN, "tail", "--data", server.data, "--last", "1"], stdout=w, stderr=subprocess.PIPE, text=True, env=ENV) as p:
        os.close(w)
        os.read(r, 1)
        os.close(r)
        check("a reader that goes away ends it without an event, quietly", p.wait(WAIT_S) == 0 and p.stderr.read() == "")
    r = subprocess.run([BIN, "tail", "--data", server.data, "--last", "1"], stdout=None, stderr=subprocess.PIPE, preexec_fn=lambda: os.close(1),
                       text=True, timeout=WAIT_S, env=ENV, check=False)
    check("and no standard output at all too", r.returncode in (0, 1) and r.stderr.count("\n") <= 1, r)
    with open("/dev/full", "w") as full:
        r = subprocess.run([BIN, "tail", "--data", server.data], stdout=full, stderr=subprocess.PIPE, text=True, timeout=WAIT_S, env=ENV, check=False)
    check("a full disk is a failure that is said", r.returncode == 1 and "standard output" in r.stderr, r)


# --- doctor ---

def doctor(data, *arguments):
    r = run("doctor", "--data", str(data), *arguments)
    check("doctor says nothing on standard error", r.stderr == "", r.stderr)
    count = re.fullmatch(r"(\d+) ok, (\d+) warn, (\d+) bad", r.stdout.splitlines()[-1])
    check("the last line counts", count, r.stdout)
    for word, n in zip(("ok", "warn", "bad"), count.groups()):
        check(f"as many lines say {word}", len(re.findall(rf"^{word} ", r.stdout, re.M)) == int(n), r.stdout)
    check("the exit code says whether anything is bad", r.returncode == (1 if int(count[3]) else 0), r.stdout)
    return r.stdout


def finding(text, verdict, name, words):
    """A line of that verdict and check with these words."""
    return any(line.startswith(f"{verdict:4}  {name}") and words in line for line in text.splitlines())


def sql(data, *statements):
    with contextlib.closing(sqlite3.connect(data / "store.db")) as db:
        for s in statements:
            db.execute(s)
        db.commit()


def overwrite(path, was, now):
    """Every occurrence of was in a file."""
    content = path.read_bytes()
    check(f"{path.name} has what is to be damaged", was in content and len(was) == len(now))
    path.write_bytes(content.replace(was, now))


def segment(data):
    return sorted((data / "log").glob("log-*.log"))[0]


LETTER = ("INSERT INTO dead_letters(consumer, event_id, position, station, event_type, attempts, error, first_failed_at, last_failed_at, event_json, record) "
          "VALUES ('charging', 'e', 1, 'CP-1', 't', 5, 'it is so\x1b[31m', 0, 0, '{}', x'00')")
PARKED = ("INSERT INTO parked(consumer, station, position, event_id, record, attempts, next_try_at, first_failed_at, error) "
          "VALUES ('charging', 'CP-1', 1, 'e', x'00', 1, 0, 0, 'not yet')")

SICK = [
    # row, what is done to a copy of a sound directory, verdict, check, words
    ("a key that others can read", lambda d: (d / "admin.key").chmod(0o644), "bad", "admin key", "0644"),
    ("no key", lambda d: (d / "admin.key").unlink(), "ok", "admin key", "no admin.key"),
    ("a folder that anyone can write to", lambda d: d.chmod(0o777), "warn", "directory", "anyone"),
    ("no lock", lambda d: (d / "lock").unlink(), "ok", "server", "no server is running"),
    ("no log", lambda d: shutil.rmtree(d / "log"), "warn", "log", "no log"),
    ("a damaged event", lambda d: overwrite(segment(d), b'idTag', b'idTAG'), "bad", "log", "batch"),
    ("a segment that is none", lambda d: segment(d).write_bytes(b"nonsense" * 100), "bad", "log", "log-"),
    ("no store", lambda d: (d / "store.db").unlink(), "warn", "store", "no store"),
    ("a store that is none", lambda d: (d / "store.db").write_bytes(b"nonsense" * 1000), "bad", "store", "store.db"),
    ("a store of a newer version", lambda d: sql(d, "INSERT INTO schema_migrations VALUES ('stations/9999', 0)"), "bad", "store", "stations/9999"),
    ("a store of an older version", lambda d: sql(d, "DELETE FROM schema_migrations WHERE name LIKE 'api/%'"), "warn", "store", "steps have been run"),
    ("a store without cursors", lambda d: sql(d, "DROP TABLE consumers"), "bad", "consumers", "consumers"),
    ("nobody has begun", lambda d: sql(d, "DELETE FROM consumers"), "ok", "consumers", "none has begun"),
    ("a cursor past the end", lambda d: sql(d, "UPDATE consumers SET position = 99999 WHERE name = 'stations'"), "bad", "consumers", "stations has seen position 99999"),
    ("a consumer behind", lambda d: sql(d, "UPDATE consumers SET position = 0 WHERE name = 'stations'"), "ok", "consumers", "stations at position 0"),
    ("a dead letter", lambda d: sql(d, LETTER), "warn", "waiting", "1 dead letters, the newest: charging, station CP-1: it is so?[31m"),
    ("a parked event", lambda d: sql(d, PARKED), "warn", "waiting", "1 parked events, the newest: charging, station CP-1: not yet"),
]


def test_doctor(place, data):
    sound = doctor(data)
    check("a sound directory has nothing bad", "\nbad" not in sound, sound)
    check("the message in quarantine waits for a person", finding(sound, "warn", "waiting", "1 messages in quarantine"), sound)
    check("its log was read", finding(sound, "ok", "log", "every checksum right"), sound)
    check("no server is seen", finding(sound, "ok", "server", "no server"), sound)
    quick = doctor(data, "--quick")
    check("--quick leaves the reading out", "every checksum" not in quick and "every page" not in quick, quick)
    for number, (row, harm, verdict, name, words) in enumerate(SICK):
        sick = place / f"sick{number}"
        shutil.copytree(data, sick)
        harm(sick)
        text = doctor(sick)
        check(f"doctor tells: {row}", finding(text, verdict, name, words), text)
        sick.chmod(0o700)
        shutil.rmtree(sick)
    text = doctor(place / "nowhere")
    check("no directory: the one thing said is bad", finding(text, "bad", "directory", "nowhere") and text.count("\n") == 3, text)
    (place / "plain").write_text("")
    check("a file for a directory", finding(doctor(place / "plain"), "bad", "directory", "no folder"))


def test_tail_damage(place, data):
    refused("tail where no log is", 1, "tail", "--data", str(place / "nowhere"), words="nowhere")
    sick = place / "sick"
    shutil.copytree(data, sick)
    overwrite(segment(sick), b'idTag', b'idTAG')
    r = run("tail", "--data", str(sick), "--no-follow", "--since", "1", "--format", "json")
    types = [json.loads(line)["eventType"] for line in r.stdout.splitlines()]
    check("damage is told with its place", "log-" in r.stderr and "batch" in r.stderr and "passed over" in r.stderr, r.stderr)
    check("damage is exit 1", r.returncode == 1, r.returncode)
    check("what is before and behind it is shown", types[0] == "charge_point.connected" and types[-1] == "charge_point.disconnected", types)
    check("nothing false is shown", '"meterStartWh":999' not in r.stdout, r.stdout)
    r = run("tail", "--data", str(sick), "--no-follow", "--last", "1")
    check("damage that is not read is not told", r.returncode == 0 and r.stderr == "", r)


def main():
    with tempfile.TemporaryDirectory(prefix="chargeline-cli-") as tmp:
        place = Path(tmp)
        test_help()
        test_version()
        test_config(place)
        test_reference(place)
        test_every_event(place)
        data = place / "data"
        with Server(data=str(data)) as server:
            server.accept_tag("T1")
            trace = asyncio.run(talk(server))
            until(lambda: len(server.tail("--type", "charge_point.disconnected")) == 2, "both stations are seen to leave")
            test_tail_once(server, trace)
            test_tail_words(server)
            test_colours(server)
            test_follow(server)
            text = doctor(data)
            check("doctor beside a running server sees it", finding(text, "ok", "server", "a server holds"), text)
            check("and does not disturb it", server.get("/system").status == 200)
        test_doctor(place, data)
        test_tail_damage(place, data)
    report()


main()
