"""The simulated stations against the real server: a demo makes sessions, load counts, quirks do not break the server, a wrong
flag is one line. Prints 'N passed, N failed'."""
import re
import signal
import subprocess

import harness
from harness import BIN, Server, check, until

SESSIONS_WANTED = 3
LOAD_LINE = re.compile(r"^calls=(\d+) calls_per_s=(\d+) p50_ms=[\d.]+ p99_ms=[\d.]+ max_ms=[\d.]+ errors=(\d+) "
                       r"stations=(\d+) of=(\d+) seconds=[\d.]+$")


def sim(server, *arguments, **more):
    return subprocess.Popen([BIN, "sim", "--url", f"ws://{server.ocpp}/ocpp", *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **more)


def run(server, *arguments):
    process = sim(server, *arguments)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def demo(server):
    process = sim(server, "--demo", "--stations", "4", "--speed", "2000")
    stopped, lines = 0, []
    for line in process.stdout:
        lines.append(line)
        stopped += " stops (" in line
        if stopped >= SESSIONS_WANTED:
            break
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=60)
    text = "".join(lines) + rest
    check("Ctrl-C ends the demo with 0", process.returncode == 0, (process.returncode, err))
    for words in ("accepted by the server", "plugs in", "is shown", "transaction ", "kWh"):
        check(f"the demo tells: {words}", words in text, text[-2000:])
    check("the last line sums up, and nobody charges any more", ", 0 charging, " in rest.splitlines()[-1], rest[-500:])
    check("nothing was refused or left unanswered", " 0 refused or unanswered" in rest.splitlines()[-1], rest[-500:])
    begun = text.count(" runs\n")
    ended = text.count(" stops (")
    check("what began has ended", begun == ended and begun >= SESSIONS_WANTED, (begun, ended))

    def sessions():
        found = server.get("/charging/sessions?limit=100").data["list"]
        return found if len(found) >= begun and all(s.get("end_time") for s in found) else None

    found = until(sessions, "the server made sessions of it, and all have ended")
    if found:
        check("as many as were told", len(found) == begun, (len(found), begun))
        check("with energy", any(s.get("total_energy", 0) > 0 for s in found), found[:2])


def load(server):
    for mode, stations in ((("--load", "closed"), 10), (("--load", "open", "--rate", "200"), 10), (("--heartbeats",), 5)):
        code, out, err = run(server, *mode, "--stations", str(stations), "--duration", "1", "--prefix", "LOAD")
        m = LOAD_LINE.match(out)
        check(f"{mode} prints its figures", code == 0 and m, (code, out, err))
        if m:
            check(f"{mode}: calls, no errors, all stations", int(m[1]) > 50 and m[3] == "0" and m[4] == m[5] == str(stations), out)
        if m and "open" in mode:
            check("the open loop is no faster than its rate", int(m[2]) <= 250, out)


def quirks(server):
    code, out, _ = run(server, "--quirk", "list")
    names = [line.split()[0] for line in out.splitlines()]
    check("the quirks are listed", code == 0 and len(names) > 10, out)
    arguments = [word for name in names if name != "no-subprotocol" for word in ("--quirk", name)]
    code, out, err = run(server, *arguments, "--stations", "3", "--speed", "2000", "--duration", "6", "--demo")
    check("all quirks at once end well", code == 0, (code, err))
    check("and the server lives on", server.get("/healthz", key=None).status == 200)


def wrong_words(server):
    for words, part in ((("--frobnicate",), "--frobnicate"), (("--stations", "x"), "--stations"), (("--url", "x"), "--url")):
        code, out, err = run(server, *words)
        check(f"{words}: status 2 and one line", code == 2 and out == "" and len(err.splitlines()) == 1 and part in err, err)
    code, out, _ = run(server, "--help")
    check("the help goes to standard output", code == 0 and "--quirk" in out)


def story():
    """Of the simulated world; it needs no server."""
    def tell(seed):
        done = subprocess.run([BIN, "sim", "--story", "--seed", seed], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    code, out, err = tell("7")
    check("a story is told to its end", code == 0 and err == "" and out.splitlines()[-1] == "seed 7: nothing broke", (code, out[-300:], err))
    for words in ("the server starts", "charger 0 connects", "transaction.started", "on the disk up to event", "no more faults"):
        check(f"it tells: {words}", words in out, out[:1000])
    check("the same seed tells the same story", tell("7")[1] == out)
    check("and another another", tell("8")[1] != out)


def main():
    story()
    with Server("authorization.unknown_tag=accept") as server:
        wrong_words(server)
        demo(server)
        load(server)
        quirks(server)
    harness.report()


main()
