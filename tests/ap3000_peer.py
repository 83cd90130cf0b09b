"""Charging piles and hosts for tests, as ap3000.md tells them to behave: a Line is the TCP connection of a module, a Pile and a Host are
units that speak on it. Shares no code with the server. A unit answers what it is asked, keeps settlements until they are answered,
and records all that went and came, with times. A test that wants a unit to behave otherwise sets unit.on[command]."""
import asyncio
import itertools
import struct
import time

from ap3000_codec import ANSWERED, DOWN, UP, Splitter, build, charge_point_of, encode

ICCID = "89860012345678901234"
WAIT_S = 20
NONE, ALL = "00" * 16, "FF" * 16
FREE, CHARGING, PLUGGED, FULL, TRICKLE = 0, 1, 2, 3, 5
SILENT = "silent"       # in on[command]: no answer


class Line:
    """One TCP connection. units: by physical id, those that what comes is given to."""

    def __init__(self, address, iccid=ICCID):
        self.address, self.iccid = getattr(address, "ap3000", address), iccid
        self.units, self.sent, self.received = {}, [], []
        self.splitter, self.task, self.writer = Splitter(DOWN), None, None
        self.ended = asyncio.Event()
        self.source = None          # the local address to come from

    async def connect(self):
        host, port = self.address.rsplit(":", 1)
        self.reader, self.writer = await asyncio.open_connection(host, int(port), local_addr=(self.source, 0) if self.source else None)
        self.ended.clear()
        self.splitter = Splitter(DOWN)
        if self.iccid is not None:
            self.write(self.iccid.encode())
        self.task = asyncio.ensure_future(self._read(self.reader, self.writer))
        return self

    async def _read(self, reader, writer):
        try:
            while data := await reader.read(65536):
                for what, *rest in self.splitter.feed(data):
                    if what == "frame":
                        rest[0].at = time.monotonic()
                        self.received.append(rest[0])
                        unit = self.units.get(rest[0].id)
                        if unit is not None:
                            unit.take(rest[0])
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            if writer is self.writer:
                self.ended.set()

    @property
    def is_open(self):
        return self.writer is not None and not self.ended.is_set()

    @property
    def junk(self):
        """Bytes from the server that were no frame: there are to be none."""
        return self.splitter.dropped + len(self.splitter.buffer)

    def write(self, data):
        self.sent.append((time.monotonic(), data))
        if self.is_open:
            self.writer.write(data)

    async def write_pieces(self, pieces):
        """Each in a segment of its own, as far as the kernel lets one say so."""
        for p in pieces:
            self.write(p)
            await self.writer.drain()
            await asyncio.sleep(0)

    def link(self):
        self.write(b"link")

    def pause(self):
        """The module is there for the kernel and nobody else."""
        self.writer.transport.pause_reading()

    def abort(self):
        if self.writer is not None:
            self.writer.transport.abort()

    async def close(self):
        if self.writer is not None:
            self.writer.close()
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])


