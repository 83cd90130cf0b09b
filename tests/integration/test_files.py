"""Files that stations are given: what is uploaded is what is given out, to whom it may be; what does not fit is refused; what a crash
leaves between bytes and row is removed, and what is missing is told."""
import hashlib, http.client, os, random, socket, subprocess, sys, threading, uuid
sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Answer, Server, check, report, until

BYTES = "application/octet-stream"
MAX = 16 << 20       # files.max_bytes
JSON_MAX = 1 << 20   # api.max_body_bytes


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Reply(Answer):
    """An answer with its bytes as they came."""

    def __init__(self, status, headers, data):
        super().__init__(status, headers, data.decode(errors="replace"))
        self.bytes = data


def ask(server, method, path, key="", data=None, headers=None):
    headers = {"Authorization": "Bearer " + (key or server.key), **(headers or {})}
    connection = http.client.HTTPConnection(server.api, timeout=60)
    connection.request(method, "/api/v1" + path, body=data, headers=headers, encode_chunked="Transfer-Encoding" in headers)
    r = connection.getresponse()
    reply = Reply(r.status, r.headers, r.read())
    connection.close()
    return reply


def upload(server, data, query="name=f", key="", **headers):
    return ask(server, "POST", "/files?" + query, key, data, {"Content-Type": BYTES, **{k.replace("_", "-"): v for k, v in headers.items()}})


def folder(server):
    return os.path.join(server.data, "files")


def total(server):
    return server.get("/files").data["total"]


def in_folder(server):
    return sorted(os.listdir(folder(server)))


def is_as_before(server, row, before):
    check(f"{row}: neither row nor bytes are left", (total(server), in_folder(server)) == before, (total(server), in_folder(server)))


def now(server):
    return total(server), in_folder(server)


def test_one(server):
    """From upload to deletion."""
    data = bytes(range(256)) * 1000 + b"\r\n\0"
    made = upload(server, data, "name=boot%20%E7%94%B5.bin&version=1.2&note=for%20both", X_Content_SHA256=sha256(data).upper())
    check("a file is kept", made.status == 201, made.text)
    f = made.data
    check("it says what came", (f["name"], f["kind"], f["version"], f["note"], f["size_bytes"], f["sha256"], f["byte_sum"], f["created_by"]) ==
          ("boot 电.bin", "firmware", "1.2", "for both", len(data), sha256(data), sum(data) % 2**32, "admin"), f)
    check("Location says where", made.headers["Location"] == "/api/v1/files/" + f["file_id"], dict(made.headers))
    one = server.get("/files/" + f["file_id"])
    check("it is there as it was answered", one.status == 200 and one.data == f, one.text)
    content = ask(server, "GET", f"/files/{f['file_id']}/content")
    check("its bytes are the same", content.status == 200 and content.bytes == data, (content.status, len(content.bytes)))
    check("and are said to be bytes", content.headers["Content-Type"] == BYTES and content.headers["Content-Length"] == str(len(data)) and
          content.headers["X-Content-SHA256"] == sha256(data), dict(content.headers))
    head = ask(server, "HEAD", f"/files/{f['file_id']}/content")
    check("HEAD has their length and none of them", head.status == 200 and head.bytes == b"" and head.headers["Content-Length"] == str(len(data)), dict(head.headers))
    check("only its owner and group may read it", oct(os.stat(os.path.join(folder(server), f["file_id"])).st_mode & 0o777) == "0o640")
    again = upload(server, data, "name=boot%20%E7%94%B5.bin")
    check("the same again is a second file", again.status == 201 and again.data["file_id"] != f["file_id"] and again.data["version"] is None, again.text)
    for row, method, path in (("a file", "GET", ""), ("its bytes", "GET", "/content"), ("deleting", "DELETE", "")):
        for name in (str(uuid.uuid4()), f["file_id"].upper(), "x", "..%2Fstore.db", f["file_id"] + ".part", "%2e%2e"):
            got = ask(server, method, f"/files/{name}{path}")
            check(f"{row} of an id that is none: 404", got.status == 404 and got.code == "NOT_FOUND", (name, got.status, got.text))
    gone = server.call("DELETE", "/files/" + f["file_id"])
    check("it is deleted", gone.status == 200 and gone.data is None, gone.text)
    check("its bytes too", in_folder(server) == [again.data["file_id"]], in_folder(server))
    check("once", server.call("DELETE", "/files/" + f["file_id"]).status == 404)
    check("and is not there any more", ask(server, "GET", f"/files/{f['file_id']}/content").status == 404)
    server.call("DELETE", "/files/" + again.data["file_id"])


