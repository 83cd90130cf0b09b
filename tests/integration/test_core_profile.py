"""Every message that a station may send, from the socket to the log: valid, a field missing, too long, of the wrong type, unknown,
in the wrong order; the answer that ocpp16.md asks for (its paragraph in each row), and the event or the quarantine entry."""
import asyncio, json, os, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import Server, Station, check, report, until

T = "2026-03-01T09:05:10Z"
LONG = "x" * 600
METER = [{"timestamp": T, "sampledValue": [{"value": "1201.1", "unit": "kWh"}, {"value": "10.9", "measurand": "Current.Import", "phase": "L1", "unit": "A"}]}]

RESULT, ERROR = 3, 4
# row, action, payload, answer kind, what the answer must hold (payload members, or the error code), event type or None
ROWS = [
    ("5.2 a boot is accepted", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1", "iccid": ""}, RESULT, {"status": "Accepted"}, "charge_point.connected"),
    ("2.3 a boot without its vendor", "BootNotification", {"chargePointModel": "M"}, ERROR, "OccurenceConstraintViolation", "device.protocol_error"),
    ("2.4 a serial number that is too long is taken", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "chargeBoxSerialNumber": "s" * 33}, RESULT, {"status": "Accepted"}, "charge_point.connected"),
    ("2.3 a vendor that is a number", "BootNotification", {"chargePointVendor": 1, "chargePointModel": "M"}, ERROR, "TypeConstraintViolation", "device.protocol_error"),
    ("2.4 an unknown member of a boot is passed over", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M", "x": {"y": [1]}}, RESULT, {"status": "Accepted"}, "charge_point.connected"),
    ("44 an empty vendor is taken", "BootNotification", {"chargePointVendor": "", "chargePointModel": "M"}, RESULT, {"status": "Accepted"}, "charge_point.connected"),
    ("5.4 a heartbeat", "Heartbeat", {}, RESULT, {}, None),
    ("2.1 a heartbeat whose payload is null", "Heartbeat", None, RESULT, {}, None),
    ("2.3 a heartbeat whose payload is a list", "Heartbeat", [], ERROR, "FormationViolation", "device.protocol_error"),
    ("5.7 a status", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": T}, RESULT, {}, "connector.status_changed"),
    ("5.7 the same status again is an event again", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}, RESULT, {}, "connector.status_changed"),
    ("5.7 a step that is not listed is taken", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Finishing"}, RESULT, {}, "connector.status_changed"),
    ("2.4 a vendor error code that is too long is taken", "StatusNotification", {"connectorId": 1, "errorCode": "OtherError", "status": "Faulted", "vendorErrorCode": LONG}, RESULT, {}, "connector.status_changed"),
    ("2.4 an unknown status", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Sleeping"}, ERROR, "PropertyConstraintViolation", "device.protocol_error"),
    ("2.4 an unknown error code", "StatusNotification", {"connectorId": 1, "errorCode": "Bad", "status": "Available"}, ERROR, "PropertyConstraintViolation", "device.protocol_error"),
    ("2.3 a status without a connector", "StatusNotification", {"errorCode": "NoError", "status": "Available"}, ERROR, "OccurenceConstraintViolation", "device.protocol_error"),
    ("2.3 a connector that is text", "StatusNotification", {"connectorId": "a", "errorCode": "NoError", "status": "Available"}, ERROR, "TypeConstraintViolation", "device.protocol_error"),
    ("5.7 a connector below 0", "StatusNotification", {"connectorId": -1, "errorCode": "NoError", "status": "Available"}, ERROR, "PropertyConstraintViolation", "device.protocol_error"),
    ("5.1 a tag that is known", "Authorize", {"idTag": "good"}, RESULT, {"idTagInfo": {"status": "Accepted", "parentIdTag": "FLEET"}}, "authorization.requested"),
    ("5.1 a tag that is not known", "Authorize", {"idTag": "nobody"}, RESULT, {"idTagInfo": {"status": "Invalid"}}, "authorization.requested"),
    ("5.1 a blocked tag is Blocked, not Invalid", "Authorize", {"idTag": "BLOCKED"}, RESULT, {"idTagInfo": {"status": "Blocked"}}, "authorization.requested"),
    ("5.1 a tag whose time is over", "Authorize", {"idTag": "OLD"}, RESULT, {"idTagInfo": {"status": "Expired"}}, "authorization.requested"),
    ("2.3 an authorize without a tag", "Authorize", {}, ERROR, "OccurenceConstraintViolation", "device.protocol_error"),
    ("2.3 a tag that is too long", "Authorize", {"idTag": "x" * 21}, ERROR, "PropertyConstraintViolation", "device.protocol_error"),
    ("2.3 a tag that is a number", "Authorize", {"idTag": 17}, ERROR, "TypeConstraintViolation", "device.protocol_error"),
    ("5.3 an unknown vendor", "DataTransfer", {"vendorId": "com.example", "messageId": "m", "data": "d"}, RESULT, {"status": "UnknownVendorId"}, "data_transfer.received"),
    ("5.3 data that is an object is kept", "DataTransfer", {"vendorId": "com.example", "data": {"a": 1}}, RESULT, {"status": "UnknownVendorId"}, "data_transfer.received"),
    ("2.3 a data transfer without vendor", "DataTransfer", {"data": "d"}, ERROR, "OccurenceConstraintViolation", "device.protocol_error"),
    ("2.3 a vendor id that is too long", "DataTransfer", {"vendorId": "v" * 256}, ERROR, "PropertyConstraintViolation", "device.protocol_error"),
    ("5.5 meter values outside a transaction", "MeterValues", {"connectorId": 2, "meterValue": METER}, RESULT, {}, "meter_values.received"),
    ("5.5 meter values of the main meter", "MeterValues", {"connectorId": 0, "transactionId": 99, "meterValue": METER}, RESULT, {}, "meter_values.received"),
    ("7 a transaction id of -1", "MeterValues", {"connectorId": 2, "transactionId": -1, "meterValue": METER}, RESULT, {}, "meter_values.received"),
    ("7 a transaction id of 2^63-1", "MeterValues", {"connectorId": 2, "transactionId": 2**63 - 1, "meterValue": METER}, RESULT, {}, "meter_values.received"),
    ("45 an unknown measurand and unit", "MeterValues", {"connectorId": 2, "meterValue": [{"timestamp": T, "sampledValue": [{"value": "1", "measurand": "Request.Energy", "unit": "Hz"}]}]}, RESULT, {}, "meter_values.received"),
    ("45 no value in the list", "MeterValues", {"connectorId": 2, "meterValue": [{"timestamp": T, "sampledValue": []}]}, RESULT, {}, "device.quarantined"),
    ("2.4 meter values with an empty list", "MeterValues", {"connectorId": 2, "meterValue": []}, RESULT, {}, "device.quarantined"),
    ("2.4 a start without a tag gets an id", "StartTransaction", {"connectorId": 3, "meterStart": 1, "timestamp": T}, RESULT, {"idTagInfo": {"status": "Accepted"}}, "device.quarantined"),
    ("2.4 a start without a reading gets an id", "StartTransaction", {"connectorId": 3, "idTag": "GOOD", "timestamp": T}, RESULT, {"idTagInfo": {"status": "Accepted"}}, "device.quarantined"),
    ("2.4 a start without a time gets an id", "StartTransaction", {"connectorId": 3, "idTag": "GOOD", "meterStart": 1}, RESULT, {"idTagInfo": {"status": "Accepted"}}, "device.quarantined"),
    ("2.4 a start without a connector is refused", "StartTransaction", {"idTag": "GOOD", "meterStart": 1, "timestamp": T}, ERROR, "OccurenceConstraintViolation", "device.protocol_error"),
    ("5.6 a blocked tag still gets an id", "StartTransaction", {"connectorId": 4, "idTag": "BLOCKED", "meterStart": 1, "timestamp": T}, RESULT, {"idTagInfo": {"status": "Blocked"}}, "transaction.started"),
    ("47 a tag of 21 characters with garbage starts", "StartTransaction", {"connectorId": 5, "idTag": "GOOD\u0010\u000e" + " " * 15, "meterStart": 1, "timestamp": T}, RESULT, {"idTagInfo": {"status": "Accepted"}}, "transaction.started"),
    ("5.8 a stop that nobody knows", "StopTransaction", {"transactionId": 7, "meterStop": 5, "timestamp": "2025-01-01T00:00:00Z"}, RESULT, {}, "device.quarantined"),
    ("2.4 a stop without an id", "StopTransaction", {"meterStop": 5, "timestamp": "2025-01-01T00:00:01Z"}, RESULT, {}, "device.quarantined"),
    ("2.4 a stop whose id is text that is no number", "StopTransaction", {"transactionId": "abc", "meterStop": 5, "timestamp": "2025-01-01T00:00:02Z"}, RESULT, {}, "device.quarantined"),
    ("2.4 a stop whose payload is a list is refused", "StopTransaction", [1], ERROR, "FormationViolation", "device.protocol_error"),
    ("5.9 a diagnostics status", "DiagnosticsStatusNotification", {"status": "Uploading"}, RESULT, {}, "diagnostics.status_changed"),
    ("5.10 a firmware status", "FirmwareStatusNotification", {"status": "Installed"}, RESULT, {}, "firmware.status_changed"),
    ("2.4 an unknown firmware status is taken", "FirmwareStatusNotification", {"status": "Baked"}, RESULT, {}, "firmware.status_changed"),
    ("7.1 a security event", "SecurityEventNotification", {"type": "TamperDetectionActivated", "timestamp": T}, RESULT, {}, "security.event"),
    ("7.2 a signing request", "SignCertificate", {"csr": "pem"}, RESULT, {"status": "Rejected"}, "certificate.sign_requested"),
    ("7.9 a log status", "LogStatusNotification", {"status": "Uploaded", "requestId": 4}, RESULT, {}, "log.status_changed"),
    ("7.11 a signed firmware status", "SignedFirmwareStatusNotification", {"status": "Downloading", "requestId": 4}, RESULT, {}, "firmware.status_changed"),
    ("11.5 an unknown action", "Nope", {}, ERROR, "NotImplemented", "device.protocol_error"),
    ("11.5 an action that is not a station's", "Reset", {"type": "Hard"}, ERROR, "NotSupported", "device.protocol_error"),
]


def holds(answer, want):
    return all(isinstance(answer, dict) and k in answer and (holds(answer[k], v) if isinstance(v, dict) else answer[k] == v) for k, v in want.items())


async def rows(server):
    s = await Station(server, "ROWS").connect()
    first = await s.frame("StatusNotification", {"connectorId": 0, "errorCode": "NoError", "status": "Available"})
    check("10.1 before it is accepted a station may only boot", first[0] == ERROR and first[2] == "SecurityError", first)
    expected = ["device.protocol_error"]
    for row, action, payload, kind, want, event in ROWS:
        answer = await s.frame(action, payload)
        check(row, answer[0] == kind and (answer[2] == want if kind == ERROR else holds(answer[2], want)), answer)
        if action == "StartTransaction" and kind == RESULT:
            check(f"{row}: a positive id of 31 bits", 0 < answer[2].get("transactionId", 0) < 2**31, answer)
        if event:
            expected.append(event)
    await s.close()
    return expected


async def transactions(server):
    """10.2, 5.6, 5.8: repeats by content, orphans, superseding, other stations' ids."""
    a, b = await Station(server, "TX-A").connect(), await Station(server, "TX-B").connect()
    await a.boot(), await b.boot()
    start = {"connectorId": 1, "idTag": "TXTAG", "meterStart": 1000, "timestamp": T}
    one = await a.call("StartTransaction", start)
    check("5.6 a start is accepted", one["idTagInfo"]["status"] == "Accepted", one)
    again = await a.call("StartTransaction", start)
    check("5.6 its repeat with a new id gets the same transaction", again == one, (one, again))
    other = await b.call("StartTransaction", {**start, "timestamp": "2026-03-01T09:06:00Z"})
    check("5.6 the same tag elsewhere is ConcurrentTx, with an id", other["idTagInfo"]["status"] == "ConcurrentTx" and other["transactionId"] != one["transactionId"], other)
    tid = one["transactionId"]
    await b.call("StopTransaction", {"transactionId": tid, "meterStop": 1100, "timestamp": "2026-03-01T09:07:00Z"})
    await a.call("MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": METER})
    await a.call("MeterValues", {"connectorId": 1, "transactionId": tid, "meterValue": METER})
    await a.call("MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": "2026-03-01T09:20:00Z", "sampledValue": [{"value": "1205"}]}]})
    stop = {"transactionId": str(tid), "meterStop": 1204999.4, "timestamp": "2026-03-01T09:40:00Z", "idTag": "TXTAG", "reason": "Remote",
            "transactionData": [{"timestamp": "2026-03-01T09:39:00Z", "sampledValue": [{"value": "1204998", "context": "Transaction.End"}]}]}
    stopped = await a.call("StopTransaction", stop)
    check("5.8 a stop with a tag tells its verdict; text and fractions are read", stopped.get("idTagInfo", {}).get("status") == "Accepted", stopped)
    check("5.8 its repeat gets the same answer", await a.call("StopTransaction", stop) == stopped)
    await a.call("StopTransaction", {**stop, "meterStop": 2})
    # a stop before its start (field-lessons.md 10)
    await a.call("StopTransaction", {"transactionId": -1, "meterStop": 900, "timestamp": "2026-03-02T10:00:00Z", "reason": "Local"})
    late = await a.call("StartTransaction", {"connectorId": 2, "idTag": "TXTAG", "meterStart": 500, "timestamp": "2026-03-02T09:00:00Z"})
    # superseded, and its stop all the same
    first = await a.call("StartTransaction", {"connectorId": 1, "idTag": "SUPER", "meterStart": 2000, "timestamp": "2026-03-03T09:00:00Z"})
    second = await a.call("StartTransaction", {"connectorId": 1, "idTag": "SUPER", "meterStart": 2500, "timestamp": "2026-03-03T10:00:00Z"})
    check("5.6 a start that replaces its own is not concurrent", second["idTagInfo"]["status"] == "Accepted", second)
    await a.call("StopTransaction", {"transactionId": first["transactionId"], "meterStop": 2400, "timestamp": "2026-03-03T09:50:00Z"})
    await a.call("StopTransaction", {"transactionId": -1, "meterStop": 2600, "timestamp": "2026-03-03T11:00:00Z"})
    await a.close(), await b.close()
    return str(tid), str(late["transactionId"]), str(first["transactionId"]), str(second["transactionId"]), str(other["transactionId"])


