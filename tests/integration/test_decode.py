"""chargeline decode: frames made here, by struct alone, explained; what is wrong said; exit codes; colours on a terminal only."""
import json
import os
import pty
import struct
import subprocess

from harness import BIN, check, report

ENV = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}


def frame(command, payload, physical_id=0x04CEAA40, message_id=1):
    b = b"DNY" + struct.pack("<HIHB", len(payload) + 9, physical_id, message_id, command) + payload
    return b + struct.pack("<H", sum(b) & 0xFFFF)


def run(*arguments, text=None):
    return subprocess.run([BIN, "decode", *arguments], input=text or "", capture_output=True, text=True, timeout=60, env=ENV, check=False)


QUERY = frame(0x81, b"")
BEAT = frame(0x21, struct.pack("<HB", 2298, 2) + b"\x00\x10\x09\x55")
BAD = BEAT[:-1] + bytes([BEAT[-1] ^ 1])
CARD = b"89860012345678901234"

SHOWN = [
    # row, arguments, exit code, lines that must be there (blanks folded)
    ("a status query", [QUERY.hex()], 0, ["frame of 14 bytes: 0x81 ask for status, from the server, is not answered",
                                          "5 40 AA CE 04 physical id 04CEAA40: double socket, printed number 13544000"]),
    ("a heartbeat", [BEAT.hex().upper()], 0, ["12 FA 08 voltage_dv 229.8 V", "15 00 port_status 1 0: idle, nothing plugged in",
                                              "16 10 port_status 2 16: fault: detection circuit broken", "18 55 ambient_temp_raw 20 C"]),
    ("digits parted in every way", ["0x44 4E:59-09,00", QUERY[5:].hex()], 0, ["11 81 command 0x81"]),
    ("card number and keepalive before a frame", [(CARD + b"link" + QUERY).hex()], 0,
     ["card number of the module", "keepalive of the module", "24 44 4E 59 header DNY"]),
    ("a wrong checksum", [BAD.hex()], 1, ["12 FA 08 voltage_dv 229.8 V",
                                          "WRONG checksum: the frame says %04X, its bytes sum to %04X" % (struct.unpack("<H", BAD[-2:])[0], sum(BEAT[:-2]))]),
    ("a frame that is cut", [BEAT[:-3].hex()], 1, ["WRONG length: the length field says 16, so the frame has 21 bytes, but 18 are here"]),
    ("a length that none may have", ["444E590800"], 1, ["WRONG length: the length field says 8, which is not within 9 and 512"]),
    ("garbage between frames", [(QUERY + b"\x00\x01" + QUERY).hex()], 1, ["2 bytes that a server drops", "16 44 4E 59 header DNY"]),
    ("a wrong length that swallows a frame", [(b"DNY\x15\x00" + QUERY).hex()], 1, ["5 bytes that a server drops", "5 44 4E 59 header DNY"]),
    ("a payload that is too short", [frame(0x03, b"\x00" * 28).hex(), "--up"], 1,
     ["WRONG order_no: the payload has 28 bytes and ends before the end of this field"]),
    ("an unknown command", [frame(0x23, b"\x01\x02").hex()], 0, ["frame of 16 bytes: 0x23, a command that is not known", "12 01 02 payload kept raw"]),
    ("a frame that fits both ways", [frame(0x8D, b"\x01").hex()], 0, ["12 01 result 1: pile cannot switch", "fits the other direction too: --down"]),
    ("the other way said", ["--down", frame(0x8D, b"\x01").hex()], 0, ["12 01 work_mode 1: card"]),
    ("surplus", [frame(0x20, b"\x7e\x00\x02\x00\x21\x00\x00\x00\xe4").hex()], 0, ["20 E4 extra behind the last field that is known or whole"]),
]

REFUSED = [
    ("nothing", [], "nothing to decode"),
    ("half a byte", ["444"], "3 hexadecimal digits"),
    ("no digits", ["DNY"], "character 2"),
    ("both ways", ["--up", "--down", "44"], "--up and --down"),
    ("a format that is none", ["--format", "xml", "44"], "xml"),
    ("an option that is none", ["--sideways", "44"], "--sideways"),
]


def test_shown():
    for row, arguments, code, lines in SHOWN:
        r = run(*arguments)
        folded = "\n".join(" ".join(line.split()) for line in r.stdout.splitlines())
        check(f"{row}: exit {code}", r.returncode == code and r.stderr == "", (r.returncode, r.stderr))
        for line in lines:
            check(f"{row}: {line}", line in folded, r.stdout)
    r = run(text=QUERY.hex(" ") + "\n")
    check("from standard input", r.returncode == 0 and r.stdout == run(QUERY.hex()).stdout, r)


def test_refused():
    for row, arguments, words in REFUSED:
        r = run(*arguments)
        check(f"{row}: exit 2 and one line", r.returncode == 2 and r.stdout == "" and r.stderr.count("\n") == 1, r)
        check(f"{row}: says what", r.stderr.startswith("chargeline decode: ") and words in r.stderr, r.stderr)
    r = run("--help")
    check("--help", r.returncode == 0 and r.stdout.startswith("usage: chargeline decode ") and r.stderr == "", r)


def test_json():
    r = run("--format", "json", (b"link" + BEAT + b"\x00" + CARD).hex())
    got = [json.loads(line) for line in r.stdout.splitlines()]
    check("json: a line for each", [g["type"] for g in got] == ["link", "frame", "dropped"], got)
    check("json: after a frame 20 digits are no card number", got[2]["offset"] == 25 and got[2]["size"] == 21 and r.returncode == 1, got)
    check("json: the fields", got[1]["fields"] == {"voltage_dv": 2298, "port_count": 2, "port_status": [0, 16], "signal": 9,
                                                   "ambient_temp_raw": 85, "ambient_temp_c": 20}, got)
    check("json: the way", got[1]["direction"] == "up" and got[1]["direction_is_sure"] is True, got)
    r = run("--format", "json", frame(0x03, b"\x00" * 28).hex(), "--up")
    got = json.loads(r.stdout)
    check("json: a payload that is too short", r.returncode == 1 and got["error"].startswith("order_no: ") and got["fields"] == {"raw": "00" * 28}, got)


def on_terminal(env):
    ours, theirs = pty.openpty()
    with subprocess.Popen([BIN, "decode", BAD.hex()], stdin=subprocess.DEVNULL, stdout=theirs, env=env) as p:
        os.close(theirs)
        out = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                break
            if not piece:
                break
            out += piece
        p.wait(timeout=60)
    os.close(ours)
    return out


def test_colours():
    check("colours on a terminal", b"\033[31mWRONG checksum" in on_terminal({**ENV, "TERM": "xterm"}))
    check("none with NO_COLOR", b"\033" not in on_terminal({**ENV, "TERM": "xterm", "NO_COLOR": "1"}))
    check("none on a dumb terminal", b"\033" not in on_terminal({**ENV, "TERM": "dumb"}))
    check("none in a pipe", "\033" not in run(BAD.hex()).stdout)


if __name__ == "__main__":
    test_shown()
    test_refused()
    test_json()
    test_colours()
    report()
