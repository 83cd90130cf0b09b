#!/usr/bin/env python3
"""Writes the seeds of fuzz_ws, fuzz_http and fuzz_http_stream to tests/fuzz/corpus: run it from the root after changing a line here."""
import os
import struct

ROOT = "tests/fuzz/corpus"
MASK = bytes([0x37, 0xFA, 0x21, 0x3D])
CUTS = [bytes(8), bytes([1, 0, 6, 2, 12, 0, 0, 3]), bytes([255] * 8)]


def frame(masked, first, payload=b"", form=None, announced=None):
    n = len(payload) if announced is None else announced
    form = form or (7 if n < 126 else 16 if n < 65536 else 64)
    bit = 0x80 if masked else 0
    head = {7: lambda: bytes([first, bit | n]), 16: lambda: bytes([first, bit | 126]) + struct.pack(">H", n),
            64: lambda: bytes([first, bit | 127]) + struct.pack(">Q", n)}[form]()
    if masked:
        payload = bytes(b ^ MASK[i % 4] for i, b in enumerate(payload))
        head += MASK
    return head + payload


# name: frames, as the arguments of frame() behind its first
WS = {
    "text": [(0x81, b'[2,"1","Heartbeat",{}]')],
    "text-empty": [(0x81,)],
    "binary": [(0x82, bytes(range(64)))],
    "text-126": [(0x81, b"x" * 126)],
    "text-300": [(0x81, b"x" * 300)],
    "text-64-bit": [(0x82, b"yy", 64, 65536)],
    "utf8": [(0x81, "电桩 é 🚗".encode())],
    "utf8-split": [(0x01, b"\xe7"), (0x00, b"\x94"), (0x80, b"\xb5")],
    "utf8-bad": [(0x81, b"abcdefgh\xc0\x80")],
    "utf8-surrogate": [(0x01, b"\xed"), (0x80, b"\xa0\x80")],
    "utf8-unfinished": [(0x81, b"\xf0\x9f\x9a")],
    "ping": [(0x89, b"p")],
    "ping-125": [(0x89, b"p" * 125)],
    "ping-126": [(0x89, b"p" * 126)],
    "ping-within": [(0x01, b"a"), (0x89, b"p"), (0x80, b"b")],
    "pong": [(0x8A,)],
    "close": [(0x88, b"\x03\xe8")],
    "close-empty": [(0x88,), (0x81, b"late")],
    "close-reason": [(0x88, b"\x03\xe8bye")],
    "close-1-byte": [(0x88, b"\x03")],
    "close-1005": [(0x88, b"\x03\xed")],
    "close-bad-reason": [(0x88, b"\x03\xe8\xff")],
    "close-within": [(0x01, b"a"), (0x88, b"\x0f\xa0")],
    "fragments": [(0x02, b"one"), (0x00, b"two"), (0x00,), (0x80, b"three")],
    "fragments-many": [(0x01, b"a")] + [(0x00, b"b")] * 70,
    "fragments-over": [(0x01, b"a" * 30), (0x80, b"b" * 20)],
    "continuation-of-nothing": [(0x80, b"a")],
    "text-within": [(0x01, b"a"), (0x81, b"b")],
    "rsv1": [(0xC1, b"a")],
    "opcode-3": [(0x83, b"a")],
    "opcode-b": [(0x8B,)],
    "ping-no-fin": [(0x09,)],
    "long-form-16": [(0x81, b"a", 16)],
    "long-form-64": [(0x81, b"a", 64)],
    "top-bit": [(0x82, b"", 64, 1 << 63)],
    "too-big": [(0x82, b"", 64, 1 << 40)],
    "messages": [(0x81, b"one"), (0x82, b"two"), (0x89, b"p"), (0x81, b"three"), (0x8A, b"q")],
    "cut": [(0x81, b"abc", None, 10)],
}

