"""An order API over the desk without a broker: funded accounts, keys, a venue that the test plays, a real server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI

from streaming.api.app import create_app
from streaming.api.history import History
from streaming.api.keys import Key, KeyRing
from streaming.api.server import HttpServer
from streaming.api.symbols import order_of_uuid
from streaming.settings import ApiSettings
from streaming.transport.client import Record
from tests.desk_fake import FakeDesk
from tests.trading.orders.builders import T0, limits_body, model
from trading.commands import (
    AnyCommand,
    Deposit,
    OpenAccount,
    SetLimits,
    VenueAccepted,
    VenueCanceled,
    VenueFill,
    VenueReplaced,
)
from trading.instruments import CATALOGUE
from trading.orders.state import OrderRow
from trading.risk.market import MarketView, quote
from trading.schemas import ORDERS_JOURNAL

T = TypeVar("T")
HOUR_NS = 3_600 * 10**9
WAIT_S = 20.0
MARKS = {"BTC-USD.SIM": "50000", "ETH-USD.SIM": "2000", "SPY.US": "450", "AAPL.US": "190"}
KEYS = {
    "a": Key("PKTRADEAAAA", "secret-of-account-a-000", "a", frozenset({"read", "trade"}), "a"),
    "b": Key("PKTRADEBBBB", "secret-of-account-b-000", "b", frozenset({"read", "trade"}), "b"),
    "poor": Key("PKTRADEPOOR", "secret-of-account-p-000", "poor", frozenset({"read", "trade"}), "poor"),
    "gone": Key("PKTRADEGONE", "secret-of-account-g-000", "gone", frozenset({"read", "trade"}), "gone"),
    "reader": Key("PKREADONLYA", "secret-of-reader-a-0000", "a", frozenset({"read"}), "reader"),
    "admin": Key("PKADMINAAAA", "secret-of-admin-1-00000", "a", frozenset({"read", "trade", "admin"}), "admin-1"),
    "other": Key("PKADMINBBBB", "secret-of-admin-2-00000", "a", frozenset({"read", "trade", "admin"}), "admin-2"),
}


def headers_of(name: str) -> dict[str, str]:
    """Return the headers of a key."""
    return {"APCA-API-KEY-ID": KEYS[name].key_id, "APCA-API-SECRET-KEY": KEYS[name].secret}


def prices(ts_ns: int = T0) -> MarketView:
    """Return a market of the built-in instruments, some of them with prices; New York closes in an hour."""
    quotes = {}
    for name, mark in MARKS.items():
        instrument = CATALOGUE[name]
        middle = int(mark) * 10**instrument.price_scale
        quotes[name] = quote(ts_ns, middle - instrument.tick, middle + instrument.tick, middle)
    known = {name: made for name, made in quotes.items() if made is not None}
    return MarketView(CATALOGUE, known, model(sorted(MARKS)), {"XNYS": ts_ns + HOUR_NS}, 1)


class FakeJournal:
    """The journal of a fake desk, read as a broker is read."""

    def __init__(self, desk: FakeDesk) -> None:
        self._desk = desk

    async def read(self, topic: str, partition: int, start: int, stop: int) -> AsyncIterator[Record]:
        """Yield records."""
        for offset, payload in enumerate(self._desk.journal[partition][start:stop], start):
            yield Record(ORDERS_JOURNAL.name, partition, offset, None, payload)

    async def begin_offset(self, topic: str, partition: int) -> int:
        """Return the oldest offset."""
        return 0

    async def end_offset(self, topic: str, partition: int) -> int:
        """Return the next offset."""
        return len(self._desk.journal[partition])


class Rig:
    """A desk, its application, and the venue's side of it."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.desk = FakeDesk(prices(), ts_ns=T0)
        self.history = History(home / "history.sqlite", FakeJournal(self.desk), self.desk.partitions)
        self.settings = ApiSettings(**settings)
        self.app: FastAPI = create_app(self.desk, KeyRing(KEYS.values()), self.history, CATALOGUE, self.settings)
        self._trades = 0

    async def fund(self, *accounts: str, cash: str = "1000000", **limits: Any) -> None:
        """Open accounts with cash and limits."""
        for account in accounts:
            await self.tell(OpenAccount(account=account, ts_ns=0, actor="admin"))
            await self.tell(Deposit(account=account, ts_ns=0, actor="admin", ref="r", amount=cash))
            await self.tell(SetLimits(account=account, ts_ns=0, actor="admin", limits=limits_body(**limits)))

    async def tell(self, command: AnyCommand) -> None:
        """Hand a command to the desk."""
        await self.desk.execute(command, "test")

    def row(self, uuid: str) -> OrderRow:
        """Return the row of an order as clients name it."""
        order = order_of_uuid(str(uuid))
        return next(state.orders[order] for state in self.desk.states if order in state.orders)

    async def ack(self, uuid: str) -> None:
        """Let the venue accept an order."""
        row = self.row(uuid)
        await self.tell(VenueAccepted(account=row.intent.account, ts_ns=0, order=row.id, venue_order_id=f"v-{row.id}"))

    async def fill(self, uuid: str, qty: str, price: str) -> None:
        """Let the venue execute a part of an order."""
        row = self.row(uuid)
        self._trades += 1
        await self.tell(
            VenueFill(
                account=row.intent.account,
                ts_ns=0,
                order=row.id,
                venue="SIM",
                trade_id=f"t{self._trades}",
                instrument=row.intent.instrument,
                side=row.intent.side,
                qty=qty,
                price=price,
            )
        )

    async def canceled(self, uuid: str) -> None:
        """Let the venue confirm a cancel."""
        row = self.row(uuid)
        await self.tell(VenueCanceled(account=row.intent.account, ts_ns=0, order=row.id))

    async def replaced(self, uuid: str, new: str) -> None:
        """Let the venue confirm a replacement."""
        row, child = self.row(uuid), self.row(new)
        await self.tell(VenueReplaced(account=row.intent.account, ts_ns=0, order=row.id, new_order=child.id))


class Served:
    """A rig behind a real HTTP server in a thread of its own, for clients that block."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: HttpServer | None = None

    def __enter__(self) -> "Served":
        self._thread.start()
        self._server = self.do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    @property
    def address(self) -> str:
        """Return host and port."""
        assert self._server is not None, "the server runs inside the with block"
        return f"{self._server.host}:{self._server.port}"

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the server's loop."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(WAIT_S)

    async def _start(self) -> HttpServer:
        server = HttpServer("127.0.0.1", 0)
        await server.start(self.rig.app)
        return server

    async def _stop(self) -> None:
        assert self._server is not None, "the server was started"
        await self._server.stop()
        self.rig.history.close()
