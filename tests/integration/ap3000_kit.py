"""What the AP3000 tests need of the server's other side, awaited: events, commands, tables. The piles are in ap3000_peer.py."""
import asyncio
import os
import sys
import time
import traceback
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from ap3000_peer import Line, Pile, Unit
from harness import WAIT_S, Server, check

# Times that a test can wait for.
ANSWER_S = 1
SETS = (f"ap3000.answer_timeout_s={ANSWER_S}", "ap3000.frame_spacing_ms=20", "ap3000.line_frames_per_s=1000", "authorization.max_concurrent=0")
CARD, TAG = "7A8D05DD", "TAG1"
A, B, SLAVE = 0x04CEAA40, 0x04D728D6, 0x04AB373B
HOST_ID = 0x09D62684

# The names of commands at the API, in one place.
START, STOP = "RemoteStartTransaction", "RemoteStopTransaction"
COMMAND = {
    0x34: "Ap3000.SetServerAddress", 0x31: "Ap3000.RebootHost", 0x32: "Ap3000.RebootModule", 0x33: "Ap3000.DropFirmware", 0x3A: "Ap3000.SetFsk",
    0x72: "Ap3000.StopKeepingDoor", 0x81: "Ap3000.AskStatus", 0x82: "Ap3000.Start", 0x83: "Ap3000.SetParameters1", 0x84: "Ap3000.SetParameters2",
    0x85: "Ap3000.SetLimits", 0x86: "Ap3000.SetCardKeys", 0x87: "Ap3000.Reboot", 0x88: "Ap3000.ClearMemory", 0x8A: "Ap3000.ChangeCharge",
    0x8B: "Ap3000.ReadEeprom", 0x8C: "Ap3000.WriteEeprom", 0x8D: "Ap3000.SetWorkMode", 0x8E: "Ap3000.SetQrBase", 0x8F: "Ap3000.SetCardMode",
    0x90: "Ap3000.GetParameters1", 0x91: "Ap3000.GetParameters2", 0x92: "Ap3000.GetLimits", 0x93: "Ap3000.GetCardKeys", 0x95: "Ap3000.ShowQr",
    0x96: "Ap3000.Find", 0x97: "Ap3000.SetMute", 0x98: "Ap3000.OpenDoor", 0xE4: "Ap3000.SelfUpgrade",
}
# 13.3: these say that they are meant.
GUARDED = {0x31, 0x32, 0x34, 0x86, 0x87, 0x88, 0x8C, 0xE4}


def is_as(have, want):
    if callable(want):
        return want(have)
    if isinstance(want, dict):
        return holds(have, want)
    return have == want


def holds(have, want):
    """Whether everything of want is in have: None is not there, a callable is asked, an order number may be in capitals."""
    return isinstance(have, dict) and all(have.get(k) is None if v is None else k in have and (
        have[k].lower() == v.lower() if k == "orderNo" else is_as(have[k], v)) for k, v in want.items())