class Unit:
    """What has a physical id. log: frames of it, both ways, in order; commands: what the server asked."""

    def __init__(self, line, physical_id):
        self.id, self.line = physical_id, None
        self.log, self.commands, self.waiting, self.on, self.answers = [], [], {}, {}, []
        self.asked_again = asyncio.Event() # a command came since it was cleared
        self.counter = 0
        self.move(line)

    @property
    def charge_point(self):
        return charge_point_of(self.id)

    def move(self, line):
        """Speaks on this line from now on."""
        if self.line is not None and self.line.units.get(self.id) is self:
            del self.line.units[self.id]
        self.line = line
        if line is not None:
            line.units[self.id] = self

    def next_id(self):
        self.counter = self.counter % 65535 + 1
        return self.counter

    def frame(self, command, message_id=None, **fields):
        """The bytes of a frame of ours."""
        message_id = self.next_id() if message_id is None else message_id
        return build(self.id, message_id, command, encode(command, UP, fields))

    def send_raw(self, raw):
        self.log.append((UP, time.monotonic(), raw))
        self.line.write(raw)

    def send(self, command, message_id=None, **fields):
        """Without waiting; the bytes that went."""
        raw = self.frame(command, message_id, **fields)
        self.send_raw(raw)
        return raw

    async def ask_raw(self, raw, timeout=WAIT_S):
        """The answer's frame, None when none came."""
        key = (raw[11], struct.unpack_from("<H", raw, 9)[0])
        future = self.waiting[key] = asyncio.get_running_loop().create_future()
        self.send_raw(raw)
        try:
            return await asyncio.wait_for(future, timeout)
        except asyncio.TimeoutError:
            return None
        finally:
            if self.waiting.get(key) is future:
                del self.waiting[key]

    async def ask_and_see(self, raw, timeout=WAIT_S):
        """The same, its fields."""
        answer = await self.ask_raw(raw, timeout)
        return answer.fields if answer is not None else None

    async def ask(self, command, message_id=None, timeout=WAIT_S, **fields):
        """The fields of the answer; None when none came."""
        return await self.ask_and_see(self.frame(command, message_id, **fields), timeout)

    def take(self, f):
        self.log.append((DOWN, f.at, f.raw))
        if f.command in ANSWERED:
            self.answers.append(f)
            self.on_answer(f)
            future = self.waiting.pop((f.command, f.message_id), None)
            if future is not None and not future.done():
                future.set_result(f)
            return
        self.commands.append(f)
        self.asked_again.set()
        handler = self.on.get(f.command, self.answer)
        fields = handler(f) if callable(handler) else handler
        if isinstance(fields, dict):
            self.reply(f, **fields)

    def reply(self, f, **fields):
        self.send(f.command, f.message_id, **fields)

    def on_answer(self, f):
        pass

    def answer(self, f):
        return {"result": 0} if f.command not in (0x81, 0xE4, 0xFE) else None

    def asked(self, command):
        """The commands of that byte that came, in order."""
        return [f for f in self.commands if f.command == command]

    async def until_asked(self, command, count=1, timeout=WAIT_S):
        """The count-th command of that byte, None when it did not come."""
        end = time.monotonic() + timeout
        while len(self.asked(command)) < count:
            self.asked_again.clear()
            try:
                await asyncio.wait_for(self.asked_again.wait(), max(0, end - time.monotonic()))
            except asyncio.TimeoutError:
                return None
        return self.asked(command)[count - 1]

    def time(self):
        return self.ask(0x22)


class Order:
    """A charge at a port, as the pile's memory has it."""

    def __init__(self, order_no, port, start_mode=1, card="00000000"):
        self.order_no, self.port, self.start_mode, self.card = order_no, port, start_mode, card
        self.duration_s, self.energy_10wh, self.power_dw, self.max_power_dw = 0, 0, 1500, 0
        self.timestamp = int(time.time())   # as it lies in the memory: the same in every repeat

    def advance(self, seconds, energy_10wh, power_dw=1500):
        self.duration_s += seconds
        self.energy_10wh += energy_10wh
        self.power_dw, self.max_power_dw = power_dw, max(power_dw, self.max_power_dw)
        return self

    def beat(self, status=CHARGING):
        """The fields of 0x06."""
        return {"port": self.port, "port_status": status, "duration_s": self.duration_s, "energy_10wh": self.energy_10wh,
                "start_mode": self.start_mode, "power_dw": self.power_dw, "period_max_power_dw": self.max_power_dw,
                "period_min_power_dw": self.power_dw, "period_avg_power_dw": self.power_dw, "order_no": self.order_no,
                "period_energy_raw": 1, "peak_power_dw": self.max_power_dw, "voltage_dv": 2287, "current_ma": 722,
                "ambient_temp_raw": 88, "port_temp_raw": 101, "timestamp": int(time.time()), "occupancy_min": 0}

    def settlement(self, reason=1, **more):
        """The fields of 0x03."""
        return {"duration_s": self.duration_s, "max_power_dw": self.max_power_dw, "energy_10wh": self.energy_10wh, "port": self.port,
                "start_mode": self.start_mode, "card_or_code": self.card, "stop_reason": reason, "order_no": self.order_no,
                "second_max_power_dw": self.max_power_dw, "timestamp": self.timestamp, "occupancy_min": 0, **more}

    def confirmation(self):
        """The fields of 0x04."""
        return {"port": self.port, "start_mode": self.start_mode, "card_or_code": self.card, "duration_s": self.duration_s,
                "order_no": self.order_no}