GET = b"GET /ocpp/CP1 HTTP/1.1\r\n"
HOST = b"Host: csms.example.com:8887\r\n"
UP = (b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
END = b"\r\n"
HTTP = {
    "least": GET + HOST + END,
    "upgrade": GET + HOST + UP + b"Sec-WebSocket-Protocol: ocpp1.6, ocpp1.5\r\n" + END,
    "upgrade-basic": GET + HOST + UP + b"Authorization: Basic Q1AxOnNlY3JldA==\r\n" + END,
    "upgrade-key-of-bytes": GET + HOST + b"Authorization: Basic Q1AxOgABAgMEBQYH////////////////\r\n" + END,
    "upgrade-no-connection": GET + HOST + UP.replace(b"Connection", b"Xonnection") + END,
    "upgrade-body": GET + HOST + UP + b"Content-Length: 5\r\n" + END,
    "upgrade-version-8": GET + HOST + UP.replace(b"13", b"8") + END,
    "post": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n" + END + b"12345",
    "post-chunked": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n" + END,
    "post-both": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" + END,
    "two-lengths": GET + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n" + END,
    "two-hosts": GET + HOST + HOST + END,
    "no-host": GET + END,
    "host-v6": GET + b"Host: [fe80::1]:80\r\n" + END,
    "host-user": GET + b"Host: u@h\r\n" + END,
    "version-10": b"GET / HTTP/1.0\r\n" + HOST + END,
    "version-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "absolute": b"GET http://h/ HTTP/1.1\r\n" + HOST + END,
    "bare-lf": b"GET / HTTP/1.1\nHost: h\n\n",
    "bare-cr": GET + HOST + b"X: a\rb\r\n" + END,
    "fold": GET + HOST + b"X: a\r\n b\r\n" + END,
    "blank-before-colon": GET + b"Host : h\r\n" + END,
    "nul": GET + HOST + b"X: \0\r\n" + END,
    "high-bytes": GET + HOST + "X: 电\r\n".encode() + END,
    "tokens": GET + HOST + b"Connection: ,a , b,,\r\nX: y\r\nConnection:\r\nConnection: c\r\n" + END,
    "target-escapes": b"GET /ocpp/RDAM%20123/?a=%2F HTTP/1.1\r\n" + HOST + END,
    "target-utf8": b"GET /ocpp/%E7%94%B5%E6%A1%A9 HTTP/1.1\r\n" + HOST + END,
    "target-control": b"GET /ocpp/a%0D%0Ab HTTP/1.1\r\n" + HOST + END,
    "target-overlong": b"GET /ocpp/%C0%AF HTTP/1.1\r\n" + HOST + END,
    "long-line": b"GET /" + b"x" * 2100 + b" HTTP/1.1\r\n" + HOST + END,
    "many-headers": GET + HOST + b"X: y\r\n" * 70 + END,
    "long-head": GET + HOST + b"X: " + b"y" * 8300 + END + END,
    "answer-101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + END,
    "answer-401": b"HTTP/1.1 401 \r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n" + END,
    "answer-short": b"HTTP/1.1 101\r\n" + END,
    "target-only": b"/ocpp/CP%2F1/",
    "target-double": b"/ocpp/a%252Fb?x",
    "target-c1": b"/ocpp/%C2%85",
    "target-tenant": b"/t1/x/CP1",
    "target-dots": b"/ocpp/%2e%2e",
    "target-255": b"/ocpp/" + b"y" * 255,
    "target-256": b"/ocpp/" + b"y" * 255 + b"%7A",
}

A = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
STREAM = {
    "two": A + A,
    "sized": POST + b"Content-Length: 5\r\n\r\nhello" + A,
    "sized-0": POST + b"Content-Length: 0\r\n\r\n" + A,
    "sized-cut": POST + b"Content-Length: 50\r\n\r\nhello",
    "sized-request": POST + b"Content-Length: 28\r\n\r\n" + A + A,
    "chunked": CHUNKED + b"5\r\nhello\r\n" + LAST + A,
    "chunked-many": CHUNKED + b"1\r\na\r\n" * 20 + LAST,
    "chunked-extensions": CHUNKED + b'2;a;b=c;d="e \\"; f"\r\nhi\r\n0;g\r\n\r\n' + A,
    "chunked-trailers": CHUNKED + b"0\r\nX: y\r\nContent-Length: 7\r\n\r\n" + A,
    "chunked-long": CHUNKED + b"3\r\nhello\r\n" + LAST,
    "chunked-short": CHUNKED + b"7\r\nhello\r\n" + LAST,
    "chunked-past-64-bits": CHUNKED + b"10000000000000005\r\nhello\r\n" + LAST,
    "chunked-lf": CHUNKED + b"5\nhello\n" + LAST,
    "both": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + LAST,
    "empty-line": A + b"\r\n" + A,
}


def write(folder, name, data):
    os.makedirs(os.path.join(ROOT, folder), exist_ok=True)
    with open(os.path.join(ROOT, folder, name), "wb") as f:
        f.write(data)


for number, (name, frames) in enumerate(WS.items()):
    for is_server in (True, False):
        stream = b"".join(frame(is_server, *f) for f in frames)
        choice = (1 if is_server else 0) | (2 if name == "fragments-over" else 0)
        write("fuzz_ws", f"{name}-{'server' if is_server else 'client'}", bytes([choice]) + CUTS[number % 3] + stream)
for name, text in HTTP.items():
    write("fuzz_http", name, text)
for number, (name, data) in enumerate(STREAM.items()):
    write("fuzz_http_stream", name, CUTS[number % 3][:4] + data)
