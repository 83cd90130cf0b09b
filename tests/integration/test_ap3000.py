"""Every message of ap3000.md 6 to 9 on its way: from the socket to the log and the tables, and from the API down to the pile and back.
Each row names its paragraph."""
import time

from ap3000_kit import A, B, CARD, COMMAND, GUARDED, HOST_ID, SLAVE, START, STOP, TAG, Line, Pile, check, holds, name_of, pile_on, run, sequence_has_no_gap, until
from ap3000_codec import UP, encode
from ap3000_peer import CHARGING, SILENT, TRICKLE, Host, Order
from harness import report

OFFLINE = Order("20260115093012" + CARD + "1354400031", 1, 0, CARD).advance(600, 5)
TYPED = Order("20260115093012" + "00054358" + "1354400070", 0, 3, "00054358").advance(300, 3)
SWIPE = {"card_id": CARD, "card_type": 0, "port": 0xFF}
ACCEPTED = {"result": 0}
TOLD = ("transaction.", "authorization.", "device.alarm")   # events that the rows tell in full
NO_ANSWER = None
EMPTY = {}

# row, command, fields, what the answer holds (None: there is to be none), the events that come of it: type and what its payload holds
ROWS = [
    ("6.8 a registration of 8 bytes", 0x20, {"firmware": 205, "port_count": 2, "virtual_id": 0, "device_type": 0x21, "work_mode": 4, "power_board_version": 0}, ACCEPTED, [("charge_point.connected", {"protocol": "ap3000", "connectors": 2})]),
    ("6.9 a heartbeat", 0x21, {"voltage_dv": 2287, "port_count": 2, "port_status": [0, 0], "signal": 26, "ambient_temp_raw": 90}, ACCEPTED, [("connector.status_changed", {"connectorId": 1, "status": "Available"}), ("connector.status_changed", {"connectorId": 2, "status": "Available"})]),
    ("6.9 the same state again is no event", 0x21, {"voltage_dv": 2290, "port_count": 2, "port_status": [0, 0]}, ACCEPTED, []),
    ("6.10 a time request", 0x22, EMPTY, {"timestamp": lambda t: abs(t - time.time()) < 3}, []),
    ("8.3 the other time request", 0x12, EMPTY, {"timestamp": lambda t: abs(t - time.time()) < 3}, []),
    ("6.1 a legacy heartbeat of a modern pile is not answered", 0x01, {"firmware": 205, "voltage_dv": 2200, "port_count": 2, "port_status": [0, 0], "port_power_dw": [0, 0], "port_peak_power_dw": [0, 0]}, NO_ANSWER, []),
    ("6.2 the oldest balance query", 0x02, SWIPE, {"card_id": CARD, "account_status": 0, "port": 0xFF}, [("authorization.requested", {"idTag": CARD, "status": "Accepted", "connectorId": None})]),
    ("6.2 one with a balance", 0x02, {**SWIPE, "card_balance_fen": 5}, {"card_id": CARD, "account_status": 0}, [("authorization.requested", {"idTag": CARD})]),
    ("6.2 one with a time", 0x02, {**SWIPE, "card_balance_fen": 5, "timestamp": 0}, {"card_id": CARD, "account_status": 0}, [("authorization.requested", {"idTag": CARD})]),
    ("6.2 one with a second number", 0x02, {**SWIPE, "card_type": 4, "card_balance_fen": 0, "timestamp": 0, "card2_len": 16, "card2": "31" * 16}, {"card_id": CARD}, [("authorization.requested", {})]),
    ("5.5 an unknown card", 0x02, {**SWIPE, "card_id": "0A0B0C0D"}, {"card_id": "0A0B0C0D", "account_status": 1, "port": 0xFF}, [("authorization.requested", {"idTag": "0A0B0C0D", "status": "Invalid"})]),
    ("5.5 a card whose time is over", 0x02, {**SWIPE, "card_id": "0000000E"}, {"account_status": 7}, [("authorization.requested", {"idTag": "0000000E", "status": "Expired"})]),
    ("5.5 a blocked card is refused", 0x02, {**SWIPE, "card_id": "0000000B"}, {"account_status": lambda s: s not in (0, 2, 3, 9)}, [("authorization.requested", {"idTag": "0000000B", "status": "Blocked"})]),
    ("6.4 a confirmation of a card's order makes its transaction", 0x04, OFFLINE.confirmation(), {"port": 1, "result": 0}, [("transaction.started", {"orderNo": OFFLINE.order_no, "offline": True, "idTag": CARD, "connectorId": 2, "meterStartWh": 0})]),
    ("6.4 again it is answered and no more", 0x04, OFFLINE.confirmation(), {"port": 1, "result": 0}, []),
    ("6.6 a power heartbeat of 47 bytes", 0x06, OFFLINE.beat(), NO_ANSWER, [("transaction.meter_values", {"connectorId": 2})]),
    ("6.6 one of 31", 0x06, {k: v for k, v in OFFLINE.beat().items() if k != "period_energy_raw"}, NO_ANSWER, [("transaction.meter_values", {"connectorId": 2})]),
    ("6.6 one of 35", 0x06, {k: v for k, v in OFFLINE.beat().items() if k != "voltage_dv"}, NO_ANSWER, [("transaction.meter_values", {"connectorId": 2})]),
    ("6.6 one with a surplus", 0x06, {**OFFLINE.beat(), "extra": "0102"}, NO_ANSWER, [("transaction.meter_values", {"connectorId": 2})]),
    ("6.6 one of the oldest is a sign of life", 0x06, {"raw": "0001" + "00" * 28}, NO_ANSWER, None),
    ("6.3 its settlement", 0x03, OFFLINE.settlement(5), ACCEPTED, [("transaction.stopped", {"reason": "EVDisconnected", "energyWh": 50, "meterStartWh": 0, "meterStopWh": 50})]),
    ("6.3 a settlement of a code's order, of 29 bytes", 0x03, {k: v for k, v in TYPED.settlement(1).items() if k != "second_max_power_dw"}, ACCEPTED, [("transaction.started", {"orderNo": TYPED.order_no, "offline": True, "connectorId": 1}), ("transaction.stopped", {"energyWh": 30})]),
    ("6.5 an upgrade request", 0x05, {"device_type": 0x21, "firmware": 205, "package_type": 1}, NO_ANSWER, None),
    ("6.11 a cabinet's heartbeat", 0x41, {"port_count": 2, "door_bits": 1, "fan_bits": 0}, NO_ANSWER, None),
    ("6.12 smoke", 0x42, {"alarm_type": 4, "port_or_address": 0, "trigger_bits": 0}, NO_ANSWER, [("device.alarm", {})]),
    ("6.12 the short form", 0x42, {"alarm_type": 1, "port_or_address": 0}, NO_ANSWER, [("device.alarm", {})]),
    ("6.12 each alarm is one", 0x42, {"alarm_type": 1, "port_or_address": 0}, NO_ANSWER, [("device.alarm", {})]),
    ("6.12 an alarm of a port names it", 0x42, {"alarm_type": 3, "port_or_address": 1, "trigger_bits": 0}, NO_ANSWER, [("device.alarm", {"connectorId": 2})]),
    ("6.14 a door that stays open", 0x44, {"push_type": 1, "port": 1, "order_no": OFFLINE.order_no}, NO_ANSWER, [("device.alarm", {"connectorId": 2})]),
    ("6.7 what belongs to the bus is kept only", 0x09, {"port_status": 0, "voltage_dv": 0, "power_raw": 0}, NO_ANSWER, None),
    ("6.7 and the other", 0x0A, {"tcp_port": 1, "module_type": 3, "socket_b": 1, "address": "x"}, NO_ANSWER, None),
    ("A40 a settlement by time of use is kept raw", 0x23, {"raw": "00010203"}, NO_ANSWER, None),
    ("A40 an extended heartbeat too", 0x26, {"raw": "00"}, NO_ANSWER, None),
    ("3.2 and what nobody knows", 0xA7, {"raw": "0102"}, NO_ANSWER, None),
    ("3.3 a heartbeat that ends too early", 0x21, {"raw": "EF"}, ACCEPTED, None),
    ("6.8 a registration of 5 bytes", 0x20, {"firmware": 206, "port_count": 2, "virtual_id": 9, "device_type": 0x10}, ACCEPTED, None),
    ("A12 one of 10", 0x20, {"firmware": 207, "port_count": 2, "virtual_id": 9, "device_type": 0x21, "work_mode": 0, "power_board_version": 0, "extra": "E400"}, ACCEPTED, None),
]