class Pile(Unit):
    """Sockets, orders, and the memory of what was not settled yet."""

    def __init__(self, line, physical_id, ports=2, device_type=0x21, firmware=205):
        super().__init__(line, physical_id)
        self.status, self.orders, self.eeprom, self.settled = [FREE] * ports, {}, [], []
        self.device_type, self.firmware, self.settles_itself = device_type, firmware, True
        self.memory, self.parameters, self.image, self.started, self.offered = {}, {}, {}, 0, {}
        self.ran = set()            # order numbers

    async def register(self, **more):
        return await self.ask(0x20, **{**self.registration(), **more})

    def registration(self):
        return {"firmware": self.firmware, "port_count": len(self.status), "virtual_id": 0, "device_type": self.device_type,
                "work_mode": 4, "power_board_version": 0}

    def state(self):
        return {"voltage_dv": 2287, "port_count": len(self.status), "port_status": self.status, "signal": 26, "ambient_temp_raw": 90}

    async def heartbeat(self):
        return await self.ask(0x21, **self.state())

    async def swipe(self, card, port=0xFF, message_id=None, card_type=0):
        return await self.ask(0x02, message_id, card_id=card, card_type=card_type, port=port, card_balance_fen=0, timestamp=int(time.time()))

    def plug(self, port):
        self.status[port] = PLUGGED

    def beat(self, port, seconds=300, energy_10wh=2, power_dw=1500, **more):
        """A charging heartbeat; the order goes on by so much first."""
        self.send(0x06, **{**self.orders[port].advance(seconds, energy_10wh, power_dw).beat(), **more})

    def begin(self, order):
        self.orders[order.port], self.status[order.port] = order, CHARGING
        self.ran.add(order.order_no)
        self.started += 1

    def end(self, port, reason=1, **more):
        """The relay opens; the settlement is in the memory before it is on the line."""
        order = self.orders.pop(port)
        self.status[port] = FREE if reason == 5 else FULL
        self.eeprom.append(order.settlement(reason, **more))
        return order

    def offer(self, settlement=None, message_id=None):
        """Sends a settlement of the memory, the oldest if none is told; the bytes."""
        settlement = settlement or self.eeprom[0]
        raw = self.frame(0x03, message_id, **settlement)
        self.offered[struct.unpack_from("<H", raw, 9)[0]] = settlement
        self.send_raw(raw)
        return raw

    async def settle(self, message_id=None, timeout=WAIT_S):
        """Offers the oldest settlement; the fields of the answer, None when none came. What is answered leaves the memory."""
        message_id = self.next_id() if message_id is None else message_id
        self.offered[message_id] = self.eeprom[0]
        return await self.ask(0x03, message_id, timeout, **self.eeprom[0])

    def on_answer(self, f):
        settlement = self.offered.pop(f.message_id, None) if f.command == 0x03 else None
        if settlement is not None and settlement in self.eeprom:
            self.eeprom.remove(settlement)
            self.settled.append(settlement)

    def power_cut(self):
        """The counters begin anew; orders and memory stay (10.5)."""
        self.counter, self.waiting = 0, {}

    # --- commands ---

    def answer(self, f):
        special = {0x81: self.tell_state, 0x82: self.start_or_stop, 0x8A: self.change, 0x87: self.restart, 0x88: self.forget,
                   0x8B: self.read_memory, 0x8C: self.write_memory, 0x72: self.stop_shut}.get(f.command)
        if special is not None:
            return special(f)
        if f.command in (0x83, 0x84, 0x85, 0x86):
            self.parameters[f.command] = f.payload
        if 0x90 <= f.command <= 0x93:
            return {"raw": self.parameters.get(f.command - 13, b"\0" * (11, 23, 8, 13)[f.command - 0x90]).hex()}
        if f.command in (0xE0, 0xE1, 0xE2, 0xF8):
            self.image[f.fields["packet_index"]] = bytes.fromhex(f.fields["data"])
            return {"result": 0, "packet_index": f.fields["packet_index"]}
        return super().answer(f)

    def tell_state(self, _):
        self.send(0x20, **self.registration())
        self.send(0x21, **self.state())

    def start_or_stop(self, f):
        c = f.fields
        return self.start(c) if c["charge_command"] == 1 else self.stop(c)

    def start(self, c):
        port, waiting = c["port"], [i for i, s in enumerate(self.status) if s in (PLUGGED, FULL)]
        back = {"order_no": c["order_no"], "port": port, "waiting_ports": 0}
        if port == 0xFF and len(waiting) != 1:
            return {**back, "result": 5 if waiting else 1, "waiting_ports": sum(1 << i for i in waiting)}
        port = waiting[0] if port == 0xFF else port
        back["port"] = port
        if port >= len(self.status):
            return {**back, "result": 4}
        if port in self.orders:
            return {**back, "result": 2, "order_no": self.orders[port].order_no}
        if c["order_no"] in self.ran:   # a retransmission that comes when all is over
            return {**back, "result": 2}
        if port not in waiting:
            return {**back, "result": 1}
        self.begin(Order(c["order_no"], port))
        return {**back, "result": 0}

    def stop(self, c):
        port, order = c["port"], self.orders.get(c["port"])
        back = {"order_no": c["order_no"], "port": port, "waiting_ports": 0}
        if order is None or order.order_no != c["order_no"]:
            return {**back, "result": 2}
        self.end(port, 7)
        if self.settles_itself:
            asyncio.get_running_loop().call_soon(self.offer)
        return {**back, "result": 0}

    def stop_shut(self, f):
        c = f.fields
        back = self.stop(c)
        return {"result": back["result"], "order_no": c["order_no"]}

    def change(self, f):
        c = f.fields
        order = self.orders.get(c["port"])
        if order is None or c["rate_mode"] > 2:
            return {"result": 1 if order is None else 3}
        used = order.energy_10wh if c["rate_mode"] == 2 else order.duration_s
        return {"result": 2 if c["duration_or_energy"] < used else 0}

    def restart(self, f):
        self.reply(f, result=0)
        self.power_cut()
        self.send(0x20, **self.registration())

    def forget(self, _):
        self.eeprom.clear()
        self.memory.clear()
        return {"result": 0}

    def read_memory(self, f):
        c = f.fields
        return {"result": 0, "data": bytes(self.memory.get(c["address"] + i, 0xFF) for i in range(c["data_len"])).hex()}

    def write_memory(self, f):
        c = f.fields
        self.memory.update(zip(itertools.count(c["address"]), bytes.fromhex(c["data"])))
        return {"result": 0}


