"""What a strategy may do: order, cancel, and look at what it has. Commands come out, and nothing else happens here.

`net` is the position in each instrument as if every open order were filled. It counts an order from the moment it is
asked for, so a strategy that looks at it does not order twice while an answer is on its way.
"""

from collections import OrderedDict
from typing import Protocol

import msgspec

from trading.amounts import to_text
from trading.commands import CancelOrder, OrderType, SubmitOrder, TimeInForce
from trading.events import AnyEvent, OrderAccepted, OrderFilled, OrderMoved, OrderRefused
from trading.ids import digest
from trading.instruments import InstrumentTable
from trading.orders.idempotency import order_id
from trading.orders.transitions import TERMINAL

# A late fill must find its order; older orders than this many are forgotten.
MAX_ENDED = 10_000
ClientCommand = SubmitOrder | CancelOrder


class Message(Protocol):
    """Anything that a strategy is called with."""

    @property
    def key(self) -> str:
        """Return what names the message."""
        ...

    @property
    def ts_ns(self) -> int:
        """Return its time."""
        ...


class Start:
    """The message of `on_start`."""

    __slots__ = ("ts_ns",)
    key = "start"

    def __init__(self, ts_ns: int) -> None:
        self.ts_ns = ts_ns


class Filled:
    """The message of `on_fill`: one execution of an own order."""

    __slots__ = ("event", "ts_ns")

    def __init__(self, event: OrderFilled) -> None:
        self.event = event
        self.ts_ns = event.ts_ns

    @property
    def key(self) -> str:
        """Return what names the execution."""
        return f"fill/{self.event.venue}/{self.event.trade_id}"


class _Memory(msgspec.Struct, frozen=True):
    """What a context keeps of the journal."""

    positions: dict[str, int]
    net: dict[str, int]
    open: dict[str, tuple[str, int]]
    ended: list[tuple[str, str]]


_memories = msgspec.json.Decoder(_Memory)


class Context:
    """One strategy in one account. `message` is what it is called with; the caller sets it."""

    __slots__ = ("_asked_by", "_count", "_ended", "_open", "account", "commands", "instruments", "message", "net",
                 "positions", "strategy")  # fmt: skip

    def __init__(self, account: str, strategy: str, instruments: InstrumentTable) -> None:
        self.account = account
        self.strategy = strategy
        self.instruments = instruments
        self.message: Message = Start(0)
        self.commands: list[ClientCommand] = []
        self.positions: dict[str, int] = {}
        self.net = {instrument.id: 0 for instrument in instruments}
        # Order id -> (instrument, what is left, signed).
        self._open: dict[str, tuple[str, int]] = {}
        self._ended: OrderedDict[str, str] = OrderedDict()
        self._asked_by: Message | None = None
        self._count = 0

    @property
    def now_ns(self) -> int:
        """Return the time of the message that the strategy is called with."""
        return self.message.ts_ns

    def position(self, instrument: str) -> int:
        """Return the signed quantity that own fills have left."""
        return self.positions.get(instrument, 0)

    def submit(
        self,
        instrument: str,
        qty: int,
        *,
        limit: int | None = None,
        stop: int | None = None,
        tif: TimeInForce = "gtc",
    ) -> str:
        """Ask for an order, a buy if `qty` is positive; return its client order id. Amounts in the scale."""
        about, message = self.instruments[instrument], self.message
        if message is not self._asked_by:
            self._asked_by, self._count = message, 0
        client_order_id = digest(self.strategy, message.key, self._count)
        self._count += 1
        order = order_id(self.account, client_order_id)
        if order not in self._open and order not in self._ended:
            self._take(order, instrument, qty)
        self.commands.append(
            SubmitOrder(
                account=self.account,
                ts_ns=message.ts_ns,
                client_order_id=client_order_id,
                instrument=instrument,
                side="buy" if qty > 0 else "sell",
                qty=to_text(abs(qty), about.qty_scale),
                type=_TYPES[limit is not None, stop is not None],
                tif=tif,
                limit_price=None if limit is None else to_text(limit, about.price_scale),
                stop_price=None if stop is None else to_text(stop, about.price_scale),
                strategy=self.strategy,
            )
        )
        return client_order_id

    def cancel(self, client_order_id: str) -> None:
        """Ask for the cancellation of an own order."""
        order = order_id(self.account, client_order_id)
        self.commands.append(CancelOrder(account=self.account, ts_ns=self.message.ts_ns, order=order))

    def is_open(self, client_order_id: str) -> bool:
        """Say whether an own order may still be filled."""
        return order_id(self.account, client_order_id) in self._open

    def apply(self, event: AnyEvent) -> bool:
        """Follow one event of the journal; return whether it is a fill of an own order."""
        if isinstance(event, OrderFilled):
            return self._filled(event)
        if isinstance(event, OrderAccepted):
            if event.strategy == self.strategy and event.account == self.account and event.order not in self._open:
                self._take(event.order, event.instrument, event.qty if event.side == "buy" else -event.qty)
        elif isinstance(event, OrderRefused) or (isinstance(event, OrderMoved) and event.to in TERMINAL):
            self._end(event.order)
        return False

    def memory(self) -> str:
        """Return what the journal has led to, as text."""
        ended = list(self._ended.items())
        return msgspec.json.encode(_Memory(self.positions, self.net, self._open, ended)).decode()

    def recall(self, memory: str) -> None:
        """Be as the context that had this memory; raise `ValueError` if it is not one of these instruments."""
        try:
            found = _memories.decode(memory)
        except msgspec.MsgspecError as error:
            raise ValueError(f"it cannot be read: {error}") from None
        if not self.net.keys() >= found.net.keys():
            raise ValueError("it knows other instruments")
        self.positions, self._open, self._ended = found.positions, found.open, OrderedDict(found.ended)
        self.net |= found.net

    def _take(self, order: str, instrument: str, qty: int) -> None:
        self._open[order] = (instrument, qty)
        self.net[instrument] += qty

    def _filled(self, event: OrderFilled) -> bool:
        order, instrument = event.order, event.instrument
        qty = event.qty if event.side == "buy" else -event.qty
        known = self._open.get(order)
        if known is None and order not in self._ended:
            return False
        self.positions[instrument] = self.positions.get(instrument, 0) + qty
        left = known[1] if known is not None else 0
        taken = min(abs(qty), abs(left))
        taken = taken if qty > 0 else -taken
        self.net[instrument] += qty - taken
        if known is not None:
            self._open[order] = (instrument, left - taken)
            if event.to in TERMINAL:
                self._end(order)
        return True

    def _end(self, order: str) -> None:
        known = self._open.pop(order, None)
        if known is None:
            return
        instrument, left = known
        self.net[instrument] -= left
        self._ended[order] = instrument
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)


_TYPES: dict[tuple[bool, bool], OrderType] = {
    (False, False): "market",
    (True, False): "limit",
    (False, True): "stop",
    (True, True): "stop_limit",
}
