"""A fleet of storm.c's peers, and what a test needs to know of the server's process and its figures."""
import json, os, re, socket, subprocess

BUILD = os.environ.get("CHARGELINE_BUILD", "build/release")


class Fleet:
    """COUNT stations of the program storm against a server; each command gives the answer that storm prints."""

    def __init__(self, server, prefix, count):
        host, port = server.ocpp.rsplit(":", 1)
        self.process = subprocess.Popen([os.path.join(BUILD, "storm"), host, port, prefix, str(count)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, line):
        self.tell(line)
        return self.answer()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()


def rss_kb(server):
    with open(f"/proc/{server.process.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def metric(server, name, label=""):
    """The value of one series, label as it stands between the braces; 0 when it is not there."""
    text = server.get("/metrics").text
    wanted = name + ("{" + label + "}" if label else "")
    found = re.search("^" + re.escape(wanted) + r" ([0-9.e+]+)$", text, re.M)
    return float(found.group(1)) if found else 0.0


class Wire:
    """A bare socket that speaks what the test says, byte for byte."""

    def __init__(self, address, timeout=20):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def send(self, data):
        self.socket.sendall(data)

    def upgrade(self, path, headers=""):
        """The answer's head."""
        self.send((f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: ocpp1.6\r\n{headers}\r\n").encode())
        return self.head()

    def head(self):
        while b"\r\n\r\n" not in self.rest:
            if not self._more():
                break
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        return head

    def _more(self):
        try:
            piece = self.socket.recv(65536)
        except ConnectionError:
            piece = b""
        self.rest += piece
        return len(piece) > 0

    def frame(self):
        """(opcode, payload) of the next frame; None when the stream has ended."""
        while True:
            if len(self.rest) >= 2:
                size, at = self.rest[1] & 127, 2
                if size == 126 and len(self.rest) >= 4:
                    size, at = int.from_bytes(self.rest[2:4], "big"), 4
                elif size == 127 and len(self.rest) >= 10:
                    size, at = int.from_bytes(self.rest[2:10], "big"), 10
                elif size > 125:
                    size = 1 << 62
                if len(self.rest) >= at + size:
                    opcode, payload = self.rest[0] & 15, self.rest[at:at + size]
                    self.rest = self.rest[at + size:]
                    return opcode, payload
            if not self._more():
                return None

    def close(self):
        self.socket.close()


def frame(payload, opcode=1, fin=True, mask=b"\0\0\0\0", rsv=0, size=None):
    """One client frame; size: what its head claims (None: the truth), mask None: unmasked."""
    payload = payload.encode() if isinstance(payload, str) else payload
    n = len(payload) if size is None else size
    bit = 0 if mask is None else 128
    head = bytes([(128 if fin else 0) | rsv | opcode])
    head += bytes([bit | n]) if n < 126 else bytes([bit | 126]) + n.to_bytes(2, "big") if n < 65536 else bytes([bit | 127]) + n.to_bytes(8, "big")
    return head + (mask or b"") + (payload if not mask else bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))


class Silent:
    """A station that comes in and then neither reads nor writes."""

    def __init__(self, server, identity):
        self.wire = Wire(server.ocpp)
        self.is_in = self.wire.upgrade(f"/ocpp/{identity}").startswith(b"HTTP/1.1 101 ")

    def close(self):
        self.wire.close()
