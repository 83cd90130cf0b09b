"""What integration tests share: the real program on free ports, an API client, an OCPP peer on Debian's websockets, and a
count of checks. Nothing here sleeps a fixed time: it waits for a condition, with a bound."""
import asyncio, base64, contextlib, json, os, signal, socket, subprocess, sys, tempfile, threading, time, traceback, urllib.error, urllib.request

BIN = os.environ.get("CHARGELINE_BIN", "build/release/chargeline")
WAIT_S = 30

passed = failed = 0
PAUSE = threading.Event()  # never set: between two looks at a condition


def check(row, cond, detail=""):
    """One row: its name is the sentence that fails."""
    global passed, failed
    if cond:
        passed += 1
    else:
        failed += 1
        frame = traceback.extract_stack(limit=2)[0]
        print(f"{os.path.basename(frame.filename)}:{frame.lineno}: {row}: not so {detail!r}"[:2000], flush=True)
    return bool(cond)


def report():
    print(f"{passed} passed, {failed} failed")
    sys.exit(0 if failed == 0 and passed > 0 else 1)


def until(condition, what, timeout=WAIT_S):
    """Calls condition until it gives something true; its value, or a failed check and None."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            check(what, False, "timed out")
            return None
        PAUSE.wait(0.01)


async def until_async(condition, what, timeout=WAIT_S):
    """The same inside a loop."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return check(what, False, "timed out")
        await asyncio.wait([asyncio.ensure_future(asyncio.to_thread(PAUSE.wait, 0.005))])
    return True


class Answer:
    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text
        try:
            self.json = json.loads(text)
        except ValueError:
            self.json = None

    @property
    def data(self):
        return self.json.get("data") if isinstance(self.json, dict) else None

    @property
    def code(self):
        return self.json.get("code") if isinstance(self.json, dict) else None


