"""The other side of `desk_process`: sends commands, keeps its own ledger of what was acknowledged."""

import asyncio
import itertools
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from streaming.owner.journal_fold import JournalReader
from streaming.transport.client import BrokerClient
from streaming.transport.connect import connect
from tests.trading.orders.builders import limits_body, submit
from trading.commands import AnyCommand, Deposit, OpenAccount, SetLimits, encode_command
from trading.events import OrderAccepted
from trading.orders.journal import verify
from trading.schemas import ORDERS_JOURNAL

ROOT = Path(__file__).parents[3]
READY_S = 60.0
ANSWER_S = 60.0
END_S = 60.0
CLIENT_WAIT_S = 2.0
FUND_TRIES = 100


class DeskProcess:
    """One running desk."""

    def __init__(self, home: Path, broker: str, url: str = "http://one") -> None:
        self.home, self.broker, self.url = home, broker, url
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[Any, asyncio.Future[dict[str, Any]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._ids = 0
        self._dead = False

    async def start(self, *, ready: bool = True) -> None:
        """Start and wait until every partition of it is owned."""
        self._dead = False
        self.home.mkdir(parents=True, exist_ok=True)
        errors = (self.home / "stderr.txt").open("ab")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TRADE_")}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.streaming.owner.desk_process", str(self.home), self.broker, self.url),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=clean | {"PYTHONPATH": str(ROOT)},
            cwd=self.home,
            limit=1 << 24,
        )
        errors.close()
        first = self._waiting["ready"] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())
        if ready:
            await asyncio.wait_for(first, READY_S)

    async def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Send a request and return its answer; a desk that dies answers {"error": "DEAD"}."""
        assert self._process is not None
        assert self._process.stdin is not None
        if self._dead:
            return {"error": "DEAD"}
        self._ids += 1
        number = self._ids
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._process.stdin.write(msgspec.json.encode({"id": number, "do": do, **fields}) + b"\n")
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            self._waiting.pop(number, None)
            return {"error": "DEAD"}
        return await asyncio.wait_for(answer, ANSWER_S)

    async def execute(self, command: AnyCommand) -> dict[str, Any]:
        """Execute one command."""
        return await self.ask("execute", command=encode_command(command).decode())

    async def send(self, command: AnyCommand) -> dict[str, Any]:
        """Append one command to the input topic."""
        return await self.ask("send", command=encode_command(command).decode())

    async def kill(self) -> None:
        """End it as a crash does."""
        await self._end(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self) -> int:
        """End it cleanly; return the exit code."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end; return the exit code."""
        assert self._process is not None
        code = await asyncio.wait_for(self._process.wait(), END_S)
        await self._settle()
        return code

    async def _end(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()
        await self._settle()

    async def _settle(self) -> None:
        if self._reader is not None:
            await self._reader

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if not line.endswith(b"\n"):
                break
            answer = msgspec.json.decode(line)
            waiter = self._waiting.pop(answer["id"], None)
            if waiter is not None and not waiter.done():
                waiter.set_result(answer)
        self._dead = True
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            if not waiter.done():
                waiter.set_result({"error": "DEAD"})


class Ledger:
    """What a client knows: which orders were acknowledged, with which seq, and which were refused."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, tuple[int, int]] = {}
        self.refused: dict[str, str] = {}
        self.sent: set[str] = set()

    def note(self, order: str, answer: dict[str, Any]) -> bool:
        """Take an answer; return False if it was not one."""
        self.sent.add(order)
        if "error" in answer:
            return False
        if "refused" in answer:
            # As when prices are old, because the broker was away.
            self.refused[order] = answer["refused"]
            return True
        # A repetition is answered at a later seq than the one that took the order.
        seq = answer["seq"] if answer["events"] else 0
        if seq or order not in self.acknowledged:
            self.acknowledged[order] = (answer["partition"], seq)
        return True


async def accepted(client: BrokerClient, partitions: int) -> tuple[Counter[str], dict[tuple[int, int], str]]:
    """Verify the journal; return how often it accepts each order, and which order a (partition, seq) accepts."""
    counts: Counter[str] = Counter()
    places: dict[tuple[int, int], str] = {}
    for partition in range(partitions):
        reader, payloads = JournalReader(), []
        end = await client.end_offset(ORDERS_JOURNAL.name, partition)
        position = 0
        async for message in client.read(ORDERS_JOURNAL.name, partition, 0, end):
            position = message.offset + 1
            record = reader.take(message)
            if record is None or message.value is None:
                continue
            payloads.append(message.value)
            for event in record.events:
                if isinstance(event, OrderAccepted):
                    counts[event.client_order_id] += 1
                    places[partition, record.seq] = event.client_order_id
        assert position == end, f"partition {partition}: {position} of {end} read"
        assert reader.skipped == 0, f"partition {partition}: {reader.skipped} records skipped, {len(payloads)} taken"
        verify(payloads)
    return counts, places


async def check(ledger: Ledger, broker: str, partitions: int = 4) -> None:
    """Compare the journal with what a client knows: nothing acknowledged is lost, nothing is decided twice."""
    client = connect(broker)
    await client.start()
    counts, places = await accepted(client, partitions)
    await client.stop()
    lost = {name: place for name, place in ledger.acknowledged.items() if counts[name] == 0}
    taken = {place: places[place] for place in lost.values() if place in places}
    assert lost == {}, f"lost {lost}; at these places now: {taken}; last: {max(places, default=None)}"
    assert [name for name, count in counts.items() if count > 1] == []
    assert counts.keys() <= ledger.sent - ledger.refused.keys()
    for name, place in ledger.acknowledged.items():
        assert places.get(place, name) == name


async def fund(desk: DeskProcess, *accounts: str) -> None:
    """Open accounts that may trade."""
    for account in accounts:
        for command in (
            OpenAccount(account=account, ts_ns=0, actor="t"),
            Deposit(account=account, ts_ns=0, actor="t", ref="r", amount="100000000"),
            SetLimits(account=account, ts_ns=0, actor="t", limits=wide()),
        ):
            answers = [await desk.execute(command)]
            while "error" in answers[-1] and len(answers) < FUND_TRIES:
                await asyncio.sleep(0.1)
                answers.append(await desk.execute(command))
            assert "error" not in answers[-1], answers


def wide() -> Any:
    """Return limits that no load of a test reaches."""
    return limits_body(
        max_open_orders=100_000,
        message_rate=1_000_000,
        message_burst=1_000_000,
        max_position_qty="100000000",
        max_var="100000000",
        ack_timeout_ms=3_600_000,
        concentration_bps=100_000,
    )


def order(name: str, account: str) -> AnyCommand:
    """Return an order that rests."""
    return submit(name, account=account, qty="1")


class Router:
    """A client of several desks: finds the owner, and sends a command without an answer again under its id."""

    def __init__(self, *desks: DeskProcess) -> None:
        self.desks = {desk.url: desk for desk in desks}
        self.ledger = Ledger()
        self.codes: Counter[str] = Counter()
        self.stop = asyncio.Event()
        self._known: dict[str, str] = {}
        self._late: set[asyncio.Task[bool]] = set()

    async def run(self, names: list[str], accounts: Sequence[str], every_s: float) -> None:
        """Submit orders until told to stop; each is tried until it is answered."""
        while not self.stop.is_set():
            name = names.pop(0)
            await self._until_answered(name, accounts[sum(name.encode()) % len(accounts)])
            await asyncio.sleep(every_s)

    async def settle(self) -> None:
        """Wait for answers that came later than the client waited."""
        if self._late:
            await asyncio.wait(self._late)

    async def _until_answered(self, name: str, account: str) -> None:
        urls = itertools.cycle(self.desks)
        while not self.stop.is_set():
            url = self._known.get(account) or next(urls)
            trying = asyncio.create_task(self._try(url, name, account))
            done, _ = await asyncio.wait({trying}, timeout=CLIENT_WAIT_S)
            if done and trying.result():
                return
            if not done:
                self._late.add(trying)
                self._known.pop(account, None)
                self.codes["TIMEOUT"] += 1
            await asyncio.sleep(0.05)

    async def _try(self, url: str, name: str, account: str) -> bool:
        answer = await self.desks[url].execute(order(name, account))
        if self.ledger.note(name, answer):
            self._known[account] = url
            return True
        self.codes[answer["error"]] += 1
        self._known.pop(account, None)
        if answer.get("url") in self.desks:
            self._known[account] = answer["url"]
        return False
