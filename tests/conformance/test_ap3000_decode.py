"""chargeline decode against the peer's codec, which shares no code with it: every command both ways with payloads of every length, and
streams of frames, garbage, card numbers and keepalives. Where both read the same of the same bytes, both read the specification alike."""
import json
import os
import random
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from ap3000_codec import DOWN, LAYOUTS, UP, Splitter, build
from harness import BIN, check, report

SEED = 20260301
STREAMS, PIECES = 300, 12
TEXT_KINDS = "a"


def told(data, direction):
    r = subprocess.run([BIN, "decode", "--format", "json", "--" + direction], input=data.hex(), capture_output=True, text=True, timeout=120, check=False)
    return [json.loads(line) for line in r.stdout.splitlines()], r.stderr


def payload_of(rng, command, direction, size):
    """Random bytes; text fields hold letters, since bytes that are no text may be shown in more ways than one."""
    out = bytearray(rng.choice((rng.randbytes(size), bytes(size), b"\xff" * size)))
    at = 0
    for _, kind, _ in LAYOUTS[direction].get(command, ()):
        if "*" in kind or kind == "rest":
            break
        n = {"u8": 1, "u16": 2, "u32": 4, "id": 4}.get(kind) or int(kind[1:])
        if kind[0] == TEXT_KINDS:
            letters = bytes(rng.choice(b"abcdefgh0189./:") for _ in range(rng.randrange(n + 1))).ljust(n, b"\0")
            out[at:at + n] = letters[:max(0, min(n, size - at))]
        at += n
    return bytes(out[:size])


def same(row, frame, got):
    """What decode tells of a frame against what our codec reads."""
    try:
        want = frame.fields
        check(row, got.get("fields") == want and "error" not in got, (got, want))
    except ValueError:
        check(f"{row}: refused by both", "error" in got, got)


def commands(direction):
    rng = random.Random(SEED)
    frames = []
    for command in sorted({*LAYOUTS[direction], 0x23, 0x99} - {0x00}):  # 0x00 goes from host to slave: neither way
        for size in [*range(0, 60), 76, 100, 199, 200, 204, 242, 260]:
            frames.append((command, size, build(rng.getrandbits(32), rng.getrandbits(16), command, payload_of(rng, command, direction, size))))
    out, err = told(b"".join(f for *_, f in frames), direction)
    got = [g for g in out if g["type"] == "frame"]
    if not check(f"{direction}: each frame is told", len(got) == len(frames) == len(out), (len(got), len(frames), len(out), err)):
        return
    for (command, size, raw), g in zip(frames, got):
        s = Splitter(direction)
        same(f"{direction} {command:#04x} with {size} bytes", s.feed(raw)[0][1], g)


def streams():
    rng = random.Random(SEED)
    for n in range(STREAMS):
        parts = [b"89860012345678901234"] if rng.random() < 0.3 else []
        for _ in range(rng.randrange(PIECES)):
            frame = build(rng.getrandbits(32), rng.getrandbits(16), rng.choice((0x20, 0x21, 0x22, 0x06, 0x42)), rng.randbytes(rng.randrange(60)))
            parts.append(rng.choice((frame, frame, b"link", rng.randbytes(rng.randrange(1, 9)), frame[:rng.randrange(1, len(frame))], b"DNY" + rng.randbytes(2),
                                     frame[:-1] + bytes([frame[-1] ^ 1]), b"89", b"8986" * 5)))
        data = b"".join(parts)
        if not data:
            continue
        s = Splitter(UP)
        events = s.feed(data) + s.gap()
        out, err = told(data, UP)
        dropped = sum(g["size"] for g in out if g["type"] == "dropped")
        kinds = [g["type"] for g in out if g["type"] != "dropped"]
        check(f"stream {n}: the same units", kinds == [e[0] for e in events], (data.hex(), kinds, [e[0] for e in events], err))
        check(f"stream {n}: the same number of bytes dropped", dropped == s.dropped, (data.hex(), dropped, s.dropped))


def main():
    for direction in (UP, DOWN):
        commands(direction)
    streams()
    report()


main()
