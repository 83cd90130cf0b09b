#!/usr/bin/env python3
"""pile_checker.py DATA JOURNAL [TAIL]   compares what piles were told (pile_world.py's journal) with what a stopped server's data
directory holds. Shares no code with the server; reads the log by checker.py. Prints 'N passed, N failed'."""
import json
import os
import sqlite3
import sys
from collections import Counter, defaultdict

from checker import INTERNAL, SHOWN_MAX, Log, Report


class Story:
    def __init__(self, path):
        self.settle, self.settled, self.ran, self.swipes = {}, set(), {}, {}
        self.asked, self.told, self.came = {}, defaultdict(list), set()
        with open(path, encoding="utf-8") as f:
            for line in f:
                j = json.loads(line)
                k = j["k"]
                if k == "settle":
                    self.settle[j["s"], j["o"]] = j
                elif k == "settled":
                    self.settled.add((j["s"], j["o"]))
                elif k == "ran":
                    self.ran[j["s"], j["o"]] = j
                elif k == "swipe":
                    self.swipes[j["card"]] = j
                elif k == "command.ask":
                    self.asked[j["id"]] = j
                elif k == "command.told":
                    self.told[j["id"]].append(j)
                elif k == "command.in":
                    self.came.add(j["raw"].lower())


class Check:
    def __init__(self, data, story, report):
        self.data, self.story, self.r = data, story, report
        self.sequences, self.types, self.last_position = Counter(), Counter(), 0
        self.started, self.stopped, self.orders = {}, defaultdict(list), defaultdict(list)
        self.of_order, self.of_tag, self.placed_of_tag = defaultdict(list), defaultdict(list), defaultdict(set)
        self.commands = defaultdict(lambda: {"queued": 0, "sent": [], "done": []})
        self.published = []

    def walk(self, log):
        for e in log.events():
            self.r.check("positions have no gap", e.position == self.last_position + 1, (self.last_position, e.position))
            self.last_position = e.position
            self.types[e.type] += 1
            is_internal = e.type in INTERNAL or e.type == "gateway.mass_disconnect"
            self.r.check("a pile's sequence has no gap and no repeat, what is internal has none",
                         e.sequence == (0 if is_internal else self.sequences[e.station] + 1), (e.station, e.type, e.position, e.sequence))
            if not is_internal:
                self.sequences[e.station] = e.sequence
                self.published.append((log.event_id(e), e.type, e.station, e.sequence))
            handler = getattr(self, "on_" + e.type.replace(".", "_"), None)
            if handler:
                handler(e, json.loads(e.payload))

    def on_transaction_started(self, e, p):
        self.r.check("a transaction id is given once", p["transactionId"] not in self.started, (e.station, p))
        self.started[p["transactionId"]] = (e.station, p)
        self.of_order[e.station, p.get("orderNo", "").upper()].append(p["transactionId"])
        self.of_tag[p["idTag"]].append(p["transactionId"])

    def on_transaction_stopped(self, e, p):
        self.r.check("a stop ends a transaction of its pile", self.started.get(p["transactionId"], ("",))[0] == e.station, (e.station, p))
        self.stopped[p["transactionId"]].append(p)

    def on_transaction_meter_values(self, e, p):
        self.r.check("readings belong to a transaction of their pile", self.started.get(p["transactionId"], ("",))[0] == e.station, (e.station, p))

    def on_order_changed(self, e, p):
        if p.get("idTag"):
            self.placed_of_tag[p["idTag"]].add(p["orderNo"].upper())

    def on_command_queued(self, _, p):
        self.commands[p["commandId"]]["queued"] += 1

    def on_command_sent(self, e, p):
        self.commands[p["commandId"]]["sent"].append((e.frame or "").lower())

    def on_command_response(self, _, p):
        self.commands[p["commandId"]]["done"].append(p)

    def on_device_quarantined(self, e, p):
        self.r.check("nothing of a pile that behaves is quarantined", False, (e.station, p, e.frame))

    def on_device_protocol_error(self, e, p):
        self.r.check("a pile that behaves is never refused", False, (e.station, p, e.frame))

    # --- what was told, against the log ---

    def settlements(self):
        for (station, number), j in self.story.settle.items():
            ids = self.of_order[station, number.upper()]
            stops = [s for i in ids for s in self.stopped[i]]
            is_acknowledged = (station, number) in self.story.settled
            if is_acknowledged:
                self.r.check("no acknowledged settlement is lost", len(stops) > 0, (station, number, ids))
                self.r.check("an acknowledged settlement is one transaction", len(ids) == 1, (station, number, ids))
            self.r.check("a settlement is in the log once, however often it was said", len(stops) <= 1 and len(ids) <= 1, (station, number, stops))
            for s in stops:
                self.r.check("its energy is what the pile said", (s["energyWh"], s["meterStopWh"]) == (j["e"] * 10, j["e"] * 10), (station, j, s))
            if j["mode"] == 0 and ids:
                p = self.started[ids[0]][1]
                self.r.check("an offline order is of its card", p["offline"] is True and p["idTag"] == j["card"], (station, j, p))
        known = {(s, o.upper()) for s, o in self.story.ran}
        for (station, number), ids in self.of_order.items():
            self.r.check("a transaction is of an order that a pile has run", not ids or (station, number) in known, (station, number, ids))

    def swipes(self):
        for card, j in self.story.swipes.items():
            self.r.check("no swipe is two transactions", len(self.of_tag[card]) <= 1, (card, j, self.of_tag[card]))
            self.r.check("no swipe is two orders", len(self.placed_of_tag[card]) <= 1, (card, j, self.placed_of_tag[card]))

    def one_outcome(self):
        for id_, c in self.commands.items():
            self.r.check("a command is taken on once", c["queued"] == 1, (id_, c))
            self.r.check("a command has one outcome", len(c["done"]) == 1, (id_, c))
            came = [f for f in c["sent"] if f in self.story.came]
            if c["done"] and c["done"][0].get("outcome") == "not_sent":
                self.r.check("what was not sent no pile has seen", not came, (id_, c))
        sent = {f for c in self.commands.values() for f in c["sent"]}
        for raw in self.story.came:
            self.r.check("a command is in the log as sent before it leaves", raw in sent, raw)
        for id_, answers in self.story.told.items():
            taken = [a for a in answers if a["code"] in (200, 202)]
            if taken:
                self.r.check("no command that was taken on is lost", id_ in self.commands, (id_, answers))
            outcomes = {a["d"]["outcome"] for a in taken if a["d"].get("state") == "done"}
            done = {d.get("outcome") for d in self.commands[id_]["done"]} if id_ in self.commands else set()
            self.r.check("whoever asks hears the outcome that is in the log", not outcomes or outcomes == done, (id_, outcomes, done))

    def tables(self):
        db = sqlite3.connect(f"file:{os.path.join(self.data, 'store.db')}?mode=ro", uri=True)
        db.row_factory = sqlite3.Row
        for row in db.execute("SELECT name, position FROM consumers"):
            self.r.check("a consumer has seen the whole log", row["position"] == self.last_position, (row["name"], row["position"], self.last_position))
        for table in ("parked", "dead_letters", "quarantine"):
            self.r.check(f"nothing is in {table}", db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0)
        rows = {row["transaction_id"]: row for row in db.execute("SELECT * FROM transactions")}
        self.r.check("the table has the transactions of the log and no other", rows.keys() == self.started.keys(), list(rows.keys() ^ self.started.keys())[:4])
        for id_, (station, p) in self.started.items():
            stop = self.stopped[id_][0] if self.stopped[id_] else None
            row = rows.get(id_)
            if row is not None:
                want = (station, p["connectorId"], "closed" if stop else "open", stop and stop["energyWh"])
                got = tuple(row[c] for c in ("charge_point_id", "connector_id", "state", "energy_wh"))
                self.r.check("a transaction's row is what the log says", got == want, (id_, got, want))
        for row in db.execute("SELECT charge_point_id, sequence, online FROM charge_points"):
            s = row["charge_point_id"]
            self.r.check("a pile's row has its last sequence", row["sequence"] == self.sequences[s], (s, tuple(row), self.sequences[s]))
            self.r.check("after the end no pile is online", row["online"] == 0, s)
        sessions = Counter(row["transaction_id"] for row in db.execute("SELECT transaction_id FROM charging_sessions"))
        for id_ in self.started:
            self.r.check("one session a transaction", sessions[id_] == 1, (id_, sessions[id_]))

    def tail(self, path):
        with open(path, encoding="utf-8") as f:
            said = [json.loads(line) for line in f]
        got = [(e["eventId"], e["eventType"], e["chargePointId"], e.get("sequence", 0)) for e in said]
        got = [g for g in got if g[1] not in INTERNAL and g[1] != "gateway.mass_disconnect"]
        self.r.check("tail says the events of the log, with the same ids", got == self.published, (len(got), len(self.published)))


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    r = Report()
    story = Story(sys.argv[2])
    check = Check(sys.argv[1], story, r)
    check.walk(Log(os.path.join(sys.argv[1], "log"), r))
    check.settlements()
    check.swipes()
    check.one_outcome()
    check.tables()
    if len(sys.argv) == 4:
        check.tail(sys.argv[3])
    for row, count in r.shown.items():
        if count > SHOWN_MAX:
            print(f"checker: {row}: {count} times in all")
    print(f"checker: {check.last_position} events, {len(story.settled)} settlements acknowledged, {len(check.started)} transactions "
          f"({sum(map(bool, check.stopped.values()))} stopped), {len(story.swipes)} swipes, {len(check.commands)} commands, "
          f"{check.types['gateway.started']} starts")
    print(f"{r.passed} passed, {r.failed} failed")
    return r.failed != 0 or r.passed == 0


if __name__ == "__main__":
    sys.exit(main())