def test_roles(server):
    keys = {role: server.post("/api-keys", {"name": role, "role": role}).data["key"] for role in ("viewer", "operator", "admin")}
    file_id = upload(server, b"x").data["file_id"]
    rank = ["viewer", "operator", "admin"]
    for method, path, least in (("GET", "/files", "viewer"), ("GET", f"/files/{file_id}", "viewer"), ("GET", f"/files/{file_id}/content", "operator"),
                                ("POST", "/files?name=y", "admin"), ("DELETE", f"/files/{file_id}", "admin")):
        for role in rank:
            data, headers = (b"y", {"Content-Type": BYTES}) if method == "POST" else (None, {})
            got = ask(server, method, path, keys[role], data, headers)
            may = rank.index(role) >= rank.index(least)
            check(f"{role}: {method} {path}", got.status < 300 if may else got.status == 403, (got.status, got.text))
        got = ask(server, method, path, "no-key", data, headers)
        check(f"no key: {method} {path}", got.status == 401, got.status)
    made = [f for f in server.get("/files?name=y").data["list"]]
    check("who made it is told", [f["created_by"] for f in made] == ["admin"], made)
    for f in made:
        server.call("DELETE", "/files/" + f["file_id"])


def test_list(server):
    made = [upload(server, bytes([65 + i % 3]) * (i + 1), f"name=n{i % 2}&version={i}").data for i in range(7)]
    ids = [f["file_id"] for f in made]
    check("all, the oldest first", [f["file_id"] for f in server.get("/files").data["list"]] == ids)
    check("turned", [f["file_id"] for f in server.get("/files?sort=-created_at").data["list"]] == ids[::-1])
    page = server.get("/files?page=2&page_size=3").data
    check("a page", ([f["file_id"] for f in page["list"]], page["total"]) == (ids[3:6], 7), page)
    seen, cursor = [], ""
    while cursor is not None and len(seen) < 20:
        got = server.get("/files?limit=2" + (f"&cursor={cursor}" if cursor else "")).data
        seen += [f["file_id"] for f in got["list"]]
        cursor = got["next_cursor"]
    check("by cursor", seen == ids, seen)
    check("by name", [f["file_id"] for f in server.get("/files?name=n1").data["list"]] == ids[1::2])
    for digest in (made[4]["sha256"], made[4]["sha256"].upper()):
        check("by digest", [f["file_id"] for f in server.get("/files?sha256=" + digest).data["list"]] == [ids[4]])
    check("by what is none", server.get("/files?sha256=%25").data["total"] == 0)
    for file_id in ids:
        server.call("DELETE", "/files/" + file_id)
    check("none is left", now(server) == (0, []), now(server))


