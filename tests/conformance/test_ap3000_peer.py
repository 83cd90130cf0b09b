"""The codec of the tests' AP3000 peer against the vectors of the specification: every frame both ways, every stream in every way of
cutting it, what must not be read, and the conversions.

What the integration tests say of the server is worth as much as this peer is right."""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
from ap3000_codec import DOWN, UP, Frame, Splitter, build, charge_point_of, code_of, decode, encode, parse
from harness import check, report

VECTORS = os.path.join(HERE, "../../../shared/specs/ap3000-vectors.json")
UPWARDS = ("device->server", "host->server")


def described(f):
    """A frame as the vectors describe it."""
    return {"length": len(f.raw) - 5, "physical_id": f"{f.id:08X}", "device_code": f.id >> 24, "device_number": f.id & 0xFFFFFF,
            "message_id": f.message_id, "command": f"0x{f.command:02X}", "payload_len": len(f.payload),
            "checksum": f.raw[-1:].hex().upper() + f.raw[-2:-1].hex().upper(), "fields": f.fields}


def event(e):
    return {"type": "frame", **described(e[1])} if e[0] == "frame" else {"type": "link"} if e[0] == "link" else {"type": "iccid", "iccid": e[1]}


def run(chunks, direction, idle_after=False):
    s, events = Splitter(direction), []
    for c in chunks:
        events += s.feed(c)
    if idle_after:
        events += s.gap()
    return [event(e) for e in events], s


def frame(v, direction, raw):
    f = parse(raw, direction)
    check(f"{v['name']} is read", described(f) == v["decoded"], (described(f), v["decoded"]))
    fields = {k: x for k, x in f.fields.items() if not k.endswith("temp_c")}
    again = build(f.id, f.message_id, f.command, encode(f.command, direction, fields))
    check(f"{v['name']} is written", again == raw, again.hex())
    for n in range(len(f.payload)):   # any shorter one is read as far as it goes, or refused
        try:
            short = decode(f.command, direction, f.payload[:n])
            check(f"{v['name']} cut to {n} says nothing else", all(f.fields.get(k) == x for k, x in short.items()
                  if k not in ("extra", "raw", "data", "segments")), short)
        except ValueError:
            pass


def stream(v, direction, raw):
    chunks = [bytes.fromhex(c) for c in v["chunks"]]
    ways = [chunks, [raw], [raw[i:i + 1] for i in range(len(raw))]] + [[raw[:i], raw[i:]] for i in range(1, len(raw))]
    for way in ways:
        events, s = run(way, direction, v["idle_after"])
        want = v["decoded"]
        check(f"{v['name']} in {len(way)} pieces", events == want["events"] and s.dropped == want["discarded_bytes"], (events, s.dropped))


def reject(v, direction, raw):
    try:
        parse(raw, direction)
        check(f"{v['name']} is refused", False)
    except ValueError as e:
        want = v["decoded"]["error"]
        check(f"{v['name']} is refused for what it is", want not in ("checksum", "length") or str(e) in (want, "no frame"), e)
    events, _ = run([raw], direction, v.get("idle_after", False))
    check(f"{v['name']} is nothing in a stream", events == [], events)


def scalar(v, _, raw):
    d = v["decoded"]
    if "crc32_ieee" in d:
        check(v["name"], code_of(int(d["physical_id"], 16), d["timestamp"], d["port"]) == d["code_if_ieee"])
    elif "physical_id" in d:
        n = int.from_bytes(raw, "little")
        check(v["name"], (f"{n:08X}", n >> 24, n & 0xFFFFFF) == (d["physical_id"], d["device_code"], d["device_number"]))
        check(f"{v['name']}: its charge point", charge_point_of(n) == f"AP{d['device_number']}")
    elif "timestamp" in d:
        check(v["name"], decode(0x12, DOWN, raw) == d)
    elif "order_no" in d:
        check(v["name"], raw.hex().upper() == d["order_no"])
    elif "qr_text" in d:
        payload = encode(0x8E, DOWN, {"screen_type": 0, "reserved": "000000", "qr_text": d["qr_text"]})
        check(v["name"], payload[4:] == raw and len(payload) == 4 + d["buffer_len"])
    else:
        check(v["name"], f"{sum(raw) & 0xFFFF:04X}" == d["checksum"])


def preamble(v, direction, raw):
    check(v["name"], run([raw], direction)[0] == [{"type": "iccid", "iccid": v["decoded"]["iccid"]}])


def keepalive(v, direction, raw):
    check(v["name"], run([raw], direction)[0] == [{"type": "link"}])


def main():
    if not os.path.exists(VECTORS):
        print("SKIPPED the vectors of the specification are not there")
    else:
        with open(VECTORS, encoding="utf-8") as f:
            for v in json.load(f):
                {"frame": frame, "stream": stream, "reject": reject, "scalar": scalar, "preamble": preamble, "keepalive": keepalive}[v["kind"]](
                    v, UP if v["direction"] in UPWARDS else DOWN, bytes.fromhex(v["hex"]))
    smallest = build(0x04CEAA40, 1, 0x81)
    check("a frame without payload has 14 bytes", len(smallest) == 14 and isinstance(parse(smallest, DOWN), Frame))
    report()


main()