class Host(Unit):
    """A host, and the slaves that speak through its module."""

    def __init__(self, line, physical_id, slaves=(), host_type=0x03, firmware=501, ports=2):
        super().__init__(line, physical_id)
        self.host_type, self.firmware, self.image = host_type, firmware, {}
        self.slaves = [Pile(line, s, ports) for s in slaves]

    def move(self, line):
        super().move(line)
        for s in getattr(self, "slaves", ()):
            s.move(line)

    def heartbeat(self, **more):
        self.send(0x11, **{"firmware": self.firmware, "rtc_type": 1, "timestamp": int(time.time()), "signal": 26, "module_type": 6,
                           "iccid": self.line.iccid or "", "host_type": self.host_type, "frequency": 472, **more})

    def versions(self):
        self.send(0x35, count=len(self.slaves), slaves=[{"slave_type": s.device_type, "reserved": 0, "min_firmware": s.firmware,
                                                         "physical_id": f"{s.id:08X}"} for s in self.slaves])

    def time(self):
        return self.ask(0x12)

    def answer(self, f):
        if f.command in (0xE2, 0xF9, 0xFA):
            c = f.fields
            if "packet_index" not in c:
                return {"result": 0, "packet_index": 0}
            self.image[c["packet_index"]] = bytes.fromhex(c["data"])
            return {"result": 0, "packet_index": c["packet_index"]}
        return super().answer(f)