def test_refused(server):
    before = now(server)
    data = b"content"
    rows = [
        ("a digest of other bytes", 422, "name=f", data, {"X_Content_SHA256": sha256(b"other")}, "X-Content-SHA256"),
        ("a digest that is none", 422, "name=f", data, {"X_Content_SHA256": "abc"}, "X-Content-SHA256"),
        ("no bytes", 422, "name=f", b"", {}, "VALUE_NOT_ALLOWED"),
        ("no name", 400, "version=1", data, {}, "name"),
        ("an empty name", 422, "name=", data, {}, "name"),
        ("a long name", 422, "name=" + "n" * 101, data, {}, "name"),
        ("an unknown parameter", 400, "name=f&kind=x", data, {}, "kind"),
        ("JSON", 415, "name=f", data, {"Content_Type": "application/json"}, "application/octet-stream"),
        ("text", 415, "name=f", data, {"Content_Type": "text/plain"}, ""),
        ("a key of idempotency that is none", 400, "name=f", data, {"Idempotency_Key": "k" * 256}, "Idempotency-Key"),
    ]
    for row, status, query, body, headers, text in rows:
        got = upload(server, body, query, **headers)
        check(f"{row} is refused", got.status == status and text in got.text and got.code is not None, (got.status, got.text))
        is_as_before(server, row, before)
    got = ask(server, "POST", "/files?name=f", data=b"content")
    check("no type is refused", got.status == 415, got.status)
    got = ask(server, "POST", "/files?name=f", data=iter([b"", b""]), headers={"Content-Type": BYTES, "Transfer-Encoding": "chunked"})
    check("chunks of nothing are refused", got.status == 422, got.status)
    got = ask(server, "POST", "/api-keys", data=b"{}", headers={"Content-Type": BYTES})
    check("elsewhere a body stays JSON", got.status == 415, got.status)
    is_as_before(server, "all that was refused", before)


def test_sizes(server):
    """The largest file and a byte: announced, and found on the way. The limit of other routes is as it was."""
    largest = random.Random(1).randbytes(MAX)
    got = upload(server, largest, "name=largest", X_Content_SHA256=sha256(largest))
    check("the largest file is taken", got.status == 201 and got.data["size_bytes"] == MAX, got.text[:300])
    check("the server says so", server.get("/system").data["limits"]["file_max_bytes"] == MAX)
    content = ask(server, "GET", f"/files/{got.data['file_id']}/content")
    check("and given out whole", content.bytes == largest)
    before = now(server)
    for row, more in (("announced", {}), ("in chunks", {"Transfer-Encoding": "chunked"})):
        data = largest + b"x"
        got = ask(server, "POST", "/files?name=f", data=iter([data[:5000], data[5000:]]) if more else data, headers={"Content-Type": BYTES, **more})
        check(f"a byte more, {row}: 413", got.status == 413 and got.code == "BODY_TOO_LARGE", (got.status, got.text[:300]))
        is_as_before(server, f"a byte more, {row}", before)
    chunked = ask(server, "POST", "/files?name=c", data=iter([largest[:3 * JSON_MAX]]), headers={"Content-Type": BYTES, "Transfer-Encoding": "chunked"})
    check("chunks within the limit are taken", chunked.status == 201 and chunked.data["sha256"] == sha256(largest[:3 * JSON_MAX]), chunked.text[:300])
    got = ask(server, "PUT", "/charge-points/BIG", data=b'{"name":"' + b" " * JSON_MAX + b'"}', headers={"Content-Type": "application/json"})
    check("elsewhere a body is as small as it was", got.status == 413, got.status)
    for f in server.get("/files").data["list"]:
        server.call("DELETE", "/files/" + f["file_id"])


def bare(server, head, body):
    """Bytes as they are; all that comes back until the connection ends."""
    host, port = server.api.rsplit(":", 1)
    s = socket.create_connection((host, int(port)), timeout=60)
    s.sendall(f"POST /api/v1/files?name=bare HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {server.key}\r\nContent-Type: {BYTES}\r\n{head}\r\n".encode() + body)
    return s


def read_all(s):
    data = b""
    while True:
        try:
            piece = s.recv(65536)
        except ConnectionError:
            piece = b""
        if not piece:
            s.close()
            return data
        data += piece