# 5.1: code, status, error code is that of a fault
STATES = [(0, "Available"), (1, "Charging"), (2, "Preparing"), (3, "Finishing"), (5, "SuspendedEV"), *[(c, "Faulted") for c in (4, *range(6, 17), 0x63)]]

DEFAULTS_1 = {"unplug_power_dw": 3, "unplug_time_s": 10, "float_percent": 20, "float_detect_s": 1800, "float_time_s": 3600, "heartbeat_s": 180}
DEFAULTS_2 = {"dyn_overload_power_dw": 800, "dyn_overload_time_s": 30, "dyn_overload_start_s": 1800, "unplug_noise_power_dw": 10, "unplug_noise_time_s": 300, "float2_start_s": 10800, "float2_detect_s": 300, "min_power_dw": 300, "min_power_time_s": 1800, "second_max_window_s": 300, "ambient_alarm_c": 80, "port_alarm_c": 80, "unplug_detect": 0, "qr_light": 1}
LIMITS = {"max_duration_s": 36000, "overload_power_dw": 8000, "over_voltage_dv": 2700, "under_voltage_dv": 1000}
KEYS = {"card_sector": 0, "user_key": "159185191880", "new_card_key": "FFFFFFFFFFFF"}

# row, the command's byte, what is sent to the API, what the pile is to see of it
DOWN_ROWS = [
    ("7.4", 0x83, DEFAULTS_1, DEFAULTS_1), ("7.16", 0x90, {}, {}), ("7.5", 0x84, DEFAULTS_2, DEFAULTS_2), ("7.16", 0x91, {}, {}),
    ("7.6", 0x85, LIMITS, LIMITS), ("7.16", 0x92, {}, {}), ("7.7", 0x86, KEYS, KEYS), ("7.16", 0x93, {}, {}),
    ("7.12", 0x8C, {"address": 256, "data": "DEADBEEF"}, {"address": 256, "data_len": 4, "data": "DEADBEEF"}),
    ("7.11", 0x8B, {"address": 256, "data_len": 4}, {"address": 256, "data_len": 4}), ("7.13", 0x8D, {"work_mode": 0}, {"work_mode": 0}),
    ("7.14", 0x8E, {"screen_type": 1, "qr_text": "http://a.example/x"}, {"screen_type": 1, "reserved": "000000", "qr_text": "http://a.example/x"}),
    ("7.15", 0x8F, {"tc_mode": 3}, {"tc_mode": 3}), ("7.18", 0x95, {"qr_text": "https://a.example/1"}, {"qr_text": "https://a.example/1"}),
    ("7.19", 0x96, {"seconds": 10}, {"seconds": 10}), ("7.20", 0x97, {"mute": 1}, {"mute": 1}),
]


