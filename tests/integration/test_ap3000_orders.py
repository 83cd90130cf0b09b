"""The life of an order, row by row (ap3000.md 10.2), and its settlement under repeats, restarts and power cuts (10.4 to 11.3)."""
from ap3000_kit import ANSWER_S, B, CARD, START, STOP, TAG, Nothing, check, holds, name_of, pile_on, run, sequence_has_no_gap, settle_raw, until
from ap3000_peer import PLUGGED, SILENT, Order
from harness import report

SENT = {"idTag": TAG, "connectorId": 1}


def start_number(f):
    return f.fields["order_no"] if f else Nothing.order_no


async def plain(site):
    """10.1 from the order to its settlement."""
    pile = await pile_on(site)
    pile.plug(1)
    c = await site.command(pile, START, {"idTag": TAG, "connectorId": 2, "rateMode": "time", "durationS": 3600, "balanceFen": 1250, "maxDurationS": 7200, "overloadW": 800})
    f = (pile.asked(0x82) or [None])[0]
    want = {"charge_command": 1, "port": 1, "rate_mode": 0, "balance_or_expiry": 1250, "duration_or_energy": 3600, "max_duration_s": 7200,
            "overload_power_dw": 8000, "short_check": 2, "qr_light": 0, "long_charge": 0, "extra_float_s": 0, "ignore_unplug": 0,
            "force_full_stop": 0, "full_power_w": 0, "full_power_max_min": 0}
    check("7.2 a start is sent in its full form", f and len(f.payload) == 38 and holds(f.fields, want), f and f.fields)
    check("10.6 its order number is none of a pile's", start_number(f)[:2] not in ("19", "20", "00") and len(start_number(f)) == 32, f)
    check("10.2 answer 0 is success", (c.get("outcome"), c.get("status")) == ("answered", "Accepted"), c)
    order = pile.orders.get(1, Nothing)
    e = await site.event(pile, "10.2 confirmed: the transaction has begun", "transaction.started", orderNo=order.order_no, connectorId=2, idTag=TAG, offline=False, meterStartWh=0)
    id_ = e["payload"]["transactionId"] if e else ""
    check("3.3 nothing is sent in reply to the answer", len(pile.commands) == 1, pile.commands)
    await pile.heartbeat()
    pile.beat(1, 300, 2)
    pile.beat(1, 300, 2)
    await site.event(pile, "6.6 each 0x06 brings values", "transaction.meter_values", 2, transactionId=id_, connectorId=2)
    await site.refused(pile, "a second start on that port is refused", START, {"idTag": TAG, "connectorId": 2})
    c = await site.command(pile, STOP, {"transactionId": int(id_ or 0)})
    f = pile.asked(0x82)[-1]
    check("7.2 a stop names order and port", holds(f.fields, {"charge_command": 0, "port": 1, "order_no": order.order_no}), f.fields)
    check("10.2 a stop is answered", c.get("status") == "Accepted", c)
    e = await site.event(pile, "10.1 the settlement ends it", "transaction.stopped", transactionId=id_, energyWh=40, meterStartWh=0, meterStopWh=40, orderNo=order.order_no)
    check("5.3 by the server is Remote", e and e["payload"]["reason"] == "Remote", e)
    await until(lambda: pile.settled and not pile.eeprom, "10.4 the settlement is answered")
    t = await site.transaction(id_, "the table says so too", state="closed", energy_wh=40, connector_id=2, id_tag=TAG, charge_point_id=name_of(pile))
    check("and why", t and t["stop_reason"] == "Remote", t)
    await sequence_has_no_gap(site, pile)


RATES = [("time", {"durationS": 3600}, 0, 3600), ("time", {}, 0, 0), ("monthly", {}, 1, 0), ("energy", {"energyWh": 1500}, 2, 150), ("count", {}, 3, 0)]
REASONS = [(1, None), (2, None), (3, None), (4, None), (5, "EVDisconnected"), (6, None), (7, "Remote"), (9, None), (0x10, None), (0x16, None), (0x17, "Remote"), (0x1C, None), (0x77, "Other")]
OCPP_REASONS = {"DeAuthorized", "EmergencyStop", "EVDisconnected", "HardReset", "Local", "Other", "PowerLoss", "Reboot", "Remote", "SoftReset", "UnlockCommand"}


