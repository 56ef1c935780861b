"""A desk as a real process, with Faust and the platform around it, driven by lines of JSON on stdin; tests kill it.

Requests: {"id", "do": "execute" | "state" | "send", ...}; answers: {"id", ...} when they are durable. `send` appends
commands to the input topic and answers when they are appended.
"""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from streaming.adapters.telemetry import start_logging
from streaming.flows.orders import order_flow
from streaming.owner.clock import WallClock
from streaming.owner.desk import DeskError
from streaming.owner.house import House
from streaming.platform import Platform
from streaming.settings import OrderSettings, Settings
from streaming.transport.client import BrokerClient, BrokerError
from streaming.transport.connect import connect
from tests.streaming.owner.places import settings_of
from trading.codec import encode
from trading.commands import decode_command, encode_command
from trading.events import OrderRefused
from trading.messages import Price
from trading.orders.snapshot import state_hash
from trading.orders.state import State
from trading.schemas import ORDERS_COMMANDS, PRICES

PRICE_EACH_S = 0.5


class Desk:
    """Reads requests, works each in a task of its own, writes answers."""

    def __init__(self, settings: Settings, url: str) -> None:
        orders = OrderSettings.model_validate(settings.orders.model_dump() | {"url": url})
        self.settings = settings.model_copy(update={"orders": orders})
        self.house = House(clock=WallClock())
        self.platform = Platform(self.settings, [order_flow(self.house)], connect)
        self.client: BrokerClient = connect(self.settings.broker_url, fsync=self.settings.fsync)
        self.tasks: set[asyncio.Task[None]] = set()
        self.over = asyncio.Event()

    async def run(self) -> None:
        """Serve until stdin ends, then stop cleanly; SIGTERM stops it too, and it serves while it can."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.over.set)
        await self.platform.start()
        await self.client.start()
        pricing = asyncio.create_task(self._price())
        reading = asyncio.create_task(self._read())
        await self.platform.watch(self._tell_ready)
        pricing.cancel()
        if reading.done():
            await asyncio.gather(*self.tasks)
        await self.platform.drain()
        await self.client.stop()
        await self.platform.stop()
        await asyncio.gather(*self.tasks)
        reading.cancel()

    def _tell_ready(self) -> bool:
        if self.platform.board.state == "ready" and not self.tasks and not hasattr(self, "told"):
            self.told = True
            self._say({"id": "ready"})
        return self.over.is_set()

    async def _price(self) -> None:
        while True:
            now_ns = self.house.now_ns()
            price = Price(instrument="XYZ.SIM", ts_ns=now_ns, bid="99.99", ask="100.01", last="100")
            with contextlib.suppress(BrokerError):
                await self.client.append(PRICES.name, 0, [(b"XYZ.SIM", encode(price))])
            await asyncio.sleep(PRICE_EACH_S)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=1 << 24)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            task = asyncio.create_task(self._work(msgspec.json.decode(line)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        self.over.set()

    async def _work(self, request: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": request["id"]}
        try:
            if request["do"] == "execute":
                command = decode_command(request["command"].encode())
                given = await self.house.execute(command, f"test-{request['id']}")
                answer |= {"seq": given.seq, "events": len(given.events), "partition": self._place(command.account)}
                for event in given.events:
                    if isinstance(event, OrderRefused):
                        answer["refused"] = event.code
            elif request["do"] == "send":
                command = decode_command(request["command"].encode())
                pair = (command.account.encode(), encode_command(command))
                await self.client.append(ORDERS_COMMANDS.name, self._place(command.account), [pair])
            else:
                answer |= await self.house.read_partition(request["partition"], _page)
        except DeskError as error:
            answer |= {"error": error.code, "url": error.url}
        self._say(answer)

    def _place(self, account: str) -> int:
        return self.house.partition_of(account)

    def _say(self, answer: dict[str, Any]) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


def _page(state: State) -> dict[str, Any]:
    return {
        "orders": {row.intent.client_order_id: row.status for row in state.orders.values()},
        "seq": state.seq,
        "hash": state_hash(state),
    }


def main(home: str, broker: str, url: str) -> None:
    """Run a desk in `home` on a broker."""
    stop_logging = start_logging(level="WARNING")
    asyncio.run(Desk(settings_of(Path(home), broker, snapshot_records=200), url).run())
    stop_logging()


if __name__ == "__main__":
    main(*sys.argv[1:])