async def up(site):
    for card, body in (("0000000B", {"status": "blocked"}), ("0000000E", {"status": "accepted", "expires_at": "2020-01-01T00:00:00Z"})):
        await site.call("PUT", "/id-tags/" + card, body)
    pile = Pile(await Line(site.server).connect(), A)
    for row, command, fields, want, _ in ROWS:
        if want is NO_ANSWER:
            before = len(pile.answers)
            pile.send(command, **fields)
            check(f"{row}: what follows is answered", (await pile.time() or {}).get("timestamp"))
            check(f"{row}: it is not", len(pile.answers) == before + 1, pile.answers[before:])
        else:
            got = await pile.ask(command, **fields)
            check(row, holds(got, want), got)
    check("3.2 each answer comes once", len(pile.answers) == len(ROWS), len(pile.answers))
    check("what comes is frames", pile.line.junk == 0)
    for row, command, fields, _, _ in ROWS:
        await site.shown(pile, pile_bytes(pile, command, fields), f"{row}: it is in the view of messages")
    await events_of_rows(site, pile)
    point = await site.point(pile)
    check("the station's row says what it is", holds(point, {"protocol": "ap3000", "physical_id": f"{A:08X}", "iccid": pile.line.iccid, "host": None, "online": True}), point)
    check("and its type", point.get("device_type") not in (None, ""), point)
    check("its connectors count from 1", [c["connector_id"] for c in point.get("connectors", [])] in ([1, 2], [0, 1, 2]), point.get("connectors"))
    await sequence_has_no_gap(site, pile)
    log = site.server.log()
    check("13.4 cards are not in the log", CARD not in log and pile.line.iccid not in log, [l for l in log.splitlines() if CARD in l or pile.line.iccid in l][:2])
    await pile.line.close()
    e = await site.event(pile, "the end of the line is an event", "charge_point.disconnected")
    check("and says why", e and e["payload"]["reason"] == "tcp_connection_closed", e)


