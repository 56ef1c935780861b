"""The websocket of Alpaca's trading API: `trade_updates` of one account, each update after it is durable.

The orders of a connection start as a copy of the state and follow the journal from there, so that each update shows the
order as that event left it, not as it is by now. A reader that is too slow, or whose partition this process has lost,
is told so and let go: there is no hole in what a connection hears.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from streaming.api import relay, times
from streaming.api.forward import MARK
from streaming.api.history_fold import execution_id, follow
from streaming.api.keys import Key
from streaming.api.operations import Services
from streaming.api.order_models import view
from streaming.api.symbols import as_uuid
from streaming.owner.desk import DeskError, NotOwner, SlowReaderError, Subscription
from trading.amounts import to_text
from trading.events import OrderAccepted, OrderFilled, OrderMoved
from trading.ids import digest
from trading.orders.journal import Record
from trading.orders.state import OrderRow, State

AUTH_S = 10.0
SEND_S = 10.0
# How long an owner is looked for, as while a partition moves.
HOME_S = 5.0
LOOK_S = 0.5
MAX_STREAMS = 256
MAX_OF_KEY = 32
TRY_AGAIN = 1013
POLICY = 1008
MAX_KEPT = 20_000
# What clients know; everything else that moves an order is told as `restated`.
NAMED = frozenset(
    {"new", "pending_cancel", "canceled", "expired", "rejected", "pending_replace", "replaced", "pending_new"}
)
_encoder = msgspec.json.Encoder()
_log = structlog.get_logger("stream")


class _Data(msgspec.Struct, frozen=True):
    key_id: str = ""
    secret_key: str = ""
    streams: tuple[str, ...] = ()


class _Message(msgspec.Struct):
    action: Literal["authenticate", "auth", "listen"]
    data: _Data = _Data()
    key: str = ""
    secret: str = ""


_decoder = msgspec.json.Decoder(_Message)


class _RefusedError(Exception):
    """The connection must end; the message was sent."""


class Streams:
    """All connections of one process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._open: Counter[str] = Counter()

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection until it ends."""
        await socket.accept()
        try:
            key = await self._authenticate(socket)
            if self._open.total() >= MAX_STREAMS or self._open[key.key_id] >= MAX_OF_KEY:
                await _close(socket, TRY_AGAIN, "too many streams")
                return
            self._open[key.key_id] += 1
            try:
                await self._listen(socket, key)
            finally:
                self._open[key.key_id] -= 1
        except (WebSocketDisconnect, _RefusedError, TimeoutError):
            await _close(socket, POLICY, "closed")
        except (DeskError, SlowReaderError) as error:
            with contextlib.suppress(TimeoutError):
                await _say(socket, "error", {"code": error.code, "message": str(error)})
            await _close(socket, TRY_AGAIN, error.code)

    async def _authenticate(self, socket: WebSocket) -> Key:
        async with asyncio.timeout(AUTH_S):
            message = await _receive(socket)
        pair = (message.data.key_id, message.data.secret_key) if message.action == "authenticate" else None
        found = self._services.keys.find(*(pair or (message.key, message.secret)))
        busy = found is None and self._services.strangers.take("", time.monotonic())
        if found is None or busy or "read" not in found.scopes:
            await _say(socket, "authorization", {"status": "unauthorized", "action": "authenticate"})
            raise _RefusedError
        await _say(socket, "authorization", {"status": "authorized", "action": "authenticate"})
        return found

    async def _listen(self, socket: WebSocket, key: Key) -> None:
        sender: asyncio.Task[None] | None = None
        asked: asyncio.Future[_Message] | None = None
        async with contextlib.AsyncExitStack() as source:
            try:
                while True:
                    asked = asyncio.ensure_future(_receive(socket))
                    await asyncio.wait({asked, *({sender} if sender else ())}, return_when=asyncio.FIRST_COMPLETED)
                    if sender is not None and sender.done():
                        sender.result()
                        return
                    message = await asked
                    wanted = [name for name in message.data.streams if name == relay.UPDATES]
                    if wanted and sender is None:
                        sender = asyncio.create_task(await self._source(socket, key, source))
                    elif not wanted and sender is not None:
                        sender.cancel()
                        sender = None
                        await source.aclose()
                    await _say(socket, "listening", {"streams": wanted})
            finally:
                for task in (sender, asked):
                    if task is not None:
                        task.cancel()

    async def _source(self, socket: WebSocket, key: Key, stack: contextlib.AsyncExitStack) -> Coroutine[Any, Any, None]:
        """Return what sends the updates, from here or from the owner; look for him for a while."""
        is_first = MARK not in socket.headers
        loop = asyncio.get_running_loop()
        deadline = loop.time() + HOME_S
        while True:
            try:
                try:
                    return await self._here(socket, key, stack)
                except NotOwner as error:
                    if error.url is None or not is_first:
                        raise
                    return await self._there(socket, key, stack, error)
            except DeskError:
                if not is_first or loop.time() >= deadline:
                    raise
            await asyncio.sleep(LOOK_S)

    async def _here(self, socket: WebSocket, key: Key, stack: contextlib.AsyncExitStack) -> Coroutine[Any, Any, None]:
        desk = self._services.desk
        subscription = desk.subscribe(partition=desk.partition_of(key.account))
        try:
            updates = await Updates.of(self._services, key.account)
        except BaseException:
            subscription.close()
            raise
        stack.callback(subscription.close)
        return _send(socket, subscription, updates)

    async def _there(
        self, socket: WebSocket, key: Key, stack: contextlib.AsyncExitStack, elsewhere: NotOwner
    ) -> Coroutine[Any, Any, None]:
        owner = await stack.enter_async_context(relay.relayed(elsewhere, key, self._services.ids()))

        async def say(text: str) -> None:
            async with asyncio.timeout(SEND_S):
                await socket.send_text(text)

        return relay.follow(owner, elsewhere, key.account, self._services.desk, say)


class Updates:
    """The orders of one account as they were told last."""

    def __init__(self, services: Services, account: str, seq: int) -> None:
        self._services = services
        self._account = account
        self._partition = services.desk.partition_of(account)
        self._seq = seq
        self._rows: dict[str, OrderRow] = {}
        self._positions: dict[str, int] = {}

    @classmethod
    async def of(cls, services: Services, account: str) -> "Updates":
        """Return the updates after this moment; raise `DeskError`."""

        def look(state: State) -> Updates:
            made = cls(services, account, state.seq)
            found = state.accounts.get(account)
            if found is not None:
                made._rows = {order: msgspec.structs.replace(row) for order, row in found.open.items()}
                made._positions = {name: holding.qty for name, holding in found.exposure.holdings.items()}
            return made

        return await services.desk.read(account, look)

    def take(self, partition: int, record: Record) -> list[dict[str, Any]]:
        """Return the updates of one record, oldest first."""
        if partition != self._partition or record.seq <= self._seq or record.account != self._account:
            return []
        found = []
        for number, event in enumerate(record.events):
            if isinstance(event, OrderAccepted):
                parent = self._rows.get(event.replaces)
                row = OrderRow(event, 0, updated_ts_ns=event.ts_ns)
                if parent is not None:
                    parent.replaced_by = event.order
                    row.inherited = parent.filled + parent.inherited
                self._keep(row)
                found.append(self._update(row, "pending_new", record, number))
            elif isinstance(event, OrderMoved | OrderFilled) and event.order in self._rows:
                row = self._rows[event.order]
                follow(row, event)
                found.append(self._told(row, event, record, number))
        return found

    def _told(self, row: OrderRow, event: OrderMoved | OrderFilled, record: Record, number: int) -> dict[str, Any]:
        if isinstance(event, OrderMoved):
            return self._update(row, event.to if event.to in NAMED else "restated", record, number)
        intent = row.intent
        held = self._positions.get(event.instrument, 0) + row.side * event.qty
        self._positions[event.instrument] = held
        update = self._update(row, "fill" if event.to == "filled" else "partial_fill", record, number)
        update["execution_id"] = as_uuid(execution_id(event))
        update["price"] = to_text(event.price, intent.price_scale)
        update["qty"] = to_text(event.qty, intent.qty_scale)
        update["position_qty"] = to_text(held, intent.qty_scale)
        return update

    def _update(self, row: OrderRow, event: str, record: Record, number: int) -> dict[str, Any]:
        return {
            "event": event,
            "execution_id": as_uuid(digest("update", record.hash, number)),
            "timestamp": times.to_text(row.updated_ts_ns),
            "order": view(row, self._services.symbols),
        }

    def _keep(self, row: OrderRow) -> None:
        if len(self._rows) >= MAX_KEPT:
            self._rows = {order: kept for order, kept in self._rows.items() if not kept.ended}
        self._rows[row.id] = row


async def _send(socket: WebSocket, subscription: Subscription, updates: Updates) -> None:
    async for durable in subscription:
        for update in updates.take(durable.partition, durable.record):
            await _say(socket, "trade_updates", update)
    raise SlowReaderError("the desk has stopped")


async def _receive(socket: WebSocket) -> _Message:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    try:
        return _decoder.decode(message.get("text") or message.get("bytes") or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        await _say(socket, "error", {"code": "MESSAGE_INVALID", "message": "want authenticate or listen, as JSON"})
        raise _RefusedError from None


async def _say(socket: WebSocket, stream: str, data: Any) -> None:
    # A peer that has stopped reading must not hold the connection for ever.
    async with asyncio.timeout(SEND_S):
        await socket.send_text(_encoder.encode({"stream": stream, "data": data}).decode())


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    try:
        async with asyncio.timeout(SEND_S):
            await socket.close(code, reason)
    except (RuntimeError, TimeoutError, WebSocketDisconnect):
        _log.debug("stream_was_closed", reason=reason)


def handler(services: Services) -> Callable[[WebSocket], Any]:
    """Return the websocket endpoint."""
    return Streams(services).serve
