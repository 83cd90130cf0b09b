"""hostile_pile.py HOST PORT KIND   One that does not behave, as a process of its own so that it takes nothing from who measures. It
begins at a line on its standard input, and goes on until that is closed.

    beats    heartbeats as fast as the server takes them, answers read
    deaf     the same, and reads no answer
    swipes   card swipes, each another
    settle   settlements, each another order
    forged   a heartbeat of another physical id each time
    lies     lengths that are wrong, headers within, sums that do not fit
    drip     a byte of a frame every now and then
    noise    random bytes, on a new connection whenever it is closed
    sockets  a thousand that say nothing"""
import itertools
import os
import random
import select
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ap3000_codec import UP, build, encode

ME = 0x04666666
BATCH, SOCKETS = 50, 1000
BEAT = {"voltage_dv": 2200, "port_count": 2, "port_status": [0, 0], "signal": 0, "ambient_temp_raw": 90}


def settlement(n):
    return {"duration_s": 60, "max_power_dw": 100, "energy_10wh": 1, "port": 0, "start_mode": 0, "card_or_code": "7A8D05DD", "stop_reason": 1,
            "order_no": f"2026{n:028d}"}


def made(kind, n, rng):
    if kind in ("beats", "deaf", "drip"):
        return build(ME, n & 0xFFFF, 0x21, encode(0x21, UP, BEAT))
    if kind == "swipes":
        return build(ME, n & 0xFFFF, 0x02, encode(0x02, UP, {"card_id": f"{n & 0xFFFFFFFF:08X}", "card_type": 0, "port": 0xFF}))
    if kind == "settle":
        return build(ME, n & 0xFFFF, 0x03, encode(0x03, UP, settlement(n)))
    if kind == "forged":
        return build(0x05000000 + n, 1, 0x21, encode(0x21, UP, BEAT))
    if kind == "lies":
        raw = bytearray(build(ME, n & 0xFFFF, 0x21, encode(0x21, UP, BEAT)))
        at = rng.randrange(len(raw))
        raw[at] ^= 1 << rng.randrange(8)
        if n % 3 == 0:
            struct.pack_into("<H", raw, 3, rng.randrange(9, 513))
        return bytes(raw) + build(ME, n & 0xFFFF, 0x22)
    return rng.randbytes(rng.randrange(1, 600))


def connected(address):
    s = socket.create_connection(address)
    s.setblocking(False)
    return s


def is_over():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def send_all(s, kind, data):
    """False: the connection has ended, or we are to stop."""
    while data:
        r, w, _ = select.select([] if kind == "deaf" else [s], [s], [], 0.1)
        if is_over():
            return False
        if r and not s.recv(65536):
            return False
        if w:
            data = data[s.send(data):]
    return True


def main():
    address, kind, rng = (sys.argv[1], int(sys.argv[2])), sys.argv[3], random.Random(20260301)
    sys.stdin.readline()
    if kind == "sockets":
        held = []
        while len(held) < SOCKETS and not is_over():
            try:
                held.append(connected(address))
            except OSError:
                pass
        print("ready", flush=True)
        sys.stdin.readline()
        return
    counter, s = itertools.count(1), connected(address)
    print("ready", flush=True)
    sent = 0
    while not is_over():
        try:
            data = b"".join(made(kind, next(counter), rng) for _ in range(1 if kind == "drip" else BATCH))
            if kind == "drip":
                for i in range(len(data)):
                    if select.select([sys.stdin], [], [], 0.05)[0] or not send_all(s, kind, data[i:i + 1]):
                        break
            elif send_all(s, kind, data):
                sent += BATCH
            else:
                raise ConnectionError
        except OSError:
            s.close()
            try:
                s = connected(address)
            except OSError:
                select.select([sys.stdin], [], [], 0.01)
    print(sent, flush=True)


if __name__ == "__main__":
    main()