def pile_bytes(pile, command, fields):
    payload = encode(command, UP, fields)
    return next(raw for _, _, raw in pile.log if raw[11] == command and raw[12:-2] == payload)


async def events_of_rows(site, pile):
    """Those told, in order; rows that tell None may have made any, and a port's state may be told beside."""
    got = [(e["eventType"], e["payload"]) for e in await site.events(pile)]
    for row, _, _, _, events in ROWS:
        for type_, want in events or []:
            at = next((i for i, (have, payload) in enumerate(got) if have == type_ and holds(payload, want)), None)
            if check(f"{row}: becomes {type_}", at is not None, (want, got[:2])):
                check(f"{row}: nothing else comes before it", not [t for t, _ in got[:at] if t.startswith(TOLD)], got[:at])
                got = got[at + 1:]
    left = [(t, p) for t, p in got if t.startswith(TOLD)]
    check("no more than the rows tell", not left, left)
    values = (await site.events(pile, "transaction.meter_values"))[:1]
    samples = {v["sampledValue"]["measurand"]: (v["sampledValue"]["value"], v["sampledValue"].get("unit")) for e in values for v in e["payload"]["meterValues"]}
    want = {"Energy.Active.Import.Register": (50, "Wh"), "Power.Active.Import": (150, "W"), "Voltage": (228.7, "V"), "Current.Import": (0.722, "A"), "Temperature": (36, "Celsius")}
    for measurand, (value, unit) in want.items():
        have = samples.get(measurand, ("nan", None))
        check(f"6.6 {measurand} is {value} {unit}", float(have[0]) == value and have[1] == unit or measurand == "Temperature" and float(have[0]) in (23, 36), samples)


async def states(site):
    """5.1: each state that a port can be in; told again only when it differs."""
    pile = await pile_on(site, B, 1)
    for code, _ in STATES:
        pile.status = [code]
        for _ in range(2):
            check(f"5.1 state {code:#04x} is answered", holds(await pile.heartbeat(), ACCEPTED))
    events = await site.events(pile, "connector.status_changed")
    got = [(e["payload"]["status"], e["payload"].get("vendorErrorCode")) for e in events]
    want = [(s, f"0x{c:02X}" if s == "Faulted" else None) for c, s in STATES]
    check("5.1 each state is told once", [g[0] for g in got] == [w[0] for w in want], got)
    check("5.1 a fault has the pile's own code", [g[1].lower() for g in got if g[0] == "Faulted"] == [w[1].lower() for w in want if w[0] == "Faulted"], got)
    check("5.1 only a fault has an error", all((e["payload"]["errorCode"] == "NoError") == (e["payload"]["status"] != "Faulted") for e in events), events[-1:])
    pile.status = [CHARGING]
    pile.send(0x01, firmware=205, voltage_dv=2200, port_count=1, port_status=[TRICKLE], port_power_dw=[0], port_peak_power_dw=[0])
    await pile.time()
    e = (await site.events(pile, "connector.status_changed"))[-1]
    check("6.1 a legacy heartbeat tells a state too", e["payload"]["status"] == "SuspendedEV", e)
    order = Order("20260115093012" + CARD + "1410069430", 0, 0, CARD).advance(60, 1)
    pile.send(0x06, **order.beat())
    pile.send(0x43, **order.settlement(1))
    await site.event(pile, "6.13 finished and not settled is Finishing", "connector.status_changed", status="Finishing", connectorId=1, count=2)
    await site.quiet(pile, "6.13 and nothing is settled by it", "transaction.stopped")


async def heartbeats(site):
    pile = await pile_on(site)
    await pile.heartbeat()
    await site.event(pile, "a heartbeat is an event where that is asked for", "heartbeat.received")


async def legacy(site):
    """6.1: which heartbeat is answered."""
    pile = Pile(await Line(site.server).connect(), 0x0400AB01)
    fields = {"firmware": 126, "voltage_dv": 2200, "port_count": 2, "port_status": [0, 2], "port_power_dw": [0, 0], "port_peak_power_dw": [0, 0]}
    pile.on[0x81] = SILENT
    first = pile.send(0x01, **fields)
    check("6.1 the first legacy heartbeat is met with 0x81", await pile.until_asked(0x81))
    pile.send_raw(first)
    await pile.time()
    check("6.1 its repeat is no second one", [a for a in pile.answers if a.command == 0x01] == [])
    check("6.1 the second is answered", holds(await pile.ask(0x01, **fields), ACCEPTED))
    check("6.1 and so are all later ones", holds(await pile.ask(0x01, **fields), ACCEPTED))
    await site.event(pile, "6.1 its states are told", "connector.status_changed", connectorId=2, status="Preparing")
    check("6.9 a modern one is answered", holds(await pile.heartbeat(), ACCEPTED))
    before = len(pile.answers)
    pile.send(0x01, **fields)
    await pile.time()
    check("6.1 from then on it is modern", len(pile.answers) == before + 1, pile.answers[before:])