def test_lies(server):
    """A length that is not so: less of a file than was announced is no file, and what comes behind one is no part of it."""
    before = now(server)
    got = read_all(bare(server, "Content-Length: 3\r\n", b"abcdef"))
    rows = server.get("/files?name=bare").data["list"]
    check("a length that is too short ends the file", got.startswith(b"HTTP/1.1 201 ") and [f["sha256"] for f in rows] == [sha256(b"abc")], (got[:200], rows))
    for f in rows:
        server.call("DELETE", "/files/" + f["file_id"])
    s = bare(server, "Content-Length: 1000\r\n", b"abc")
    s.shutdown(socket.SHUT_WR)
    check("a length that is too long, and the end: no file", not read_all(s).startswith(b"HTTP/1.1 201 "))
    s = bare(server, "Content-Length: 1000\r\n", b"abc")
    s.close()
    s = bare(server, "Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n")
    s.shutdown(socket.SHUT_WR)
    check("chunks without their last: no file", not read_all(s).startswith(b"HTTP/1.1 201 "))
    got = read_all(bare(server, "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"3\r\nabc\r\n0\r\n\r\n"))
    check("a length and chunks: 400", got.startswith(b"HTTP/1.1 400 "), got[:200])
    s = bare(server, f"Expect: 100-continue\r\nContent-Length: {MAX + 1}\r\n", b"")
    got = read_all(s)
    check("who waits to send too much is told at once", got.startswith(b"HTTP/1.1 413 "), got[:200])
    s = bare(server, "Expect: 100-continue\r\nContent-Length: 3\r\n", b"")
    first = s.recv(1000)
    s.sendall(b"abc")
    check("who waits to send what fits is let", first.startswith(b"HTTP/1.1 100 ") and b"HTTP/1.1 201 " in first + read_all(s), first)
    for f in server.get("/files?name=bare").data["list"]:
        server.call("DELETE", "/files/" + f["file_id"])
    until(lambda: now(server) == before, "nothing of it is left")


def test_repeats(server):
    key = {"Idempotency_Key": "upload-1"}
    first = upload(server, b"once", "name=once", **key)
    again = upload(server, b"once", "name=once", **key)
    check("a repeat gets the first answer", first.status == again.status == 201 and again.text == first.text and
          again.headers["Location"] == first.headers["Location"], again.text)
    check("and makes no second file", server.get("/files?name=once").data["total"] == 1)
    other = upload(server, b"twice", "name=once", **key)
    check("other bytes are refused", other.status == 422 and other.code == "IDEMPOTENCY_KEY_REUSED", other.text)
    other = upload(server, b"once", "name=twice", **key)
    check("another name too", other.status == 422 and other.code == "IDEMPOTENCY_KEY_REUSED", other.text)
    wrong = upload(server, b"right", "name=right", Idempotency_Key="upload-2", X_Content_SHA256="0" * 64)
    right = upload(server, b"right", "name=right", Idempotency_Key="upload-2", X_Content_SHA256=sha256(b"right"))
    check("what was refused may be corrected with its key", (wrong.status, right.status) == (422, 201), right.text)
    return first, right


def test_at_once(server):
    """Many uploads and deletions side by side: each whole, none lost."""
    before = now(server)
    kept, lock = [], threading.Lock()

    def run(i):
        for n in range(5):
            data = random.Random(f"{i}-{n}").randbytes(50000 + i)
            made = upload(server, data, f"name=at-once-{i}-{n}")
            content = ask(server, "GET", f"/files/{made.data['file_id']}/content")
            with lock:
                kept.append(made.status == 201 and content.bytes == data)
            if n % 2:
                server.call("DELETE", "/files/" + made.data["file_id"])

    threads = [threading.Thread(target=run, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check("each is as it was sent", len(kept) == 30 and all(kept), kept)
    left = [f for f in server.get("/files?limit=1000").data["list"] if f["name"].startswith("at-once")]
    check("rows and bytes agree", len(left) == 18 and len(in_folder(server)) == total(server), (len(left), now(server)))
    for f in left:
        server.call("DELETE", "/files/" + f["file_id"])
    check("all is as before", now(server) == before, now(server))


def doctor(server):
    return subprocess.run([server.binary, "doctor", "--data", server.data, "--quick"], capture_output=True, text=True, timeout=120).stdout


def put(server, name, data):
    with open(os.path.join(folder(server), name), "wb") as f:
        f.write(data)


def test_crash(server, first, kept):
    """A kill between bytes and row, and what else a folder may come to; then the start after it."""
    reader = socket.create_connection(server.api.rsplit(":", 1), timeout=60)
    reader.sendall(f"GET /api/v1/files/{kept} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\n\r\n".encode())
    check("someone is served", reader.recv(100).startswith(b"HTTP/1.1 200 "))
    server.kill()
    reader.close()
    orphan, half = str(uuid.uuid4()), str(uuid.uuid4()) + ".part"
    put(server, orphan, b"bytes without a row")
    put(server, half, b"ha")
    put(server, "notes.txt", b"of a person")
    text = doctor(server)
    check("doctor tells of what has no row", all(f"files/{name} belongs to no row" in text for name in (orphan, half, "notes.txt")) and " 0 bad" in text, text)
    server.start()
    check("the next start removes it, and nothing else", in_folder(server) == sorted([first["file_id"], kept, "notes.txt"]), in_folder(server))
    check("and says so", "event=files.swept removed=2" in server.log() and "event=files.unknown" in server.log(), server.log()[-1000:])
    check("files are there as before", ask(server, "GET", f"/files/{first['file_id']}/content").bytes == b"once")
    again = upload(server, b"once", "name=once", Idempotency_Key="upload-1")
    check("a repeat after the restart gets the first answer", again.status == 201 and again.data == first, again.text)
    os.unlink(os.path.join(folder(server), "notes.txt"))
    os.unlink(os.path.join(folder(server), kept))
    put(server, first["file_id"], b"once and more")
    text = doctor(server)
    check("doctor tells of lost bytes and of other ones", f"files/{kept} has a row and no bytes" in text and f"files/{first['file_id']} is not as long" in text and
          "of 2 files 2 are lost" in text and " 3 bad" in text, text)
    for file_id in (kept, first["file_id"]):
        got = ask(server, "GET", f"/files/{file_id}/content")
        check("what is not as its row says is not given out", got.status == 500 and got.code == "INTERNAL", (got.status, got.text))
        check("and can be deleted", server.call("DELETE", "/files/" + file_id).status == 200)
    text = doctor(server)
    check("then all is well", "0 files, the bytes of each are there" in text and " 0 bad" in text, text)
    server.stop()
    for i in range(9):
        put(server, str(uuid.UUID(int=i)), b"of another store")
    server.start()
    check("more than a crash leaves is left alone", len(in_folder(server)) == 9 and "left=9" in server.log(), in_folder(server))


def test_count():
    with Server("files.count_max=2", "files.max_bytes=1024") as server:
        made = [upload(server, b"x" * 1024, f"name={i}") for i in range(2)]
        got = upload(server, b"x", "name=2")
        check("as many as are taken, and no more", [m.status for m in made] == [201, 201] and got.status == 422 and got.code == "TOO_MANY_FILES", got.text)
        check("nothing of it is left", len(in_folder(server)) == 2, in_folder(server))
        check("a byte more than files.max_bytes", upload(server, b"x" * 1025).status == 413)
        server.call("DELETE", "/files/" + made[0].data["file_id"])
        check("one goes, one comes", upload(server, b"x", "name=2").status == 201)


def test_no_folder():
    with Server() as server:
        server.stop()
        os.rmdir(folder(server))
        put_in_place = os.path.join(server.data, "files")
        with open(put_in_place, "w"):
            pass
        try:
            server.start()
            check("a file in the folder's place: no start", False)
        except RuntimeError as e:
            check("a file in the folder's place: no start, and why", "files" in str(e), str(e)[-500:])
        os.unlink(put_in_place)
        server.start()


def main():
    with Server() as server:
        check("the folder is made at the first start", in_folder(server) == [])
        for test in (test_one, test_roles, test_list, test_refused, test_sizes, test_lies, test_at_once):
            test(server)
        check("each test leaves what it found", now(server) == (0, []), now(server))
        first, right = test_repeats(server)
        test_crash(server, first.data, right.data["file_id"])
    test_count()
    test_no_folder()
    report()


main()
