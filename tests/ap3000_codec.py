"""Frames of AP3000 as ap3000.md 1 to 9 tell them, written for tests: bytes to fields and back, and the splitter of a byte stream. Shares
no code with the server; test_ap3000_peer.py compares it with every vector of the specification.

A layout is a line of key:kind words. Kinds: u8 u16 u32 little-endian; bN bytes and aN text of N bytes; iN a physical id as eight
hexadecimal digits (u32); kind*key a list whose length the field of that name tells; b*key as many bytes; rest what is left. Behind the
bar all is optional: firmware only appends. Bytes are upper-case hexadecimal in fields."""
import struct
import zlib

HEAD = struct.Struct("<3sHIHB")
MIN_LENGTH, MAX_LENGTH = 9, 512
SIZES = {"u8": 1, "u16": 2, "u32": 4, "id": 4}
UP, DOWN = "up", "down"

ORDER = "duration_s:u16 max_power_dw:u16 energy_10wh:u16 port:u8 start_mode:u8 card_or_code:b4 stop_reason:u8 order_no:b16"
PACKET, OLD_PACKET = (f"total_packets:u16 packet_index:u16 data:b{n}" for n in (200, 256))
PACKET_BACK = "result:u8 packet_index:u16"
ADDRESS = "tcp_port:u16 module_type:u8 socket_b:u8 address:a46"
PARAMETERS_1 = "unplug_power_dw:u16 unplug_time_s:u16 float_percent:u8 float_detect_s:u16 float_time_s:u16 heartbeat_s:u16"
PARAMETERS_2 = ("dyn_overload_power_dw:u16 dyn_overload_time_s:u16 dyn_overload_start_s:u16 unplug_noise_power_dw:u8 "
                "unplug_noise_time_s:u16 float2_start_s:u16 float2_detect_s:u16 min_power_dw:u16 min_power_time_s:u16 "
                "second_max_window_s:u16 | ambient_alarm_c:u8 port_alarm_c:u8 unplug_detect:u8 qr_light:u8")
LIMITS = "max_duration_s:u16 overload_power_dw:u16 | over_voltage_dv:u16 under_voltage_dv:u16"
KEYS = "card_sector:u8 user_key:b6 new_card_key:b6"
RESULT = "result:u8"

