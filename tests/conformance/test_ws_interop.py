"""ws-echo against python3-websockets, which shares no code with us: sizes, fragments, pings, close codes, many at once.

CHARGELINE_BUILD names the build folder. Prints 'N passed, N failed'."""
import asyncio
import os
import subprocess
import sys

import websockets

LIMIT_S = 120
CLIENTS = 50
MESSAGES_EACH = 40
SIZES = [0, 1, 2, 124, 125, 126, 127, 1000, 4095, 4096, 65535, 65536, 65537, 1 << 20, (1 << 20) + 1, 5_000_000]
CLOSE_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 3000, 4999]

passed = failed = 0


def check(row, condition):
    global passed, failed
    if condition:
        passed += 1
    else:
        failed += 1
        print(f"not so: {row}", file=sys.stderr)


def connect(port, **options):
    return websockets.connect(f"ws://127.0.0.1:{port}/x", max_size=None, ping_interval=None, **options)


async def sizes(port):
    async with connect(port) as ws:
        for n in SIZES:
            text, binary = ("aé€𝄞" * (n // 4 + 1))[:n], bytes(i & 0xFF for i in range(251)) * (n // 251 + 1)
            await ws.send(text)
            check(f"text of {n} characters", await ws.recv() == text)
            await ws.send(binary[:n])
            check(f"{n} bytes", await ws.recv() == binary[:n])


async def in_order(port):
    async with connect(port) as ws:
        sent = [f"message {i}" for i in range(2000)]

        async def send_all():
            for m in sent:
                await ws.send(m)

        task = asyncio.create_task(send_all())
        got = [await ws.recv() for _ in sent]
        await task
        check("two thousand without waiting come back in order", got == sent)


async def fragments(port):
    for pieces in (["a"], ["", "a", ""], ["é"] * 500, ["x" * 70_000] * 5, [""] * 100 + ["end"]):
        async with connect(port) as ws:
            await ws.send(pieces)
            check(f"{len(pieces)} fragments of text", await ws.recv() == "".join(pieces))
            await ws.send([p.encode() for p in pieces])
            check(f"{len(pieces)} fragments of bytes", await ws.recv() == "".join(pieces).encode())

    async with connect(port) as ws:
        between = []

        async def with_pings():
            for _ in range(3):
                yield "part "
                between.append(await ws.ping())

        await ws.send(with_pings())
        check("pings between fragments do not disturb them", await ws.recv() == "part part part ")
        for pong in between:
            await pong
        check("and are answered", len(between) == 3)


async def pings(port):
    async with connect(port) as ws:
        for payload in (b"", b"x", b"p" * 125):
            await (await ws.ping(payload))
            check(f"a ping of {len(payload)} bytes is answered with the same", True)
        await ws.pong(b"nobody asked")
        await ws.send("still here")
        check("a pong that nobody asked for is let pass", await ws.recv() == "still here")
        for _ in range(200):
            await ws.ping()
        await ws.send("and here")
        check("without a rate limit many pings are let pass", await ws.recv() == "and here")


async def closes(port):
    for code in CLOSE_CODES:
        ws = await connect(port)
        await ws.close(code, "done")
        check(f"close code {code} comes back", ws.close_code == code)
    ws = await connect(port)
    await ws.send("last")
    await ws.close()
    check("a close behind a message is answered in order", ws.close_code == 1000)


async def broken(port):
    """What the library would not send: written past it."""
    rows = [
        ("a frame without a mask", b"\x81\x01a", 1002),
        ("a reserved bit", b"\xc1\x80\0\0\0\0", 1002),
        ("a reserved opcode", b"\x83\x80\0\0\0\0", 1002),
        ("text that is not UTF-8", b"\x81\x81\0\0\0\0\xff", 1007),
        ("a continuation of nothing", b"\x80\x80\0\0\0\0", 1002),
        ("a length past the limit", b"\x82\xff\0\0\0\0\x01\0\0\x01", 1009),
    ]
    for row, frame, code in rows:
        ws = await connect(port)
        ws.transport.write(frame)
        try:
            await ws.recv()
            check(row, False)
        except websockets.ConnectionClosed:
            check(row, ws.close_code == code)


async def sub_protocol(port):
    async with connect(port, subprotocols=["ocpp1.6"]) as ws:
        check("a sub-protocol that the server does not speak is not agreed on", ws.subprotocol is None)
        check("nor named in a header", "Sec-WebSocket-Protocol" not in ws.response_headers)
    async with connect(port, compression="deflate") as ws:
        check("nor is an extension", ws.extensions == [])
        await ws.send("plain " * 100)
        check("and the stream is plain", await ws.recv() == "plain " * 100)


async def one_of_many(port, name):
    async with connect(port) as ws:
        for i in range(MESSAGES_EACH):
            await ws.send(f"{name}/{i}/" + "x" * (i * 37))
            if await ws.recv() != f"{name}/{i}/" + "x" * (i * 37):
                return False
    return ws.close_code == 1000


async def many(port):
    results = await asyncio.gather(*(one_of_many(port, n) for n in range(CLIENTS)))
    check(f"{CLIENTS} at once, each gets its own", all(results))


async def vanishing(port):
    for _ in range(20):
        ws = await connect(port)
        await ws.send("x" * 100_000)
        ws.transport.abort()
    async with connect(port) as ws:
        await ws.send("alive")
        check("peers that vanish in the middle do no harm", await ws.recv() == "alive")


async def all_tests(port):
    for test in (sizes, in_order, fragments, pings, closes, broken, sub_protocol, many, vanishing):
        try:
            await asyncio.wait_for(test(port), LIMIT_S)
        except Exception as e:  # the next test is of interest still
            check(f"{test.__name__}: {e!r}", False)


def main():
    echo = subprocess.Popen([os.path.join(os.environ["CHARGELINE_BUILD"], "ws-echo"), "0"], stdout=subprocess.PIPE, text=True)
    try:
        line = echo.stdout.readline()
        check("the server says where it listens", line.startswith("listening on "))
        port = int(line.split()[-1])
        asyncio.run(all_tests(port))
        taken = subprocess.run([echo.args[0], str(port)], capture_output=True, text=True, timeout=LIMIT_S)
        check("a second one fails on the same port", taken.returncode == 1)
        check("and says who has it", f"127.0.0.1:{port} is taken by another process (pid {echo.pid}, ws-echo)" in taken.stderr)
    finally:
        echo.terminate()
        check("it ends when told to", echo.wait(LIMIT_S) == 0)
    print(f"{passed} passed, {failed} failed")
    return failed != 0 or passed == 0


sys.exit(main())