async def modes_and_reasons(site):
    pile = await pile_on(site)
    for (word, more, mode, amount), (reason, ocpp) in zip(RATES * 3, REASONS):
        order, id_ = await site.charge(pile, 0, rateMode=word, **more)
        f = pile.asked(0x82)[-1]
        check(f"5.7 rate mode {word}", holds(f.fields, {"rate_mode": mode, "duration_or_energy": amount}), f.fields)
        if order is Nothing:
            continue
        order.advance(60, reason)
        pile.end(0, reason)
        check(f"10.4 a settlement of reason {reason} is answered", holds(await pile.settle(), {"result": 0}))
        e = await site.event(pile, f"5.3 reason {reason}", "transaction.stopped", transactionId=id_, energyWh=reason * 10)
        check(f"5.3 reason {reason} in OCPP's words", e and (e["payload"]["reason"] == ocpp if ocpp else e["payload"]["reason"] in OCPP_REASONS), e)
    for row, payload in (("an unknown mode", {"rateMode": "weekly"}), ("a duration past its field", {"rateMode": "time", "durationS": 65536}), ("an energy past its field", {"rateMode": "energy", "energyWh": 655360}), ("a balance that would be a date", {"balanceFen": 100000001})):
        await site.refused(pile, f"7.2 {row} is refused", START, {**SENT, **payload}, (400, 422))


async def any_port(site):
    """0xFF: the pile chooses."""
    pile = await pile_on(site)
    pile.plug(1)
    c = await site.command(pile, START, {"idTag": TAG})
    f = (pile.asked(0x82) or [None])[0]
    check("7.2 without a connector the pile chooses", f and f.fields["port"] == 0xFF, f)
    await site.event(pile, "10.2 the real port is kept", "transaction.started", connectorId=2, orderNo=start_number(f))
    pile.orders.clear()
    pile.status = [PLUGGED, PLUGGED]
    c = await site.command(pile, START, {"idTag": TAG})
    check("5.8 several waiting: refused, with the ports", (c.get("outcome"), c.get("reason")) == ("answered", "DEVICE_REJECTED") and "3" in str(c.get("response")), c)


def answering(code):
    return lambda f: {"result": code, "order_no": f.fields["order_no"], "port": f.fields["port"], "waiting_ports": 0}


async def refused(site):
    """10.2: answers 1, 4, 5, 6 end it; 7 to 0x0D too unless evidence comes; 9 is success."""
    pile = await pile_on(site)
    for code in (1, 4, 6):
        pile.on[0x82] = answering(code)
        c = await site.command(pile, START, SENT)
        check(f"5.8 answer {code} is a refusal", (c.get("outcome"), c.get("reason")) == ("answered", "DEVICE_REJECTED"), c)
        check(f"5.8 answer {code} is told", str(code) in str(c.get("response")), c)
    check("10.2 each time the port was free again", len(pile.asked(0x82)) == 3, pile.asked(0x82))
    await site.quiet(pile, "10.2 no transaction begins", "transaction.started")
    for code in (7, 8, 0x0A, 0x0B, 0x0C, 0x0D):
        doubtful = await pile_on(site, 0x05000100 + code)
        doubtful.on[0x82] = answering(code)
        c = await site.command(doubtful, START, SENT)
        check(f"5.8 answer {code} is a refusal too", (c.get("outcome"), c.get("reason")) == ("answered", "DEVICE_REJECTED"), c)
        await site.quiet(doubtful, f"10.2 after answer {code} no transaction begins", "transaction.started")
    order = Order(start_number(doubtful.asked(0x82)[0]), 0).advance(300, 2)
    doubtful.send(0x06, **order.beat())
    await site.event(doubtful, "10.2 failed, and seen to run all the same: it is open again", "transaction.started", orderNo=order.order_no, connectorId=1)
    pile.on[0x82] = answering(9)
    c = await site.command(pile, START, SENT)
    check("5.8 answer 9 is success", c.get("status") == "Accepted", c)
    await site.event(pile, "10.2 with a transaction", "transaction.started", orderNo=start_number(pile.asked(0x82)[-1]), connectorId=1)
    await site.event(pile, "10.2 and an alarm for maintenance", "device.alarm")


async def uncertain(site):
    """10.2: answers that do not tell; evidence decides."""
    pile = await pile_on(site)
    for code, port in ((3, 0), (0x0E, 1)):
        pile.on[0x82] = answering(code)
        await site.command(pile, START, {"idTag": TAG, "connectorId": port + 1}, wait_s=3)
        f = pile.asked(0x82)[-1]
        await site.quiet(pile, f"5.8 answer {code}: nothing has begun yet", "transaction.started", orderNo=start_number(f))
        order = Order(start_number(f), port).advance(12, 0)
        if code == 3:
            check("6.4 a confirmation is answered", holds(await pile.ask(0x04, **order.confirmation()), {"port": port, "result": 0}))
        else:
            pile.send(0x06, **order.advance(300, 2).beat())
        await site.event(pile, f"10.2 uncertain after answer {code}, then seen to run", "transaction.started", orderNo=order.order_no, connectorId=port + 1, offline=False)
    other = await pile_on(site, B)
    other.on[0x82] = {"result": 0x55}
    await site.command(other, START, SENT, wait_s=3)
    await other.heartbeat()
    await other.heartbeat()
    await site.quiet(other, "10.2 two heartbeats show that nothing runs", "transaction.started")
    del other.on[0x82]
    order, _ = await site.charge(other, 0)
    check("10.2 the port is free for the next", order is not Nothing)