UP_LAYOUTS = {
    0x00: "virtual_id:u8",
    0x01: "firmware:u16 voltage_dv:u16 port_count:u8 port_status:u8*port_count port_power_dw:u16*port_count "
          "port_peak_power_dw:u16*port_count | virtual_id:u8 signal:u8 device_type:u8 ambient_temp_raw:u8 work_mode:u8",
    0x02: "card_id:b4 card_type:u8 port:u8 | card_balance_fen:u16 timestamp:u32 card2_len:u8 card2:b*card2_len",
    0x03: ORDER + " | second_max_power_dw:u16 timestamp:u32 occupancy_min:u16",
    0x04: "port:u8 start_mode:u8 card_or_code:b4 duration_s:u16 order_no:b16",
    0x05: "device_type:u8 firmware:u16 | package_type:u32",
    0x06: "port:u8 port_status:u8 duration_s:u16 energy_10wh:u16 start_mode:u8 power_dw:u16 period_max_power_dw:u16 "
          "period_min_power_dw:u16 period_avg_power_dw:u16 order_no:b16 | period_energy_raw:u16 peak_power_dw:u16 voltage_dv:u16 "
          "current_ma:u16 ambient_temp_raw:u8 port_temp_raw:u8 timestamp:u32 occupancy_min:u16",
    0x09: "port_status:u16 voltage_dv:u16 power_raw:u32",
    0x0A: ADDRESS,
    0x11: "firmware:u16 rtc_type:u8 timestamp:u32 signal:u8 module_type:u8 | iccid:a20 host_type:u8 frequency:u16 imei:a15 "
          "module_version:a24",
    0x12: "",
    0x15: "",
    0x17: "breaker:u8 temperature_raw:u8 voltage_dv:u16 current_10ma:u16 energy_10wh:u32 meter_current_10ma:u16 meter_energy_10wh:u32 "
          "smoke_alarm:u8 alarm_relay:u8 | leakage_ma:u8 live_temp_raw:u8 neutral_temp_raw:u8 lock_state:u8 breaker_style:u8",
    0x20: "firmware:u16 port_count:u8 virtual_id:u8 device_type:u8 | work_mode:u8 power_board_version:u16",
    0x21: "voltage_dv:u16 port_count:u8 port_status:u8*port_count | signal:u8 ambient_temp_raw:u8",
    0x22: "",
    0x35: "count:u8 slaves:slave*count",
    0x3B: "frequency_mhz:u16",
    0x41: "port_count:u8 door_bits:u32 fan_bits:u32",
    0x42: "alarm_type:u8 port_or_address:u8 | trigger_bits:u8",
    0x43: ORDER,
    0x44: "push_type:u8 port:u8 order_no:b16",
    0x72: "result:u8 order_no:b16",
    0x82: "result:u8 | order_no:b16 port:u8 waiting_ports:u16",
    0x8B: "result:u8 data:rest",
    0x90: PARAMETERS_1, 0x91: PARAMETERS_2, 0x92: LIMITS, 0x93: KEYS,
    **dict.fromkeys((0x31, 0x32, 0x33, 0x34, 0x3A, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x8D, 0x8E, 0x8F, 0x95, 0x96, 0x97,
                     0x98), RESULT),
    **dict.fromkeys((0xE0, 0xE1, 0xE2, 0xF8, 0xF9, 0xFA), PACKET_BACK),
    0xFD: "function:u8 result:u8",
}
DOWN_LAYOUTS = {
    0x00: "virtual_id:u8",
    **dict.fromkeys((0x01, 0x03, 0x15, 0x20, 0x21), RESULT),
    0x02: "card_id:b4 account_status:u8 rate_mode:u8 balance_or_expiry:u32 port:u8",
    0x04: "port:u8 result:u8",
    0x12: "timestamp:u32", 0x22: "timestamp:u32",
    **dict.fromkeys((0x31, 0x32, 0x33, 0x81, 0x87, 0x88, 0x90, 0x91, 0x92, 0x93, 0xE4), ""),
    0x34: ADDRESS,
    0x3A: "frequency_mhz:u16 reserved:b3 count:u8 slave_ids:id*count",
    0x72: "port:u8 order_no:b16",
    0x82: "rate_mode:u8 balance_or_expiry:u32 port:u8 charge_command:u8 duration_or_energy:u16 order_no:b16 | max_duration_s:u16 "
          "overload_power_dw:u16 qr_light:u8 long_charge:u8 extra_float_s:u16 short_check:u8 ignore_unplug:u8 force_full_stop:u8 "
          "full_power_w:u8 full_power_max_min:u8",
    0x83: PARAMETERS_1, 0x84: PARAMETERS_2, 0x85: LIMITS, 0x86: KEYS,
    0x89: "interrupt:u8 segment_count:u8 segments:rest",
    0x8A: "rate_mode:u8 port:u8 duration_or_energy:u16",
    0x8B: "address:u16 data_len:u8",
    0x8C: "address:u16 data_len:u8 data:b*data_len",
    0x8D: "work_mode:u8",
    0x8E: "screen_type:u8 reserved:b3 qr_text:a72",
    0x8F: "tc_mode:u8",
    0x95: "qr_text:a200",
    0x96: "seconds:u8",
    0x97: "mute:u8",
    0x98: "function:u8 port:u8",
    **dict.fromkeys((0xE0, 0xE1, 0xE2), PACKET), **dict.fromkeys((0xF8, 0xF9), OLD_PACKET),
    0xFA: "| " + PACKET,
    0xFD: "function:u8 r1:u32 r2:u32 r3:u32 r4:u32",
    0xFE: "r1:u32 r2:u32 r3:u32",
}
SLAVE = "slave_type:u8 reserved:u8 min_firmware:u16 physical_id:id"
# What a device sends as a request and the server answers (3.2); all else that comes down is a command.
ANSWERED = {0x01, 0x02, 0x03, 0x04, 0x12, 0x15, 0x20, 0x21, 0x22}