def check_events(server, expected):
    events = server.tail()
    mine = [e["eventType"] for e in events if e["chargePointId"] == "ROWS" and e["eventType"] != "charge_point.disconnected"]
    check("each message became its event, in order", mine == expected, [(i, x, y) for i, (x, y) in enumerate(zip(mine, expected)) if x != y][:3] or (len(mine), len(expected)))
    for station in ("ROWS", "TX-A", "TX-B"):
        seq = [e["sequence"] for e in events if e["chargePointId"] == station]
        check(f"{station}: the sequence rises by one", seq == list(range(1, len(seq) + 1)), seq)
    check("event ids are unique", len({e["eventId"] for e in events}) == len(events))
    for e in events:
        check("an event has the fields of the contract", {"eventId", "eventType", "chargePointId", "gatewayId", "timestamp", "payload", "traceId", "schemaVersion"} <= e.keys(), e)
    return events


def check_transactions(server, events, ids):
    tid, late, first, second, other = ids
    of = lambda t: [e["eventType"] for e in events if e["payload"].get("transactionId") == t and e["chargePointId"] == "TX-A"]
    check("one start, readings once, one by inference, the stop's data, one stop, one kept for audit", of(tid) == [
        "transaction.started", "transaction.meter_values", "transaction.meter_values", "transaction.meter_values", "transaction.stopped", "device.quarantined"], of(tid))
    check("the stop that came first ends the start that came late", of(late) == ["transaction.started", "transaction.stopped"], of(late))
    check("a superseded transaction takes its stop late", of(first) == ["transaction.started", "transaction.stopped"], of(first))
    check("a stop without id ends the one that fits", of(second) == ["transaction.started", "transaction.stopped"], of(second))
    foreign = [e for e in events if e["chargePointId"] == "TX-B" and e["eventType"] == "device.quarantined"]
    check("another station's stop is quarantined, not applied", len(foreign) == 1 and foreign[0]["payload"]["reason"] == "foreign_transaction", foreign)
    until(lambda: server.get(f"/transactions/{tid}").data and server.get(f"/transactions/{tid}").data["state"] == "closed", "the transaction is closed at the API")
    t = server.get(f"/transactions/{tid}").data
    check("its energy is stop minus start", t and t["energy_wh"] == 1204999 - 1000, t)
    check("the other station's is open", server.get(f"/transactions/{other}").data["state"] == "open")
    q = server.get("/quarantine?limit=1000")
    check("the API shows what was quarantined", q.status == 200 and len(q.data["list"]) == sum(e["eventType"] == "device.quarantined" for e in events), q.text[:500])


def all_of_it(by_ring):
    with Server(f"server.io_uring={'true' if by_ring else 'false'}") as server:
        said = open(server.stderr_path, errors="replace").read()
        check("the log says how sockets are read", "event=server.sockets by=epoll" in said or (by_ring and "event=server.sockets by=io_uring" in said), said[:500])
        if by_ring and "by=epoll" in said:
            print("SKIPPED: by io_uring:", next(l for l in said.splitlines() if "server.sockets" in l))
        server.put("/id-tags/GOOD", {"status": "accepted", "parent_id_tag": "FLEET"})
        server.accept_tag("TXTAG")
        server.accept_tag("SUPER")
        server.put("/id-tags/BLOCKED", {"status": "blocked"})
        server.put("/id-tags/OLD", {"status": "accepted", "expires_at": "2020-01-01T00:00:00Z"})
        expected = asyncio.run(rows(server))
        ids = asyncio.run(transactions(server))
        events = check_events(server, expected)
        check_transactions(server, events, ids)


def main():
    all_of_it(by_ring=True)
    all_of_it(by_ring=False)
    report()


main()