async def hosts(site):
    """8: what a host says, and a slave behind it."""
    host = Host(await Line(site.server).connect(), HOST_ID, [SLAVE])
    slave = host.slaves[0]
    host.heartbeat()
    check("8.3 a host gets the time", await host.time())
    check("6.8 a slave registers", await slave.register())
    host.versions()
    host.send(0x17, breaker=1, temperature_raw=35, voltage_dv=2291, current_10ma=1250, energy_10wh=45678, meter_current_10ma=0, meter_energy_10wh=0, smoke_alarm=0, alarm_relay=0)
    check("8.4 an old host that asks for firmware is answered", holds(await host.ask(0x15), ACCEPTED))
    mine = host.next_id()
    host.send(0x3B, mine, frequency_mhz=472)
    f = await host.until_asked(0x3A)
    check("8.10 asked for its slaves, the server tells them", f and f.fields["slave_ids"] == [f"{SLAVE:08X}"] and f.message_id > 0, f)
    check("8.10 each asking is one command", await host.ask(0x12) and len(host.asked(0x3A)) == 1, host.commands)
    for command in (0x11, 0x17, 0x35, 0x3B):
        check(f"3.2 {command:#04x} is not answered", not [a for a in host.answers if a.command == command])
    for command in (0x11, 0x17, 0x35, 0x15):
        raw = next(raw for _, _, raw in host.log if raw[11] == command)
        await site.shown(host, raw, f"8 {command:#04x} is in the view of messages")
    await until(lambda: is_so(site, slave, {"host": host.charge_point, "physical_id": f"{SLAVE:08X}", "online": True}), "12 a slave names its host")
    await until(lambda: is_so(site, host, {"protocol": "ap3000", "online": True, "iccid": host.line.iccid}), "8.2 a host is a charge point")
    for command in (0x31, 0x32, 0x33):
        c = await site.command(host, command)
        check(f"8.6 {COMMAND[command]} is answered", c.get("outcome") == "answered" and len(host.asked(command)) == 1, c)
    order, transaction = await site.charge(slave, 0)
    check("12 a slave charges through its host", order.order_no != "00" * 16 and transaction)
    for f in host.commands + slave.commands:
        check("12 what is for a slave has the slave's id", f.id in (HOST_ID, SLAVE))
    await sequence_has_no_gap(site, host, slave)


async def is_so(site, unit, want):
    return holds(await site.point(unit), want)