def parts(layout):
    """[(key, kind, is it optional)]"""
    out, is_optional = [], False
    for word in layout.split():
        if word == "|":
            is_optional = True
        else:
            key, kind = word.split(":")
            out.append((key, kind, is_optional))
    return out


LAYOUTS = {UP: {c: parts(t) for c, t in UP_LAYOUTS.items()}, DOWN: {c: parts(t) for c, t in DOWN_LAYOUTS.items()}}
SLAVE_PARTS = parts(SLAVE)


def kind_size(kind, fields, left):
    if kind == "rest":
        return left
    one, star, count = kind.partition("*")
    n = fields[count] if star else 1
    if one == "slave":
        return 8 * n
    if one == "b" and star:
        return n
    return n * (SIZES[one] if one in SIZES else int(one[1:]))


def read_one(kind, raw):
    if kind in ("u8", "u16", "u32"):
        return int.from_bytes(raw, "little")
    if kind == "id":
        return f"{int.from_bytes(raw, 'little'):08X}"
    if kind == "slave":
        return {key: read_one(k, raw[at:at + SIZES[k]]) for (key, k, _), at in zip(SLAVE_PARTS, (0, 1, 2, 4))}
    if kind[0] == "a":
        return raw.rstrip(b"\0").decode("latin-1")
    return raw.hex().upper()


def write_one(kind, value, size):
    if kind in ("u8", "u16", "u32"):
        return int(value).to_bytes(size, "little")
    if kind == "id":
        return int(value, 16).to_bytes(4, "little")
    if kind == "slave":
        return b"".join(write_one(k, value[key], SIZES[k]) for key, k, _ in SLAVE_PARTS)
    if kind[0] == "a":
        return value.encode("latin-1").ljust(size, b"\0")
    return bytes.fromhex(value)


def decode(command, direction, payload):
    """The fields of a payload (2.7); ValueError where it ends before the last mandatory one."""
    if command not in LAYOUTS[direction]:
        return {"raw": payload.hex().upper()}
    fields, at = {}, 0
    for key, kind, is_optional in LAYOUTS[direction][command]:
        size = kind_size(kind, fields, len(payload) - at)
        if at + size > len(payload):
            if not is_optional:
                raise ValueError(f"{command:#x}: the payload ends before {key}")
            break
        raw, one = payload[at:at + size], kind.partition("*")[0]
        if kind.startswith("b*"):
            if size or at < len(payload):
                fields[key] = raw.hex().upper()
        elif "*" in kind:
            step = 8 if one == "slave" else SIZES[one]
            fields[key] = [read_one(one, raw[i:i + step]) for i in range(0, size, step)]
        elif size or not is_optional:
            fields[key] = read_one("b" if kind == "rest" else kind, raw)
        if key.endswith("temp_raw") and command in (0x01, 0x06, 0x21):
            fields[key[:-4] + "_c"] = raw[0] - 65 if raw[0] else None
        at += size
    if at < len(payload):
        fields["extra"] = payload[at:].hex().upper()
    return fields


def encode(command, direction, fields):
    """The payload; it ends at the first optional field that is not given. raw and extra as they are."""
    if "raw" in fields:
        return bytes.fromhex(fields["raw"])
    out = b""
    for key, kind, is_optional in LAYOUTS[direction][command]:
        if key not in fields:
            if is_optional:
                break
            raise KeyError(f"{command:#x} needs {key}")
        one, star, _ = kind.partition("*")
        if star and one != "b":
            out += b"".join(write_one(one, v, SIZES.get(one, 8)) for v in fields[key])
        else:
            size = SIZES.get(kind) or (int(kind[1:]) if kind[1:].isdigit() else 0)
            out += write_one("b" if kind in ("rest",) or star else kind, fields[key], size)
    return out + bytes.fromhex(fields.get("extra", ""))


