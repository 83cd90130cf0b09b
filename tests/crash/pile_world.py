"""Piles that live through the kills of their server: swipes, starts, offline orders, and a memory of settlements that are offered until
they are answered. They are the peers of ap3000_peer.py; what they said and were told is in the journal, which pile_checker.py reads:
swipe (one of a person: s pile, card, port), card (its answer), ran (an order that the pile carried out), settle (o order number, e
energy), settled (it was answered), command.ask, command.told, command.in."""
import asyncio
import os
import sys
import time
from collections import Counter
from datetime import datetime, timedelta

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ap3000_peer import FREE, Line, Order, Pile

ANSWER_S = 0.5
HOST_EVERY, SLAVES = 4, 3       # each fourth line has several piles
TWICE, OFFLINE = 0.25, 0.3


class CrashPile(Pile):
    def __init__(self, world, line, number):
        super().__init__(line, 0x04000000 + 7000000 + number)
        self.world, self.rng, self.number, self.swipes, self.offline = world, world.rng, number, 0, 0
        self.is_finishing, self.has_registered = False, False
        self.settles_itself = False     # the memory has a loop of its own
        self.told = {}                  # settlement -> times that it was answered
        self.tasks = []
        self.heard = asyncio.Event()    # a frame of the server

    def begin(self, order):
        super().begin(order)
        self.world.journal.add("ran", s=self.charge_point, o=order.order_no, port=order.port)

    def take(self, f):
        self.heard.set()                # who waits looks when this frame has been taken
        if f.command not in (0x01, 0x02, 0x03, 0x04, 0x12, 0x20, 0x21, 0x22):
            self.world.journal.add("command.in", s=self.charge_point, c=f.command, id=f.message_id, raw=f.raw.hex())
        if f.command == 0x82 and self.rng.random() < 0.05:
            self.commands.append(f)     # it says nothing: evidence or the settlement will tell
            if f.fields["charge_command"] == 1:
                self.start(f.fields)
            return
        super().take(f)

    def run(self):
        self.tasks = [asyncio.ensure_future(t) for t in (self.port_life(0), self.port_life(1), self.memory_life(), self.beats())]

    def leave(self):
        for t in self.tasks:
            t.cancel()

    async def pause(self, s):
        await asyncio.sleep(self.rng.expovariate(1 / (s + self.world.think_s)))

    async def until(self, is_so, timeout_s):
        """Looks again at each frame that comes; no longer than the line lasts."""
        end, ended = time.monotonic() + timeout_s, asyncio.ensure_future(self.line.ended.wait())
        try:
            while not is_so() and not ended.done() and time.monotonic() < end:
                self.heard.clear()
                heard = asyncio.ensure_future(self.heard.wait())
                try:
                    await asyncio.wait({heard, ended}, timeout=max(0, end - time.monotonic()), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    heard.cancel()
        finally:
            ended.cancel()

    async def beats(self):
        while True:
            if self.line.is_open:
                if not self.has_registered or self.rng.random() < 0.1:
                    self.has_registered = await self.ask(0x20, timeout=ANSWER_S, **self.registration()) is not None
                    if self.has_registered:
                        self.world.on_boot()
                else:
                    await self.ask(0x21, timeout=ANSWER_S, **self.state())
            await self.pause(0.2)

    async def port_life(self, port):
        while True:
            await self.pause(0.05)
            if port in self.orders:
                await self.charge_on(port)
            elif self.is_finishing or len(self.eeprom) > 4:
                continue
            elif self.rng.random() < OFFLINE:
                self.begin_offline(port)
            elif self.line.is_open:
                self.plug(port)
                await self.swipe_at(port)

    def begin_offline(self, port):
        """The pile alone: an order number of its own."""
        self.offline += 1
        card = f"{0xA000 + self.number:04X}{self.offline:04X}"
        clock = datetime(2026, 1, 1) + timedelta(minutes=self.offline)
        self.begin(Order(f"{clock:%Y%m%d%H%M%S}{card}{self.id & 0xFFFFFF:08d}{30 + port}", port, 0, card))

    async def swipe_at(self, port):
        """One swipe of a card that is used once; its frame goes again, to the byte, while there is no answer."""
        self.swipes += 1
        card = f"{0xC000 + self.number:04X}{self.swipes:04X}"
        raw = self.frame(0x02, card_id=card, card_type=0, port=port, card_balance_fen=0, timestamp=int(time.time()))
        self.world.journal.add("swipe", s=self.charge_point, card=card, port=port)
        for _ in range(4):
            answer = await self.ask_and_see(raw, ANSWER_S) if self.line.is_open else await asyncio.sleep(ANSWER_S / 2)
            if answer is not None:
                self.world.journal.add("card", s=self.charge_point, card=card, status=answer["account_status"])
                self.world.answered += 1
                break
        if self.rng.random() < TWICE and self.line.is_open:
            self.send_raw(raw)          # the answer was lost, not the frame
        await self.until(lambda: port in self.orders, 1.5)

    async def charge_on(self, port):
        order = self.orders[port]
        order.advance(self.rng.randrange(1, 300), self.rng.randrange(1, 9))
        if self.line.is_open and self.rng.random() < 0.7:
            self.send(0x06, **order.beat())
        elif self.line.is_open:
            await self.ask(0x04, timeout=ANSWER_S, **order.confirmation())
        if self.orders.get(port) is order and (self.is_finishing or self.rng.random() < 0.3):
            self.end(port, self.rng.choice((1, 1, 5)))

    def end(self, port, reason=1, **more):
        order = super().end(port, reason, **more)
        self.status[port] = FREE
        self.world.journal.add("settle", s=self.charge_point, o=order.order_no, e=order.energy_10wh, mode=order.start_mode, card=order.card)
        return order

    async def memory_life(self):
        while True:
            await self.pause(0.02)
            if not self.eeprom or not self.line.is_open:
                continue
            settlement = self.eeprom[0]
            raw = self.offer(settlement)
            await self.until(lambda: settlement not in self.eeprom, ANSWER_S)
            if settlement not in self.eeprom and self.rng.random() < TWICE and self.line.is_open:
                self.send_raw(raw if self.rng.random() < 0.5 else self.frame(0x03, **settlement))

    def on_answer(self, f):
        before = len(self.settled)
        super().on_answer(f)
        if len(self.settled) > before:
            s, on_told = self.settled[-1], self.world.on_told
            if on_told is not None:
                on_told()
                self.world.on_told = None
            self.world.answered += 1
            self.world.journal.add("settled", s=self.charge_point, o=s["order_no"], e=s["energy_10wh"])

    def say_again(self):
        """All that it has ever settled, once more."""
        for s in self.settled[-20:]:
            self.send(0x03, **s)

    def is_idle(self):
        return not self.eeprom and not self.orders and self.line.is_open


class PileWorld:
    """The piles of a run, on their lines; what test_crash.py asks of a world."""

    def __init__(self, server, journal, rng, count, think_s):
        self.server, self.journal, self.rng, self.think_s = server, journal, rng, think_s
        self.answered, self.wrong, self.closes = 0, [], Counter()
        self.first_boot = self.boot_wait = self.on_told = None
        self.stations, self.lines, self.coming = [], [], set()
        self.is_running = self.is_over = False
        while len(self.stations) < count:
            line = Line(server.ap3000, f"8986{len(self.lines):016d}")
            line.piles = [CrashPile(self, line, len(self.stations) + i) for i in range(SLAVES if len(self.lines) % HOST_EVERY == 0 else 1)]
            self.stations += line.piles
            self.lines.append(line)

    def on_boot(self):
        if self.boot_wait is not None:
            self.first_boot = time.monotonic() - self.boot_wait
            self.boot_wait = None

    async def connect(self, line):
        if line in self.coming or line.is_open:
            return
        self.coming.add(line)
        try:
            while self.server.is_ready:
                try:
                    await line.connect()
                    break
                except OSError:
                    await asyncio.sleep(0.05)
            else:
                return
        finally:
            self.coming.discard(line)
        for p in line.piles:
            p.has_registered = p.has_registered and self.rng.random() < 0.5
        await line.ended.wait()
        if line.splitter.dropped:
            self.wrong.append((line.iccid, "bytes that are no frame", line.splitter.dropped))
        if self.server.is_ready:
            await asyncio.sleep(self.rng.uniform(0.02, 0.3))
            asyncio.ensure_future(self.connect(line))

    def come_back(self, within_s=0.1):
        if not self.is_running:
            self.is_running = True
            for p in self.stations:
                p.run()
        loop = asyncio.get_running_loop()
        for line in self.lines:
            loop.call_later(self.rng.uniform(0, within_s), lambda line=line: asyncio.ensure_future(self.connect(line)))

    def disturb(self):
        """A line is cut, or a pile loses its power."""
        line = self.rng.choice(self.lines)
        if line.is_open and self.rng.random() < 0.3:
            line.abort()
        elif self.rng.random() < 0.3:
            p = self.rng.choice(line.piles)
            p.power_cut()
            p.has_registered = False

    def stop(self):
        for p in self.stations:
            p.leave()