async def down(site):
    pile = await pile_on(site)
    for row, command, payload, want in DOWN_ROWS:
        c = await site.command(pile, command, payload)
        asked = pile.asked(command)
        check(f"{row} {COMMAND[command]} reaches the pile", len(asked) == 1 and holds(asked[0].fields, want), asked and asked[0].fields)
        check(f"{row} {COMMAND[command]} is answered", c.get("outcome") == "answered" and c.get("status") == "Accepted", c)
        if 0x90 <= command <= 0x93:
            set_ = {0x90: DEFAULTS_1, 0x91: DEFAULTS_2, 0x92: LIMITS, 0x93: KEYS}[command]
            check(f"7.16 {COMMAND[command]} tells what was set", holds(c.get("response"), {k: v for k, v in set_.items() if command != 0x93 or k == "card_sector"}), c.get("response"))
        if command == 0x8B:
            check("7.11 what was written is read", "deadbeef" in str(c.get("response")).lower(), c.get("response"))
    for command in sorted(GUARDED - {0x31, 0x32, 0x34}):
        payload = next((p for _, c, p, _ in DOWN_ROWS if c == command), {})
        await site.refused(pile, f"13.3 {COMMAND[command]} is sent only when it is meant", command, payload, (400, 409, 422))
    check("13.3 and was not", all(len(pile.asked(c)) <= 1 for c in GUARDED), pile.commands)
    await refusals(site, pile)
    for message, command in (("BootNotification", 0x81), ("Heartbeat", 0x81), ("StatusNotification", 0x81)):
        before, c = len(pile.asked(command)), await site.command(pile, "TriggerMessage", {"requestedMessage": message})
        check(f"7.1 TriggerMessage {message} is 0x81", len(pile.asked(command)) == before + 1 and c.get("outcome") == "answered", c)
    c = await site.command(pile, "GetConfiguration", {})
    check("GetConfiguration reads the parameters", c.get("outcome") == "answered" and "180" in str(c.get("response")), c)
    order, transaction = await site.charge(pile, 0)
    await site.refused(pile, "7.9 memory is not cleared while an order is open", 0x88, {"confirm": True})
    c = await site.command(pile, 0x8A, {"port": 0, "rate_mode": 0, "duration_or_energy": 3600})
    check("7.3 a change reaches the pile", holds(pile.asked(0x8A)[-1].fields if pile.asked(0x8A) else None, {"port": 0, "rate_mode": 0, "duration_or_energy": 3600}) and c.get("status") == "Accepted", c)
    pile.on[0x8A] = {"result": 2}
    c = await site.command(pile, 0x8A, {"port": 0, "rate_mode": 0, "duration_or_energy": 1})
    check("7.3 a change that is refused says so", (c.get("outcome"), c.get("reason")) == ("answered", "DEVICE_REJECTED"), c)
    await site.command(pile, STOP, {"transactionId": int(transaction or 0)})
    await site.transaction(transaction, "10.1 stopped and settled", state="closed")
    c = await site.command(pile, "Reset", {"type": "Hard"})
    check("7.8 a reset is 0x87", len(pile.asked(0x87)) == 1 and c.get("outcome") == "answered", c)
    check("what the server sent holds nothing but frames", pile.line.junk == 0)
    for action, payload in (("ClearCache", {}), ("GetDiagnostics", {"location": "ftp://x/"}), ("ReserveNow", {"connectorId": 1, "expiryDate": "2030-01-01T00:00:00Z", "idTag": TAG, "reservationId": 1})):
        r = await site.call("POST", f"/charge-points/{name_of(pile)}/commands", {"action": action, "payload": payload})
        check(f"{action} has no counterpart", "UNSUPPORTED_BY_DEVICE" in r.text and r.status in (200, 422), (r.status, r.text))
    sent = {f.raw: f.message_id for f in pile.commands}
    check("2.5 each command has an id of its own, none is 0", len(set(sent.values())) == len(sent) and 0 not in sent.values(), sent.values())
    await sequence_has_no_gap(site, pile)


async def refusals(site, pile):
    """What the pile refuses, does not answer, or is not there for."""
    pile.on[0x84] = {"result": 1}
    c = await site.command(pile, 0x84, DEFAULTS_2)
    check("7.5 a refusal is the device's", (c.get("outcome"), c.get("reason")) == ("answered", "DEVICE_REJECTED") and "1" in str(c.get("response")), c)
    pile.on[0x96] = SILENT
    began, c = time.monotonic(), await site.command(pile, 0x96, {"seconds": 3})
    asked = pile.asked(0x96)[1:]
    check("3.1 no answer after one retransmission", (c.get("outcome"), c.get("reason")) == ("unknown", "NO_ANSWER") and len(asked) == 2, (c, asked))
    check("3.3 it is the same bytes", len({f.raw for f in asked}) == 1, asked)
    check("3.1 both times are waited for", 1.8 < time.monotonic() - began < 8, time.monotonic() - began)
    pile.on[0x96] = {"result": 0, "extra": "0102"}
    c = await site.command(pile, 0x96, {"seconds": 3})
    check("2.7 surplus bytes of an answer are passed over", c.get("status") == "Accepted", c)
    for row, payload in (("too large a number", {"seconds": 256}), ("a field that nobody knows", {"seconds": 1, "x": 1}), ("no field", {}), ("text for a number", {"seconds": "1"})):
        await site.refused(pile, f"{row} is not sent", 0x96, payload, (400, 422))
    await site.put("AP77", registration="accepted")
    c = await site.command("AP77", START, {"idTag": TAG}, wait_s=10, expires_in_s=1)
    check("a pile that is not there: not sent", (c.get("outcome"), c.get("reason")) == ("not_sent", "DEVICE_OFFLINE"), c)


def main():
    run(up)
    run(states)
    run(heartbeats, "events.heartbeat=true")
    run(legacy)
    run(hosts)
    run(down)
    report()


main()