async def already(site):
    """10.3: answer 2."""
    pile = await pile_on(site)
    pile.on[0x82] = answering(2)
    await site.command(pile, START, SENT, wait_s=3)
    f = pile.asked(0x82)[-1]
    await site.quiet(pile, "10.3 answer 2 alone begins nothing", "transaction.started")
    pile.send(0x06, **Order(start_number(f), 0).advance(300, 2).beat())
    await site.event(pile, "10.3 answer 2 and evidence: it runs", "transaction.started", orderNo=start_number(f))
    other = await pile_on(site, B)
    other.begin(Order("A5" + "11" * 15, 0))
    await site.command(other, START, SENT, wait_s=3)
    await other.heartbeat()
    other.beat(0)
    await other.heartbeat()
    await site.quiet(other, "10.3 another order has the port: failed", "transaction.started", orderNo=start_number(other.asked(0x82)[-1]))


async def no_answer(site):
    """10.2: 15 s, one retransmission, then uncertain; evidence before any answer."""
    pile = await pile_on(site)
    pile.on[0x82] = SILENT
    command = site.begin(pile, START, SENT)
    second = await pile.until_asked(0x82, 2)
    first = pile.asked(0x82)[0]
    check("3.3 the retransmission is the same bytes", second and second.raw == first.raw)
    check("3.1 after the time for an answer", second and 0.8 * ANSWER_S < second.at - first.at < 4 * ANSWER_S, second and second.at - first.at)
    c = await command
    check("10.2 then its outcome is unknown", (c.get("outcome"), c.get("reason")) == ("unknown", "NO_ANSWER"), c)
    check("10.2 and the pile is asked for its state", await pile.until_asked(0x81))
    check("3.1 there is no third", len(pile.asked(0x82)) == 2, pile.asked(0x82))
    asked = len(pile.asked(0x81))
    await site.back(pile)
    await pile.heartbeat()
    check("10.2 again when it comes back", await pile.until_asked(0x81, asked + 1))
    order = Order(start_number(first), 0).advance(300, 2)
    pile.send(0x06, **order.beat())
    await site.event(pile, "10.2 seen to run: it runs", "transaction.started", orderNo=order.order_no)
    other = await pile_on(site, B)
    other.on[0x82] = lambda f: other.send(0x04, port=0, start_mode=1, card_or_code="00000000", duration_s=1, order_no=f.fields["order_no"])
    command = site.begin(other, START, SENT)
    await site.event(other, "10.2 evidence comes before the answer, which never comes", "transaction.started", connectorId=1)
    await command
    await site.quiet(other, "10.2 it has begun once", "transaction.started", after=1)
    third = await pile_on(site, 0x05000001)
    third.on[0x82] = lambda f: third.answer(f) if len(third.asked(0x82)) == 2 else SILENT
    third.plug(0)
    c = await site.command(third, START, SENT)
    check("3.1 an answer to the retransmission counts", c.get("status") == "Accepted" and third.started == 1, c)


async def stopping(site):
    """10.2: how a stop may go."""
    pile = await pile_on(site)
    order, id_ = await site.charge(pile, 0)
    pile.on[0x82] = answering(2)
    await site.command(pile, STOP, {"transactionId": int(id_ or 0)})
    pile.orders.pop(0, None)
    check("10.2 answer 2 to a stop: the settlement is waited for", holds((await site.get(f"/transactions/{id_}")), {"state": "open"}))
    check("10.4 it comes", holds(await pile.ask_and_see(settle_raw(pile, order.advance(60, 3))), {"result": 0}))
    await site.transaction(id_, "10.2 and settles it", state="closed", energy_wh=30)
    del pile.on[0x82]
    order, id_ = await site.charge(pile, 0)
    before = len(pile.asked(0x82))
    pile.on[0x82] = SILENT
    c = await site.command(pile, STOP, {"transactionId": int(id_ or 0)}, wait_s=10)
    check("10.2 a stop without an answer is unknown", (c.get("outcome"), c.get("reason")) == ("unknown", "NO_ANSWER"), c)
    for n in range(1, 7):
        await pile.heartbeat()
        await pile.until_asked(0x82, before + 2 * n, 4 * ANSWER_S)
    stops = {f.message_id for f in pile.asked(0x82)[before:]}
    check("10.2 it is tried again on a heartbeat, three times at most", 2 <= len(stops) <= 4, stops)
    check("10.2 and charges on for us", holds(await site.get(f"/transactions/{id_}"), {"state": "open"}))
    check("a transaction that nobody has is refused", (await site.call("POST", f"/charge-points/{name_of(pile)}/commands", {"action": STOP, "payload": {"transactionId": 1}})).status in (200, 409, 422))


