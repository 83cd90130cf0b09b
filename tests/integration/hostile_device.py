"""What a hostile station says, and what it is to get: reliability.md 2.3 and 2.4, ocpp16.md 1 and 2, RFC 9112 and 6455.

HEADS     (row, bytes, status)         a request; None: closed without a word
PATHS     (row, target, status)        in an otherwise right upgrade
FRAMES    (row, bytes, close code)     behind an upgrade; None: taken, and the connection goes on
CALLS     (row, text, answer)          behind a boot; "result", the code of a CALLERROR, or None: no answer, and the connection goes on"""
from fleet import frame

MESSAGE_MAX = 1048576
KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
UP = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" + KEY
HOST = "Host: x\r\n"


def get(more="", target="/ocpp/HEAD", host=HOST, up=UP, method="GET", version="HTTP/1.1"):
    return f"{method} {target} {version}\r\n{host}{up}{more}\r\n".encode("latin-1")


HEADS = [
    ("an upgrade", get(), 101),
    ("in other letters", b"GET /ocpp/HEAD HTTP/1.1\r\nhOsT: x\r\nuPGRADE: WebSocket\r\ncONNECTION: keep-alive, UPGRADE\r\nsec-websocket-version: 13\r\n" + KEY.encode() + b"\r\n", 101),
    # what a proxy in front could read in another way (RFC 9112, 6)
    ("a length and chunks", get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
    ("a body with the upgrade", get("Content-Length: 5\r\n") + b"hello", 400),
    ("chunks with the upgrade", get("Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 400),
    ("two lengths", get("Content-Length: 0\r\nContent-Length: 5\r\n"), 400),
    ("two equal lengths", get("Content-Length: 0\r\nContent-Length: 0\r\n"), 400),
    ("a list of lengths", get("Content-Length: 0, 0\r\n"), 400),
    ("a length with a sign", get("Content-Length: +0\r\n"), 400),
    ("a negative length", get("Content-Length: -1\r\n"), 400),
    ("a length in hex", get("Content-Length: 0x0\r\n"), 400),
    ("a length past 64 bits", get("Content-Length: 18446744073709551616\r\n"), 400),
    ("gzip before chunked", get("Transfer-Encoding: gzip, chunked\r\n"), 400),
    ("chunked with a tail", get("Transfer-Encoding: chunked\x0b\r\n"), 400),
    ("a blank before the colon", get("Transfer-Encoding : chunked\r\n"), 400),
    ("a folded line", get("X-A: b\r\n c\r\n"), 400),
    ("a line that begins with a blank", get(" X-A: b\r\n"), 400),
    ("a bare LF", get().replace(b"\r\nUpgrade", b"\nUpgrade"), 400),
    ("bare LFs only", get().replace(b"\r\n", b"\n"), 400),
    ("a bare CR", get("X-A: b\rX-B: c\r\n"), 400),
    ("a NUL in a value", get("X-A: b\0c\r\n"), 400),
    ("a NUL in a name", get("X\0A: b\r\n"), 400),
    ("ESC in a value", get("X-A: \x1b[2J\r\n"), 400),
    ("a header without a colon", get("X-A\r\n"), 400),
    ("a header without a name", get(": b\r\n"), 400),
    ("a name with a blank", get("X A: b\r\n"), 400),
    ("a name with a high byte", get("X\xe9: b\r\n"), 400),
    ("no Host", get(host=""), 400),
    ("two Hosts", get(host=HOST + HOST), 400),
    ("a Host with a path", get(host="Host: x/y\r\n"), 400),
    ("a user in the Host", get(host="Host: a@x\r\n"), 400),
    ("absolute-form", get(target="http://x/ocpp/HEAD"), 400),
    ("absolute-form of another", get(target="ws://evil.example/ocpp/HEAD"), 400),
    ("asterisk-form", get(target="*"), 400),
    ("authority-form", get(target="x:80", method="CONNECT"), 400),
    ("no target", b"GET  HTTP/1.1\r\n" + HOST.encode() + b"\r\n", 400),
    ("HTTP/0.9", b"GET /ocpp/HEAD\r\n\r\n", 400),
    ("HTTP/1.0", get(version="HTTP/1.0"), 505),
    ("HTTP/2.0", get(version="HTTP/2.0"), 505),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("a version in small letters", get(version="http/1.1"), 400),
    ("a blank behind the version", get(version="HTTP/1.1 "), 400),
    ("tabs for blanks", get().replace(b"GET /", b"GET\t/"), 400),
    ("an empty line first", b"\r\n" + get(), 400),
    ("POST", get(method="POST"), 405),
    ("a method in small letters", get(method="get"), 405),
    ("a method that is none", get(method="G(T"), 400),
    ("no upgrade at all", get(up=""), 426),
    ("an upgrade to h2c", get(up=UP.replace("websocket", "h2c")), 426),
    ("an older version", get(up=UP.replace(": 13", ": 8")), 426),
    ("two versions", get("Sec-WebSocket-Version: 13\r\n"), 400),
    ("no key", get(up=UP.replace(KEY, "")), 400),
    ("two keys", get(KEY), 400),
    ("a key of 15 bytes", get(up=UP.replace("AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAA")), 400),
    ("a key that is no base64", get(up=UP.replace("AAAAAAAAAAAAAAAAAAAAAA==", "!!!!!!!!!!!!!!!!!!!!!!==")), 400),
    ("the longest target line", get(target="/ocpp/HEAD?" + "a" * (2048 - len("GET /ocpp/HEAD? HTTP/1.1"))), 101),
    ("one byte more", get(target="/ocpp/HEAD?" + "a" * (2049 - len("GET /ocpp/HEAD? HTTP/1.1"))), 414),
    ("64 headers", get("".join(f"X-{i}: y\r\n" for i in range(59))), 101),
    ("65 headers", get("".join(f"X-{i}: y\r\n" for i in range(60))), 431),
    ("a head of 8 KiB and more", get("X-A: " + "b" * 8192 + "\r\n"), 431),
    ("a ClientHello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 32, None),
    ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 400),
    ("binary", bytes(range(128, 256)) + b"\r\n\r\n", 400),
]

PATHS = [
    ("itself", "/ocpp/A", 101), ("dot", "/ocpp/.", 404), ("dot dot", "/ocpp/..", 404), ("up and away", "/ocpp/../A", 404), ("up within", "/ocpp/x/../A", 404),
    ("an encoded dot dot", "/ocpp/%2e%2e", 404), ("half encoded", "/ocpp/.%2E", 404), ("dots and an encoded slash are data", "/ocpp/%2e%2e%2fadmin", 101),
    ("encoded twice is decoded once", "/ocpp/%252e%252e", 101), ("two slashes", "/ocpp//A", 404), ("two at the end", "/ocpp/A//", 404), ("another case", "/OCPP/A", 404),
    ("a longer prefix", "/ocppx/A", 404), ("no prefix", "/A", 404), ("only the prefix", "/ocpp", 404), ("root", "/", 404), ("a backslash", "/ocpp\\A", 400), ("an encoded backslash is data", "/ocpp/a%5Cb", 101),
    ("NUL", "/ocpp/A%00", 400), ("CR LF", "/ocpp/A%0d%0aX-Y:%20z", 400), ("ESC", "/ocpp/%1b[2J", 400), ("DEL", "/ocpp/A%7f", 400), ("a C1 control", "/ocpp/A%c2%85", 400),
    ("an overlong slash", "/ocpp/a%c0%afb", 400), ("an overlong dot", "/ocpp/%c0%ae", 400), ("a surrogate", "/ocpp/%ed%a0%80", 400), ("past U+10FFFF", "/ocpp/%f4%90%80%80", 400), ("a cut character", "/ocpp/%e4%b8", 400),
    ("four bytes of UTF-8", "/ocpp/%f0%9f%94%8c", 101), ("an escape that is none", "/ocpp/%zz", 400), ("half an escape", "/ocpp/A%4", 400), ("a percent sign", "/ocpp/%", 400), ("another world's escape", "/ocpp/%u0041", 400),
    ("255 bytes", "/ocpp/" + "x" * 255, 101), ("256 bytes", "/ocpp/" + "x" * 256, 400), ("255 encoded", "/ocpp/" + "%78" * 255, 101), ("a semicolon is data", "/ocpp/A;B=1", 101), ("a plus is a plus", "/ocpp/A+B", 101),
    ("a query with a path", "/ocpp/A?/../../etc/passwd", 101), ("SQL", "/ocpp/'%3b%20DROP%20TABLE%20stations%3b--", 101), ("a format", "/ocpp/%25n%25s%25n", 101), ("markup", "/ocpp/%3Cscript%3E", 101),
]

TEXT = frame("[2,\"f\",\"Heartbeat\",{}]")
FRAMES = [
    ("an empty message", frame(""), None), ("pong that nobody asked for", frame(b"x", 10), None), ("ping with 125 bytes", frame(b"p" * 125, 9), None), ("three fragments and a ping between", frame("[2,\"f\",", fin=False) + frame(b"", 9) + frame("\"Heartbeat\"", 0, fin=False) + frame(",{}]", 0), None),
    ("64 fragments", frame(" ", fin=False) + frame(" ", 0, fin=False) * 62 + frame(" ", 0), None), ("65 fragments", frame(" ", fin=False) + frame(" ", 0, fin=False) * 63 + frame(" ", 0), 1008),
    ("no mask", frame("[]", mask=None), 1002), ("RSV1, as with compression", frame("[]", rsv=0x40), 1002), ("RSV2", frame("[]", rsv=0x20), 1002), ("RSV3", frame("[]", rsv=0x10), 1002),
    *[(f"opcode {o}", frame("", o), 1002) for o in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    ("a ping in fragments", frame(b"", 9, fin=False), 1002), ("a ping of 126 bytes", frame(b"p" * 126, 9), 1002), ("a close of 126 bytes", frame(b"\x03\xe8" + b"r" * 124, 8), 1002),
    ("a continuation of nothing", frame("x", 0), 1002), ("a text within a text", frame("[", fin=False) + frame("[]"), 1002), ("a binary within a text", frame("[", fin=False) + frame(b"", 2), 1002),
    ("a length of 16 bits for 5", b"\x81\xfe\x00\x05\0\0\0\0hello", 1002), ("a length of 64 bits for 5", b"\x81\xff\0\0\0\0\0\0\0\x05\0\0\0\0hello", 1002), ("a length with its top bit", b"\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 1002),
    ("one byte too long", frame("", size=MESSAGE_MAX + 1), 1009), ("2^62 bytes", frame("", size=1 << 62), 1009), ("too long in the second fragment", frame("[", fin=False) + frame("", 0, size=MESSAGE_MAX), 1009),
    ("a binary message", frame(b"\0\1", 2), 1003), ("an empty binary message", frame(b"", 2), 1003),
    ("FF", frame(b"[\"\xff\"]"), 1007), ("an overlong form", frame(b"\xc0\xaf"), 1007), ("an overlong NUL", frame(b"\xe0\x80\x80"), 1007), ("a surrogate", frame(b"\xed\xa0\x80"), 1007), ("past U+10FFFF", frame(b"\xf4\x90\x80\x80"), 1007),
    ("a character that is cut", frame(b"[\"\xe4\xb8"), 1007), ("a character over two fragments, the second bad", frame(b"\xe4", fin=False) + frame(b"\xb8x", 0), 1007), ("bad at once, though more is to come", frame(b"\xff", size=1000), 1007),
    ("close 1000", frame(b"\x03\xe8", 8), 1000), ("close without a code", frame(b"", 8), 1005), ("close 4999", frame(b"\x13\x87", 8), 4999), ("close of one byte", frame(b"\x03", 8), 1002),
    *[(f"close {c}", frame(c.to_bytes(2, "big"), 8), 1002) for c in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)],
    ("a reason that is no UTF-8", frame(b"\x03\xe8\xff", 8), 1007), ("40 pings at once", frame(b"", 9) * 40, 1008), ("an HTTP request behind the upgrade", b"GET /ocpp/OTHER HTTP/1.1\r\nHost: x\r\n\r\n", 1002), ("zeros", b"\0" * 64, 1002),
]


def call(payload, action="Heartbeat", message_id='"h"', kind="2"):
    return f'[{kind},{message_id},"{action}",{payload}]'


def start(**more):
    members = {"connectorId": "1", "idTag": '"T"', "meterStart": "0", "timestamp": '"2026-03-01T00:00:00Z"', **more}
    return call("{" + ",".join(f'"{k}":{v}' for k, v in members.items() if v is not None) + "}", "StartTransaction")


def status(**more):
    members = {"connectorId": "1", "errorCode": '"NoError"', "status": '"Available"', **more}
    return call("{" + ",".join(f'"{k}":{v}' for k, v in members.items() if v is not None) + "}", "StatusNotification")


OCCURRENCE, TYPE, PROPERTY, FORMATION = "OccurenceConstraintViolation", "TypeConstraintViolation", "PropertyConstraintViolation", "FormationViolation"
CALLS = [
    ("as it should be", call("{}"), "result"), ("blanks around", " \r\n\t" + call("{}") + " ", "result"), ("a payload that is null", call("null"), "result"),
    # no JSON, or no frame
    *[(f"no message: {t[:24]}", t, None) for t in (
        "", " ", "x", "{}", "[]", "[2]", "2", "null", '"[2]"', '[2,"a"', '[2,"a","Heartbeat",{}', '[2,"a","Heartbeat",{}]]', '[2,"a","Heartbeat",{}] x', "[2,'a','Heartbeat',{}]", '[2,"a","Heartbeat",{},]', '[2,"a","Heartbeat",{}]//c',
        '\ufeff[2,"a","Heartbeat",{}]', '[2,"a","Heartbeat",{"a":tru}]', '[2,"a","Heartbeat",{"a":01}]', '[2,"a","Heartbeat",{"a":+1}]', '[2,"a","Heartbeat",{"a":.5}]', '[2,"a","Heartbeat",{"a":1.}]', '[2,"a","Heartbeat",{"a":0x10}]', '[2,"a","Heartbeat",{"a":NaN}]', '[2,"a","Heartbeat",{"a":-Infinity}]', '[2,"a","Heartbeat",{a:1}]', '[2,"a","Heartbeat",{"a"}]', '[2,"a","Heartbeat",{"a":"\\x41"}]',
        '[2,"a","Heartbeat",{"a":"\\ud800"}]', '[2,"a","Heartbeat",{"a":"\\udc00\\ud800"}]', '[2,"a","Heartbeat",{"a":"\\u00g0"}]', '[2,"a","Heartbeat",{"a":"\n"}]', '[2,"a","Heartbeat",{"a":"\x01"}]', '[2,"a","Heartbeat",{"a":' + "1" * 129 + "}]", "[" * 100000, '{"a":' * 50000, "[[" * 40 + "]]" * 40)],
    ("64 deep and more", call('{"a":' + "[" * 100 + "]" * 100 + "}"), None),
    # types and ids
    *[(f"a type that is none: {k}", call("{}", kind=k), None) for k in ("0", "1", "5", "-2", "22", "99999999999999999999", '"2"', "true", "null", "[2]", "2.5")],
    *[(f"an id that is none: {i}", call("{}", message_id=i), None) for i in ("null", "true", "{}", "[]", '["h"]')],
    ("a number as id", call("{}", message_id="17"), "result"), ("an empty id", call("{}", message_id='""'), "result"), ("a long id", call("{}", message_id='"' + "i" * 255 + '"'), "result"), ("an id of four-byte characters", call("{}", message_id='"\U0001f50c"'), "result"), ("an id with escapes", call("{}", message_id='"\\u0041\\n\\u0000"'), "result"),
    ("an answer to nothing", '[3,"nobody",{}]', None), ("an answer of the wrong type", '[3,"nobody",7]', None), ("an error to nothing", '[4,"nobody","GenericError","",{}]', None), ("an error too short", '[4,"nobody"]', None),
    # actions
    ("no payload", '[2,"h","Heartbeat"]', "ProtocolError"), ("no action", '[2,"h"]', "ProtocolError"), ("an action in small letters", call("{}", "heartbeat"), "NotImplemented"), ("an empty action", call("{}", ""), "NotImplemented"), ("a long action", call("{}", "A" * 5000), "NotImplemented"),
    ("an action with a NUL", call("{}", "Heartbeat\\u0000"), "NotImplemented"), ("a word of JavaScript", call("{}", "__proto__"), "NotImplemented"), ("a format", call("{}", "%n%s"), "NotImplemented"), ("ours to call", call('{"type":"Hard"}', "Reset"), "NotSupported"),
    ("an action that is a number", '[2,"h",5,{}]', FORMATION), ("an action that is null", '[2,"h",null,{}]', FORMATION),
    # payloads
    ("a payload that is a list", call("[]"), FORMATION), ("a payload that is text", call('"x"'), FORMATION), ("a payload that is a number", call("5"), FORMATION), ("members that nobody knows", call('{"__proto__":{"a":1},"constructor":1}'), "result"), ("ten thousand of them", call("{" + ",".join(f'"m{i}":{i}' for i in range(10000)) + "}"), "result"),
    ("a member missing", call('{"chargePointVendor":"v"}', "BootNotification"), OCCURRENCE), ("a member that is null", call('{"chargePointVendor":null,"chargePointModel":"m"}', "BootNotification"), OCCURRENCE), ("a number for text", call('{"chargePointVendor":5,"chargePointModel":"m"}', "BootNotification"), TYPE), ("a list for text", call('{"chargePointVendor":["v"],"chargePointModel":"m"}', "BootNotification"), TYPE), ("an object for text", call('{"idTag":{"$gt":""}}', "Authorize"), TYPE),
    ("a word that is none", status(status='"Exploding"'), PROPERTY), ("text for a number", status(connectorId='"one"'), TYPE), ("a fraction", status(connectorId="1.5"), TYPE), ("a number past 64 bits", status(connectorId="99999999999999999999999"), PROPERTY), ("a number past any double", status(connectorId="1e400"), PROPERTY), ("a negative connector", status(connectorId="-1"), PROPERTY), ("128 digits", status(connectorId="1" * 128), PROPERTY), ("a date that is none", status(timestamp='"yesterday"'), PROPERTY), ("a member twice", call('{"a":1,"a":2}'), FORMATION), ("a boolean", status(connectorId="true"), TYPE),
    # in a transaction nothing is refused for what it says (ocpp16.md 2.4)
    *[(f"a start with {k} {v}"[:48], start(**{k: v}), "result") for k, v in (("meterStart", "1e400"), ("meterStart", "-5"), ("meterStart", "9" * 128), ("meterStart", '"12"'), ("meterStart", "0.5"), ("meterStart", None), ("timestamp", '"yesterday"'), ("timestamp", '"9999-12-31T23:59:59Z"'), ("timestamp", None), ("idTag", '"' + "x" * 5000 + '"'), ("idTag", None), ("reservationId", "1e99"))],
    ("a start without a connector", start(connectorId=None), OCCURRENCE),
    *[(f"a stop of transaction {t}", call(f'{{"transactionId":{t},"meterStop":1,"timestamp":"2026-03-01T00:00:00Z"}}', "StopTransaction"), "result") for t in ("-1", "0", "2147483648", "9223372036854775807", "1e400", '"17"', '"x"', "null", "1.5")],
    ("values of nothing", call('{"connectorId":1,"meterValue":[]}', "MeterValues"), "result"), ("a value that is no number", call('{"connectorId":1,"meterValue":[{"timestamp":"x","sampledValue":[{"value":"NaN"},{"value":"1e999"},{"value":""}]}]}', "MeterValues"), "result"), ("values of any type", call('{"connectorId":1,"transactionId":-1,"meterValue":[{"timestamp":"2026-03-01T00:00:00Z","sampledValue":[{"value":7},{"value":"1","unit":"Parsec"}]}]}', "MeterValues"), "result"),
]