class Frame:
    """One frame; at: when it came or went."""
    __slots__ = ("id", "message_id", "command", "payload", "raw", "direction", "at")

    def __init__(self, id_, message_id, command, payload, raw, direction, at=0.0):
        self.id, self.message_id, self.command, self.payload, self.raw, self.direction, self.at = (
            id_, message_id, command, payload, raw, direction, at)

    @property
    def fields(self):
        return decode(self.command, self.direction, self.payload)

    def __repr__(self):
        return f"<{self.direction} {self.id:08X} {self.command:#04x} #{self.message_id} {self.payload.hex()}>"


def build(physical_id, message_id, command, payload=b""):
    body = HEAD.pack(b"DNY", len(payload) + 9, physical_id, message_id, command) + payload
    return body + struct.pack("<H", sum(body) & 0xFFFF)


def parse(raw, direction):
    """One whole frame; ValueError names what is wrong."""
    if len(raw) < 14 or raw[:3] != b"DNY":
        raise ValueError("no frame")
    _, length, physical_id, message_id, command = HEAD.unpack_from(raw)
    if length + 5 != len(raw):
        raise ValueError("length")
    if sum(raw[:-2]) & 0xFFFF != struct.unpack("<H", raw[-2:])[0]:
        raise ValueError("checksum")
    return Frame(physical_id, message_id, command, raw[12:-2], raw, direction)


class Splitter:
    """1.3, for one direction: feed() and gap() give ("frame", Frame), ("link",), ("iccid", text)."""

    def __init__(self, direction):
        self.direction, self.buffer, self.dropped, self.has_frame, self.has_iccid = direction, b"", 0, False, False

    def feed(self, data):
        self.buffer += data
        out = []
        while self.buffer:
            step = self._step()
            if step is None:
                break
            if step:
                out.append(step)
        return out

    def gap(self):
        out = []
        while self.buffer:
            self._drop()
            out += self.feed(b"")
        return out

    def _drop(self):
        self.buffer, self.dropped = self.buffer[1:], self.dropped + 1
        return ()

    def _take(self, n, *what):
        self.buffer = self.buffer[n:]
        return what

    def _step(self):
        """None: wait for more; (): a byte was dropped; else what was there."""
        b = self.buffer
        if b"DNY".startswith(b[:3]):
            if len(b) < 5:
                return None
            length = int.from_bytes(b[3:5], "little")
            if not MIN_LENGTH <= length <= MAX_LENGTH:
                return self._drop()
            if len(b) < 5 + length:
                return None
            try:
                frame = parse(b[:5 + length], self.direction)
            except ValueError:
                return self._drop()
            self.has_frame = True
            return self._take(5 + length, "frame", frame)
        if b"link".startswith(b[:4]):
            return self._take(4, "link") if len(b) >= 4 else None
        if not self.has_frame and b"89".startswith(b[:2]) and all(chr(c) in "0123456789abcdefABCDEF" for c in b[:20]):
            return self._take(20, "iccid", b[:20].decode()) if len(b) >= 20 else None
        return self._drop()


def code_of(physical_id, at, port):
    """11.3, with the ordinary CRC-32."""
    return f"{zlib.crc32(struct.pack('<IIB', physical_id, at - at % 60, port)) % 1000000:06d}"


def charge_point_of(physical_id, is_second=False):
    """AP and the printed number; the recognition code behind it where another has the number already."""
    return f"AP{physical_id & 0xFFFFFF}" + (f"-{physical_id >> 24:02X}" if is_second else "")