async def one_at_a_time(site):
    """3.3: what changes a port's state waits for what went before; gateway-contract.md 2.6."""
    pile = await pile_on(site)
    order, id_ = await site.charge(pile, 0)
    held = []
    pile.on[0x8A] = lambda f: held.append(f) or SILENT
    first = site.begin(pile, 0x8A, {"port": 0, "rate_mode": 0, "duration_or_energy": 7200})
    await until(lambda: held, "a change is on its way")
    stops = len(pile.asked(0x82))
    second = site.begin(pile, STOP, {"transactionId": int(id_ or 0)})
    await pile.heartbeat()
    await pile.time()
    check("3.3 while it is, no stop is sent", len(pile.asked(0x82)) == stops, pile.commands)
    pile.reply(held[0], result=0)
    c, d = await first, await second
    check("3.3 then it is", c.get("status") == "Accepted" and d.get("status") == "Accepted" and len(pile.asked(0x82)) == stops + 1, (c, d))
    await site.transaction(id_, "3.3 both were done", state="closed")
    # ended, and yet it charges on
    order, id_ = await site.charge(pile, 0)
    pile.on[0x82] = answering(0)
    await site.command(pile, STOP, {"transactionId": int(id_ or 0)})
    del pile.on[0x82]
    stops = len(pile.asked(0x82))
    pile.beat(0, 300, 4)
    await site.event(pile, "10.2 a stopped order that sends values runs again", "transaction.meter_values", transactionId=id_)
    # Whoever is first, the server that wanted it stopped or a person.
    await site.call("POST", f"/charge-points/{name_of(pile)}/commands", {"action": STOP, "payload": {"transactionId": int(id_ or 0)}})
    check("10.2 and is stopped again", await pile.until_asked(0x82, stops + 1))
    await site.transaction(id_, "10.2 which ends it", state="closed", energy_wh=40)


async def queued(site):
    """10.4 and 10.5: settlements that come late, and in the wrong company."""
    pile = await pile_on(site)
    first, one = await site.charge(pile, 0)
    first.advance(600, 7)
    await pile.line.close()
    await site.event(pile, "the pile is lost", "charge_point.disconnected")
    c = await site.command(pile, START, {"idTag": TAG, "connectorId": 2}, expires_in_s=1)
    check("10.2 to a pile that is gone nothing is sent", (c.get("outcome"), c.get("reason")) == ("not_sent", "DEVICE_OFFLINE"), c)
    check("10.5 nothing ends an order because its pile is gone", holds(await site.get(f"/transactions/{one}"), {"state": "open"}))
    pile.end(0, 1)
    await site.back(pile)
    check("10.2 a heartbeat after it", await pile.heartbeat())
    second = Order("20260115093012" + CARD + "1354400030", 0, 0, CARD)
    pile.begin(second)      # the pile was alone: its next customer had a card
    pile.beat(0, 60, 1)
    e = await site.event(pile, "11.2 the next order is seen", "transaction.started", orderNo=second.order_no, offline=True)
    two = e["payload"]["transactionId"] if e else ""
    check("10.4 a settlement after a reconnect is answered, though the next order runs", holds(await pile.settle(), {"result": 0}))
    await site.transaction(one, "10.4 it belongs to its number", state="closed", energy_wh=70)
    check("10.4 not to the order at its port", holds(await site.get(f"/transactions/{two}"), {"state": "open"}))
    pile.power_cut()
    await site.back(pile)
    await pile.register()
    pile.beat(0, 300, 2)
    await site.event(pile, "10.5 after a power cut the order goes on", "transaction.meter_values", 2, transactionId=two)
    await site.quiet(pile, "10.5 and is no new one", "transaction.started", after=2)
    pile.send(0x43, **second.settlement(1))
    await site.event(pile, "6.13 its end without a settlement is told", "connector.status_changed", status="Finishing", connectorId=1)
    check("6.13 nothing is booked", holds(await site.get(f"/transactions/{two}"), {"state": "open"}))
    pile.end(0, 1)
    check("10.4 until it settles", holds(await pile.settle(), {"result": 0}))
    await site.transaction(two, "10.5 it settles", state="closed")


def main():
    for part in (plain, modes_and_reasons, any_port, refused, uncertain, already, no_answer, stopping, one_at_a_time, queued):
        run(part)
    report()


main()