class Server:
    """chargeline serve on free ports, data in a folder of its own (kept over restarts)."""

    def __init__(self, *sets, data=None, binary=None, env=None, stderr=None):
        self.tmp = None if data else tempfile.TemporaryDirectory(prefix="chargeline-test-")
        self.data = data or os.path.join(self.tmp.name, "data")
        self.sets, self.binary, self.env = list(sets), binary or BIN, env
        self.stderr_path = os.path.join(self.tmp.name if self.tmp else os.path.dirname(self.data), "stderr.log")
        self.process = self.ocpp = self.api = self.ap3000 = None
        self.fixed = {}

    def start(self, keep_ports=True):
        sets = {"listen.ocpp": "127.0.0.1:0", "listen.api": "127.0.0.1:0", "listen.ap3000": "127.0.0.1:0"}
        if keep_ports:
            sets.update(self.fixed)
        arguments = [self.binary, "serve", "--data", self.data]
        for k, v in sets.items():
            arguments += ["--set", f"{k}={v}"]
        for s in self.sets:
            arguments += ["--set", s]
        r, w = os.pipe()
        self.stderr_file = open(self.stderr_path, "ab")
        self.process = subprocess.Popen(arguments + ["--ready-fd", str(w)], pass_fds=[w], stderr=self.stderr_file,
                                        stdout=subprocess.DEVNULL, env={**os.environ, **(self.env or {})})
        os.close(w)
        with os.fdopen(r) as ready:
            line = ready.readline()
        if not line:
            self.process.wait()
            self.stderr_file.close()
            raise RuntimeError("the server did not start: " + open(self.stderr_path, errors="replace").read()[-2000:])
        words = dict(word.split("=", 1) for word in line.split())
        self.ocpp, self.api = words["ocpp"], words["api"]
        self.ocpp_tls, self.ap3000 = words.get("ocpp_tls"), words["ap3000"]
        self.fixed = {"listen.ocpp": self.ocpp, "listen.api": self.api, "listen.ap3000": self.ap3000}
        with open(os.path.join(self.data, "admin.key")) as f:
            self.key = f.read().strip()
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.stderr_file.close()

    def stop(self, expect=0):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.stderr_file.close()
        if expect is not None:
            check(f"the server stops with {expect}", code == expect, (code, self.log()[-1500:]))
        return code

    def log(self):
        with open(self.stderr_path, errors="replace") as f:
            return f.read()

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *exc):
        if self.process and self.process.poll() is None:
            self.stop(expect=0 if exc[0] is None else None)
        if self.tmp:
            self.tmp.cleanup()

    def call(self, method, path, body=None, key="", headers=None, raw=None, timeout=60):
        headers = dict(headers or {})
        if key is not None:
            headers["Authorization"] = "Bearer " + (key or self.key)
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        if not path.startswith("/api/") and path not in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/"):
            path = "/api/v1" + path
        request = urllib.request.Request(f"http://{self.api}{path}", data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as r:
                return Answer(r.status, r.headers, r.read().decode())
        except urllib.error.HTTPError as e:
            return Answer(e.code, e.headers, e.read().decode())

    def get(self, path, **kw):
        return self.call("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.call("POST", path, {} if body is None else body, **kw)

    def put(self, path, body, **kw):
        return self.call("PUT", path, body, **kw)

    def accept_tag(self, tag, **more):
        r = self.put("/id-tags/" + tag, {"status": "accepted", **more})
        check(f"tag {tag} is taken", r.status in (200, 201), (r.status, r.text))

    def tail(self, *arguments):
        """What tail prints of the log as it stands: a list of events."""
        out = subprocess.run([self.binary, "tail", "--data", self.data, "--no-follow", "--since", "1", "--format", "json", *arguments],
                             capture_output=True, text=True, timeout=120)
        check("tail ends well", out.returncode == 0, out.stderr)
        return [json.loads(line) for line in out.stdout.split("\n") if line]


class Station:
    """An OCPP peer over Debian's python3-websockets. Shares no code with the server."""

    def __init__(self, server, identity, password=None, protocols=("ocpp1.6",), path=None):
        self.server, self.identity, self.password, self.protocols = server, identity, password, protocols
        self.path = path or "/ocpp/" + urllib.request.quote(identity, safe="")
        self.number = 0
        self.waiting, self.on_call = {}, {}
        self.calls = []      # what the server asked: (action, payload)
        self.ws = None

    async def connect(self):
        import websockets
        headers = {}
        if self.password is not None:
            raw = self.identity.encode() + b":" + (self.password if isinstance(self.password, bytes) else self.password.encode())
            headers["Authorization"] = "Basic " + base64.b64encode(raw).decode()
        self.ws = await websockets.connect(f"ws://{self.server.ocpp}{self.path}", subprotocols=list(self.protocols) or None,
                                           extra_headers=headers, max_size=None, ping_interval=None, open_timeout=WAIT_S, compression=None)
        self.reader = asyncio.ensure_future(self._read())
        return self

    async def _read(self):
        with contextlib.suppress(Exception):
            async for text in self.ws:
                await self._take(text)
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("closed"))

    async def _take(self, text):
        frame = json.loads(text)
        if frame[0] in (3, 4):
            future = self.waiting.pop(frame[1], None)
            if future and not future.done():
                future.set_result(frame)
            return
        action, payload = frame[2], frame[3]
        self.calls.append((action, payload))
        handler = self.on_call.get(action)
        answer = handler(payload) if callable(handler) else handler
        if answer is not None:
            await self.ws.send(json.dumps([3, frame[1], answer]))

    async def send(self, text):
        await self.ws.send(text)

    async def frame(self, action, payload, message_id=None):
        """Sends a call; the whole answering frame."""
        self.number += 1
        message_id = message_id if message_id is not None else f"{self.identity}-{self.number}"
        future = asyncio.get_running_loop().create_future()
        self.waiting[message_id] = future
        await self.ws.send(json.dumps([2, message_id, action, payload]))
        return await asyncio.wait_for(future, WAIT_S)

    async def call(self, action, payload, message_id=None):
        """The payload of the answer; a CALLERROR is a failed check."""
        frame = await self.frame(action, payload, message_id)
        check(f"{action} is answered with a result", frame[0] == 3, frame)
        return frame[2]

    async def boot(self, **more):
        return await self.call("BootNotification", {"chargePointVendor": "Peer", "chargePointModel": "P1", **more})

    async def status(self, connector, status, error="NoError"):
        return await self.call("StatusNotification", {"connectorId": connector, "errorCode": error, "status": status})

    async def close(self):
        await self.ws.close()
        await self.reader


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
