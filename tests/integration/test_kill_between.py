#!/usr/bin/env python3
"""The worked exchange (ocpp16.md 12) with the server killed by SIGKILL between every two messages, and the station sending again what
was not answered: the same transaction id, one session, nothing doubled.

Two ways to lose the server: after an answer was read; and after a message was sent, before its answer is read. The second is done
at several moments (0 to a few ms after the message has left), so that it also falls between the commit and the answer. Each script
runs with the repeats under the same message id, under new ones, and once with every message killed around."""
import asyncio
import contextlib
import json
import random
import sys
import time

from harness import Server, Station, check, report, until

IDENTITY = "DE*ACM*E01"
TAG = "04A2B3C4D5E680"
SEED = 20260301
LATER_MS = (0, 1, 2, 4, 8)
START_WH, METER_WH, STOP_WH = 1200345, 1201100, 1204999


def script():
    """(action, payload) in order; T stands for the transaction id once the station has it."""
    return [
        ("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "Post-22", "chargePointSerialNumber": "A0001",
                              "firmwareVersion": "4.1.0", "iccid": ""}),
        ("StatusNotification", {"connectorId": 0, "errorCode": "NoError", "status": "Available"}),
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": "2026-03-01T10:00:01.250+01:00"}),
        ("Authorize", {"idTag": TAG}),
        ("StartTransaction", {"connectorId": 1, "idTag": TAG, "meterStart": START_WH, "timestamp": "2026-03-01T09:05:10Z"}),
        ("MeterValues", {"connectorId": 1, "transactionId": "T", "meterValue": [{"timestamp": "2026-03-01T09:10:10Z", "sampledValue": [
            {"value": "1201.1", "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register", "unit": "kWh"},
            {"value": "10.9", "measurand": "Current.Import", "phase": "L1", "unit": "A"}]}]}),
        ("MeterValues", {"connectorId": 0, "meterValue": [{"timestamp": "2026-03-01T09:15:00Z", "sampledValue": [{"value": "88"}]}]}),
        ("StopTransaction", {"transactionId": "T", "meterStop": STOP_WH, "timestamp": "2026-03-01T09:40:00Z", "reason": "Remote"}),
        ("StopTransaction", {"transactionId": "T", "meterStop": STOP_WH, "timestamp": "2026-03-01T09:40:00Z", "reason": "Remote"}),
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": "2026-03-01T09:41:00Z"}),
    ]


class Run:
    """One life of the station over many lives of the server."""

    def __init__(self, row, server, rng, new_ids):
        self.row, self.server, self.rng, self.new_ids = row, server, rng, new_ids
        self.station, self.transaction, self.sent = None, None, 0
        self.starts = []

    async def come_back(self):
        await self.leave()
        self.station = await Station(self.server, IDENTITY).connect()

    async def leave(self):
        with contextlib.suppress(Exception):    # the other side may be gone already
            if self.station is not None:
                await self.station.close()

    def message_id(self, i):
        self.sent += 1
        return f"b{i}-{self.sent}" if self.new_ids else f"b{i}"

    def fill(self, payload):
        return {k: self.transaction if v == "T" else v for k, v in payload.items()}

    async def say(self, i, action, payload):
        frame = await self.station.frame(action, self.fill(payload), self.message_id(i))
        check(f"{self.row}: {action} is answered with a result", frame[0] == 3, frame)
        if action == "StartTransaction":
            self.starts.append(frame[2].get("transactionId"))
            self.transaction = self.transaction or self.starts[0]

    async def say_and_die(self, i, action, payload, later_ms):
        """Sent, and the server is killed before the answer is read; it may have been on its way."""
        await self.station.send(json.dumps([2, self.message_id(i), action, self.fill(payload)]))
        end = time.perf_counter() + later_ms / 1000
        while time.perf_counter() < end:
            pass                            # a sleep would be coarser than what is to be hit
        self.server.kill()
        self.server.start()
        await self.come_back()

    async def go(self, at, is_before_answer, later_ms):
        """at: index of the message around which the server dies; None: around every one."""
        await self.come_back()
        for i, (action, payload) in enumerate(script()):
            dies = at is None or at == i
            if dies and is_before_answer:
                await self.say_and_die(i, action, payload, later_ms if later_ms is not None else self.rng.choice(LATER_MS))
            await self.say(i, action, payload)
            if dies and not is_before_answer:
                self.server.kill()
                self.server.start()
                await self.come_back()
        await self.leave()

    def verdict(self):
        row, events = self.row, [e for e in self.server.tail() if e["chargePointId"] == IDENTITY]
        of = lambda kind: [e for e in events if e["eventType"] == kind]
        started, stopped, meters = of("transaction.started"), of("transaction.stopped"), of("transaction.meter_values")
        check(f"{row}: one transaction began", len(started) == 1, started)
        check(f"{row}: it has the id that the station was told, each time", {str(t) for t in self.starts} ==
              {e["payload"]["transactionId"] for e in started}, (self.starts, started))
        check(f"{row}: it ended once, with the right energy", [e["payload"].get("energyWh") for e in stopped] == [STOP_WH - START_WH], stopped)
        check(f"{row}: its readings are there once", len(meters) == 1, meters)
        check(f"{row}: the readings of the main meter are there once", len(of("meter_values.received")) == 1, of("meter_values.received"))
        check(f"{row}: nothing is in quarantine", not of("device.quarantined") and not of("device.protocol_error"), events)
        sequences = [e["sequence"] for e in events if "sequence" in e and e["sequence"]]
        check(f"{row}: the station's sequence has no gap and no repeat", sequences == list(range(1, len(sequences) + 1)), sequences)
        check(f"{row}: event ids are unique", len({e["eventId"] for e in events}) == len(events))
        done = until(lambda: self.sessions_done(), f"{row}: the session is complete")
        if done:
            check(f"{row}: one session, with the energy of its transaction",
                  [(s["total_energy"], s["transaction_id"]) for s in done] == [(STOP_WH - START_WH, str(self.transaction))], done)
        transactions = self.server.get(f"/transactions?charge_point_id={IDENTITY.replace('*', '%2A')}").data["list"]
        check(f"{row}: one transaction at the API, closed", [(t["state"], t["energy_wh"]) for t in transactions] ==
              [("closed", STOP_WH - START_WH)], transactions)

    def sessions_done(self):
        answer = self.server.get("/charging/sessions")
        if answer.status != 200:
            return None
        sessions = answer.data["list"]
        return sessions if sessions and all(s["status"] == "completed" for s in sessions) else None


def one(row, at, is_before_answer, new_ids, later_ms=None):
    with Server("authorization.unknown_tag=accept") as server:
        run = Run(row, server, random.Random(f"{SEED}-{row}"), new_ids)
        asyncio.run(run.go(at, is_before_answer, later_ms))
        run.verdict()


def main():
    names = sys.argv[1:]
    rows = []
    for new_ids in (False, True):
        ids = "new message ids" if new_ids else "the same message ids"
        rows.append((f"killed after every answer, {ids}", None, False, new_ids))
        rows.append((f"killed before every answer, {ids}", None, True, new_ids))
    for i, (action, _) in enumerate(script()):
        rows.append((f"killed before the answer to message {i}, {action}", i, True, i % 2 == 0))
    for later_ms in LATER_MS:
        rows.append((f"killed {later_ms} ms after every message", None, True, True, later_ms))
    for row in rows:
        if not names or any(n in row[0] for n in names):
            one(*row)
    report()


if __name__ == "__main__":
    main()