async def until(condition, row, timeout=WAIT_S):
    """Calls condition, plain or async, until it gives something true: that, or a failed check and None."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        value = await value if asyncio.iscoroutine(value) else value
        if value:
            return value
        if time.monotonic() > end:
            check(row, False, "timed out")
            return None
        await asyncio.sleep(0.01)


def name_of(unit):
    return unit.charge_point if isinstance(unit, Unit) else unit


class Site:
    """A server, from the side of who asks it."""

    def __init__(self, server):
        self.server, self.seen = server, set()

    async def known(self, unit):
        """A registration is answered at once, whatever the log does (3.3): the API may know the pile a moment later."""
        name = name_of(unit)
        if name not in self.seen:
            await until(lambda: self.point(unit), f"{name} is known")
            self.seen.add(name)

    async def call(self, method, path, body=None, **more):
        return await asyncio.to_thread(self.server.call, method, path, body, **more)

    async def get(self, path):
        return (await self.call("GET", path)).data

    async def put(self, unit, **body):
        r = await self.call("PUT", "/charge-points/" + name_of(unit), body)
        check(f"{name_of(unit)} is changed: {body}", r.status in (200, 201), r.text)
        return r.data

    async def point(self, unit):
        return await self.get("/charge-points/" + name_of(unit)) or {}

    async def list(self, path, **query):
        """All rows of a list by cursor, or of its first hundred by page."""
        rows, cursor = [], None
        while True:
            q = {**query, "limit": 1000, **({"cursor": cursor} if cursor else {})}
            r = await self.call("GET", path + "?" + urllib.parse.urlencode(q))
            if not check(f"{path} is listed", r.status == 200, r.text):
                return rows
            rows += r.data["list"]
            cursor = r.data.get("next_cursor")
            if not cursor or not r.data["list"]:
                return rows

    async def events(self, unit, *types, **payload):
        got = await self.list("/events", charge_point_id=name_of(unit))
        return [e for e in got if (not types or e["eventType"] in types) and holds(e["payload"], payload)]

    async def event(self, unit, row, type_, count=1, **payload):
        """The count-th such event, waited for."""
        async def there():
            got = await self.events(unit, type_, **payload)
            return got[count - 1] if len(got) >= count else None
        e = await until(there, row)
        if e is None:
            print("  there are:", [(e["eventType"], e["payload"]) for e in await self.events(unit)][-6:], flush=True)
        return check(row, e is not None) and e

    async def quiet(self, unit, row, *types, after=None, **payload):
        """No such event (past those known before), once what was said before has been answered: unit is asked for the time first."""
        await unit.time()
        got = await self.events(unit, *types, **payload)
        return check(row, len(got) == (after or 0), [(e["eventType"], e["payload"]) for e in got])

    async def command(self, unit, action, payload=None, wait_s=20, **more):
        """What the API says of a command once it is done."""
        await self.known(unit)
        if action in GUARDED:
            payload = {**(payload or {}), "confirm": True}
        action = action if isinstance(action, str) else COMMAND[action]
        r = await self.call("POST", f"/charge-points/{name_of(unit)}/commands", {"action": action, "payload": payload or {}, "wait_s": wait_s, **more})
        if not check(f"{action} is taken on", r.status in (200, 202), r.text):
            return {}
        return r.data

    def begin(self, unit, action, payload=None, **more):
        """The same, to be awaited later."""
        return asyncio.ensure_future(self.command(unit, action, payload, **more))

    async def refused(self, unit, row, action, payload, statuses=(409, 422)):
        action = action if isinstance(action, str) else COMMAND[action]
        r = await self.call("POST", f"/charge-points/{name_of(unit)}/commands", {"action": action, "payload": payload, "wait_s": 5})
        return check(row, r.status in statuses or r.status == 200 and r.data["outcome"] == "not_sent", (r.status, r.text))

    async def charge(self, pile, port, tag=TAG, **more):
        """A charge that runs: its order at the pile, and the id of its transaction."""
        pile.plug(port)
        c = await self.command(pile, START, {"idTag": tag, "connectorId": port + 1, **more})
        order = pile.orders.get(port)
        if not check("a charge begins", c.get("outcome") == "answered" and order is not None, c):
            return Nothing, ""
        e = await self.event(pile, "a charge has its transaction", "transaction.started", orderNo=order.order_no)
        return order, e["payload"]["transactionId"] if e else ""

    async def transaction(self, id_, row, **want):
        """The row of a transaction, once it is so."""
        async def is_so():
            t = await self.get(f"/transactions/{id_}")
            return t if t and holds(t, want) else None
        t = await until(is_so, row)
        if t is None:
            print("  it is:", await self.get(f"/transactions/{id_}"), flush=True)
        return check(row, t is not None) and t

    async def transactions(self, unit):
        return (await self.get(f"/transactions?charge_point_id={name_of(unit)}&page_size=100") or {}).get("list", [])

    async def quarantined(self, unit):
        return (await self.get(f"/quarantine?charge_point_id={name_of(unit)}&page_size=100") or {}).get("list", [])

    async def shown(self, unit, raw, row):
        """The frame is in the view of messages, as bytes."""
        async def there():
            rows = await self.list(f"/charge-points/{name_of(unit)}/messages")
            return [m for m in rows if raw.hex() in m["text"].lower().replace(" ", "")]
        return await until(there, row)

    async def restart(self, *units, kill=True):
        """Another life of the server; the units come back on new lines."""
        await asyncio.to_thread(self.server.kill if kill else self.server.stop)
        await asyncio.to_thread(self.server.start)
        await self.back(*units)

    async def back(self, *units):
        """New lines for these units; those that shared one share one."""
        lines = {}
        for u in units:
            old = u.line
            if old not in lines:
                await old.close()
                lines[old] = await Line(self.server, old.iccid).connect()
            u.move(lines[old])


class Nothing:
    """An order that did not come to be: what follows fails by its rows and not by an exception."""
    order_no = "00" * 16


def settle_raw(pile, order, message_id=None, **more):
    """The bytes of a settlement of this order."""
    return pile.frame(0x03, message_id, **order.settlement(**more))


async def sequence_has_no_gap(site, *units):
    for u in units:
        got = [e["sequence"] for e in await site.events(u)]
        check(f"{name_of(u)}: the sequence rises by one", got == list(range(1, len(got) + 1)), got)


def run(part, *sets, **more):
    """One part of a test, with a server of its own; sets take the place of what is usual."""
    began, named = time.monotonic(), {s.split("=", 1)[0] for s in sets}
    sets = [s for s in SETS if s.split("=", 1)[0] not in named] + list(sets)

    async def inside(server):
        site = Site(server)
        server.accept_tag(TAG, max_concurrent=0)
        server.accept_tag(CARD, max_concurrent=0)
        try:
            await part(site)
        except Exception:
            check(f"{part.__name__} comes to its end", False, traceback.format_exc())

    with Server(*sets, **more) as server:
        asyncio.run(inside(server))
        log = server.log()
        check(f"{part.__name__}: the server finds nothing wrong with itself", "level=error" not in log, [l for l in log.splitlines() if "level=error" in l][:3])
    print(f"{part.__name__}: {time.monotonic() - began:.1f} s", flush=True)


async def pile_on(site, physical_id=A, ports=2, iccid="89860012345678901234", **more):
    """A pile that is registered, on a line of its own."""
    pile = Pile(await Line(site.server, iccid).connect(), physical_id, ports, **more)
    check(f"{pile.charge_point} registers", holds(await pile.register(), {"result": 0}))
    await site.known(pile)
    return pile
