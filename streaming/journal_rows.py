"""Records of the order journal as rows of the lake: the record itself, its fills, and positions after each fill."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from streaming.columns import LAST_DAY, PlainRow
from streaming.transport.client import Record as Message
from trading.accounting.lots import average_fill
from trading.codec import CodecError
from trading.events import CashMoved, OrderFilled
from trading.instruments import Instrument, InstrumentTable
from trading.orders.journal import Record

NS_PER_US = 1_000
NS_PER_DAY = 86_400_000_000_000
FILL = b'"kind":"order_filled"'
CASH = b'"kind":"cash_moved"'

PlainRows = Sequence[PlainRow]


class JournalRows(Protocol):
    """How records become rows. It sees those that contain one of `wants`, or all when that is empty, in order."""

    @property
    def wants(self) -> Sequence[bytes]:
        """Return what a record must contain to matter."""

    @property
    def remembers(self) -> bool:
        """Say whether rows depend on earlier records."""

    def memory(self) -> str:
        """Return what of the records so far matters to later rows."""

    def recall(self, memory: str) -> None:
        """Go on from what `memory` has returned."""

    def rows(self, message: Message, record: Record, stale: bool, instruments: InstrumentTable) -> PlainRows:
        """Return the rows of a record; raise `CodecError`."""


class _Forgetful:
    """Rows that stand for themselves."""

    remembers = False

    def memory(self) -> str:
        """Return nothing."""
        return ""

    def recall(self, memory: str) -> None:
        """Need nothing."""


class JournalRow(msgspec.Struct, frozen=True, gc=False):
    """A row of the journal's table. Thousands wait for a commit, and the collector need not look at them."""

    day: int
    ts_us: int
    account: str
    account_seq: int
    seq: int
    generation: int
    cause: str
    kinds: str
    events: int
    stale: bool
    prev_hash: str
    hash: str
    payload: bytes
    partition: int
    offset: int
    row: int


class Journal(_Forgetful):
    """The record itself; one of a fenced-off owner too, marked stale."""

    wants: Sequence[bytes] = ()

    def rows(self, message: Message, record: Record, stale: bool, _: InstrumentTable) -> PlainRows:
        """Return one row."""
        kinds = ",".join(str(event.__struct_config__.tag) for event in record.events)
        day, ts_us = _when(record.ts_ns)
        row = JournalRow(
            day,
            ts_us,
            record.account,
            record.account_seq,
            record.seq,
            record.generation,
            record.cause,
            kinds,
            len(record.events),
            stale,
            record.prev_hash,
            record.hash,
            message.value or b"",
            message.partition,
            message.offset,
            0,
        )
        return (row,)


class Fills(_Forgetful):
    """One row for each execution."""

    wants: Sequence[bytes] = (FILL,)

    def rows(self, message: Message, record: Record, stale: bool, instruments: InstrumentTable) -> PlainRows:
        """Return the executions of a record; none of a stale one."""
        fills = [event for event in record.events if isinstance(event, OrderFilled) and not stale]
        rows: list[tuple[Any, ...]] = []
        for place, fill in enumerate(fills):
            instrument = _known(fill.instrument, instruments)
            row = (
                *_when(fill.ts_ns),
                fill.account,
                fill.instrument,
                fill.order,
                fill.side,
                fill.venue,
                fill.trade_id,
                fill.qty,
                fill.price,
                instrument.qty_scale,
                instrument.price_scale,
                fill.cost,
                fill.fee,
                fill.overfill,
                fill.late,
                fill.liquidity,
                fill.to,
                record.seq,
                *_source(message, place),
            )
            rows.append(row)
        return rows


class _Holding(NamedTuple):
    qty: int = 0
    cost: int = 0
    realised: int = 0
    fees: int = 0


_positions = msgspec.json.Decoder(tuple[list[tuple[str, str, int, int, int, int]], list[tuple[str, int]]])


class Positions:
    """The position after each fill, and cash after each movement, added up here from the beginning of the journal."""

    wants: Sequence[bytes] = (FILL, CASH)
    remembers = True

    def __init__(self) -> None:
        self._holdings: dict[tuple[str, str], _Holding] = {}
        self._cash: dict[str, int] = {}

    def memory(self) -> str:
        """Return holdings and cash."""
        held = [(*key, *holding) for key, holding in self._holdings.items()]
        return msgspec.json.encode((held, list(self._cash.items()))).decode()

    def recall(self, memory: str) -> None:
        """Take them back."""
        held, cash = _positions.decode(memory)
        self._holdings = {(account, instrument): _Holding(*rest) for account, instrument, *rest in held}
        self._cash = dict(cash)

    def rows(self, message: Message, record: Record, stale: bool, instruments: InstrumentTable) -> PlainRows:
        """Return one row for each fill and each movement of cash."""
        rows: list[tuple[Any, ...]] = []
        for event in record.events if not stale else ():
            name, scale, holding = "", 0, _Holding()
            if isinstance(event, CashMoved):
                self._cash[event.account] = self._cash.get(event.account, 0) + event.amount
            elif isinstance(event, OrderFilled):
                name, holding = event.instrument, self._fill(event)
                scale = _known(name, instruments).qty_scale
            else:
                continue
            cash = self._cash[event.account]
            row = (*_when(event.ts_ns), event.account, name, holding.qty, scale, *holding[1:], cash, record.seq)
            rows.append((*row, *_source(message, len(rows))))
        return rows

    def _fill(self, fill: OrderFilled) -> _Holding:
        key = (fill.account, fill.instrument)
        before = self._holdings.get(key, _Holding())
        signed = fill.qty if fill.side == "buy" else -fill.qty
        qty, cost, gain = average_fill(before.qty, before.cost, signed, fill.cost)
        made = self._holdings[key] = _Holding(qty, cost, before.realised + gain, before.fees + fill.fee)
        self._cash[fill.account] = self._cash.get(fill.account, 0) - fill.cost - fill.fee
        return made


def _when(ts_ns: int) -> tuple[int, int]:
    day = ts_ns // NS_PER_DAY
    if not 0 <= day <= LAST_DAY:
        raise CodecError("BAD_FIELD", f"ts_ns {ts_ns} is not between day 0 and day {LAST_DAY}")
    return day, ts_ns // NS_PER_US


def _source(message: Message, row: int) -> tuple[int, int, int]:
    return message.partition, message.offset, row


def _known(name: str, instruments: InstrumentTable) -> Instrument:
    instrument = instruments.get(name)
    if instrument is None:
        raise CodecError("UNKNOWN_INSTRUMENT", f"no instrument {name!r} is configured")
    return instrument
