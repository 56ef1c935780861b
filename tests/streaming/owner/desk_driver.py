"""The other side of `desk_process`: sends commands, keeps its own ledger of what was acknowledged."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from tests.trading.orders.builders import limits_body, submit
from trading.commands import AnyCommand, Deposit, OpenAccount, SetLimits, encode_command

ROOT = Path(__file__).parents[3]
READY_S = 60.0
ANSWER_S = 60.0
END_S = 60.0


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
    """What a client knows: which orders were acknowledged, and with which seq."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, tuple[int, int]] = {}
        self.sent: set[str] = set()

    def note(self, order: str, answer: dict[str, Any]) -> bool:
        """Take an answer; return False if it was not one."""
        self.sent.add(order)
        if "error" in answer:
            return False
        # A repetition is answered at a later seq than the one that took the order.
        seq = answer["seq"] if answer["events"] else 0
        if seq or order not in self.acknowledged:
            self.acknowledged[order] = (answer["partition"], seq)
        return True


async def fund(desk: DeskProcess, *accounts: str) -> None:
    """Open accounts that may trade."""
    for account in accounts:
        for command in (
            OpenAccount(account=account, ts_ns=0, actor="t"),
            Deposit(account=account, ts_ns=0, actor="t", ref="r", amount="100000000"),
            SetLimits(account=account, ts_ns=0, actor="t", limits=wide()),
        ):
            assert "error" not in await desk.execute(command)


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
