"""The state as rows for a compacted topic, back again, and the hash that proves two states equal.

Keys: `account/ID`, `order/ID`, `known/ACCOUNT/N` (digests of orders that are gone, as they came), `partition`.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256

import msgspec

from trading.commands import LimitsBody, TradingMode
from trading.orders.evolve import index
from trading.orders.state import KNOWN_IN_ROW, Account, OrderRow, State
from trading.risk.exposure import Holding, Signature
from trading.risk.limits import Limits

SNAPSHOT_SCHEMA = "orders.state/3"
PARTITION = "partition"
Row = tuple[str, bytes | None]


class HoldingRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A holding without what is derived."""

    instrument: str
    price_scale: int
    qty_scale: int
    qty: int
    cost: str
    realised: str
    fees: str
    buy_open: int
    sell_open: int
    buy_raw: str
    sell_raw: str


class AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    """An account without its orders, so small however many it has. Sums are texts, for they may outgrow 64 bits.

    What may be long is a list of pairs: to sort the keys of an object in JSON takes forever when they are in order.
    """

    schema: str = SNAPSHOT_SCHEMA
    account: str
    currency: str
    opened_ts_ns: int
    seq: int
    orders_seen: int
    quarantined: int
    cash: str
    open_orders: int
    tat_ns: int
    limits_version: int
    limits: LimitsBody | None
    holdings: list[HoldingRow]
    recent: list[tuple[int, Signature]]
    aside: list[tuple[str, str]]
    deposits: list[tuple[str, int]]


class PartitionRow(msgspec.Struct, frozen=True, kw_only=True):
    """The watermark: written last, it makes the rows before it a whole snapshot."""

    schema: str = SNAPSHOT_SCHEMA
    seq: int
    hash: str
    generation: int
    partition_seq: int
    journal_off: int
    causes: dict[str, int]
    killed: bool
    killed_by: str
    modes: dict[str, TradingMode]


class _Head(msgspec.Struct):
    schema: str = ""


_head = msgspec.json.Decoder(_Head)
_encoder = msgspec.json.Encoder(order="sorted")
_orders = msgspec.json.Decoder(OrderRow)
_accounts = msgspec.json.Decoder(AccountRow)
_partitions = msgspec.json.Decoder(PartitionRow)
_known = msgspec.json.Decoder(list[tuple[str, str]])


def changed_rows(state: State) -> Iterator[Row]:
    """Yield what has changed since `state.dirty` was last cleared, None for what is gone; the watermark is apart."""
    for key in sorted(state.dirty):
        account, mark, number = key.partition("\x1f")
        if mark:
            yield _known_row(state.accounts[account], int(number))
        elif key in state.accounts:
            yield f"account/{key}", _account_row(state.accounts[key])
        else:
            yield _order_row(state, key)


def changed_orders(state: State) -> list[str]:
    """Return the orders in `state.dirty`, those that are gone too."""
    return [key for key in state.dirty if key not in state.accounts and "\x1f" not in key]


def take_orders(state: State, orders: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of orders, which are out of `state.dirty` then until they change again."""
    for order in orders:
        state.dirty.discard(order)
        yield _order_row(state, order)


def all_rows(state: State) -> Iterator[tuple[str, bytes]]:
    """Yield every row, the watermark not among them."""
    for key in sorted(state.accounts):
        account = state.accounts[key]
        yield f"account/{key}", _account_row(account)
        for number in range(-(-len(account.arrived) // KNOWN_IN_ROW)):
            yield _known_row(account, number)
    for order in sorted(state.orders):
        yield f"order/{order}", _encoder.encode(state.orders[order])


def watermark(state: State, journal_off: int) -> tuple[str, bytes]:
    """Return the row that closes a snapshot of everything up to and including this journal offset."""
    controls = state.controls
    row = PartitionRow(
        seq=state.seq,
        hash=state.hash,
        generation=state.generation,
        partition_seq=state.partition_seq,
        journal_off=journal_off,
        causes=state.causes,
        killed=controls.killed,
        killed_by=controls.killed_by,
        modes=controls.modes,
    )
    return PARTITION, _encoder.encode(row)


def restore(rows: Iterable[tuple[str, bytes]]) -> tuple[State, int]:
    """Return the state of the newest row of each key, and the journal offset that it stands at (-1 if none).

    A snapshot of another version counts as none: the journal has everything.
    """
    state, journal_off = State(), -1
    rows = list(rows)
    if any(key == PARTITION and _head.decode(value).schema != SNAPSHOT_SCHEMA for key, value in rows):
        return state, journal_off
    orders: list[OrderRow] = []
    known: list[tuple[str, bytes]] = []
    for key, value in rows:
        kind, _, name = key.partition("/")
        if kind == "order":
            orders.append(_orders.decode(value))
        elif kind == "account":
            _restore_account(state, _accounts.decode(value))
        elif kind == "known":
            known.append((name, value))
        elif key == PARTITION:
            journal_off = _restore_partition(state, _partitions.decode(value))
    for name, value in sorted(known):
        state.accounts[name.rpartition("/")[0]].learn(_known.decode(value))
    orders.sort(key=lambda row: (row.intent.account, row.n))
    for row in orders:
        _restore_order(state, row)
    return state, journal_off


def state_hash(state: State) -> str:
    """Return SHA-256 over the canonical rows: equal states have equal hashes in every process."""
    total = sha256()
    for key, value in (*all_rows(state), watermark(state, 0)):
        total.update(b"%d:%b%d:%b" % (len(key), key.encode(), len(value), value))
    return total.hexdigest()


def _account_row(account: Account) -> bytes:
    exposure, limits = account.exposure, account.limits
    row = AccountRow(
        account=account.id,
        currency=exposure.currency,
        opened_ts_ns=account.opened_ts_ns,
        seq=account.seq,
        orders_seen=account.orders_seen,
        quarantined=account.quarantined,
        cash=str(exposure.cash),
        open_orders=exposure.open_orders,
        tat_ns=exposure.tat_ns,
        limits_version=0 if limits is None else limits.version,
        limits=None if limits is None else limits.body,
        holdings=[_holding_row(exposure.holdings[name]) for name in sorted(exposure.holdings)],
        recent=list(exposure.recent_order),
        aside=list(account.aside.items()),
        deposits=list(account.deposits.items()),
    )
    return _encoder.encode(row)


def _holding_row(holding: Holding) -> HoldingRow:
    return HoldingRow(
        holding.instrument,
        holding.price_scale,
        holding.qty_scale,
        holding.qty,
        str(holding.cost),
        str(holding.realised),
        str(holding.fees),
        holding.buy_open,
        holding.sell_open,
        str(holding.buy_raw),
        str(holding.sell_raw),
    )


def _order_row(state: State, order: str) -> Row:
    row = state.orders.get(order)
    return f"order/{order}", None if row is None else _encoder.encode(row)


def _known_row(account: Account, number: int) -> tuple[str, bytes]:
    ids = account.arrived[number * KNOWN_IN_ROW : (number + 1) * KNOWN_IN_ROW]
    pairs = [(id_.hex(), account.known[id_.hex()[:2]][id_].hex()) for id_ in ids]
    return f"known/{account.id}/{number:08d}", _encoder.encode(pairs)


def _restore_account(state: State, row: AccountRow) -> None:
    account = state.accounts[row.account] = Account(row.account, row.currency, row.opened_ts_ns)
    account.seq, account.orders_seen, account.quarantined = row.seq, row.orders_seen, row.quarantined
    account.limits = None if row.limits is None else Limits(row.limits_version, row.limits)
    account.aside, account.deposits = dict(row.aside), dict(row.deposits)
    exposure = account.exposure
    exposure.cash, exposure.open_orders, exposure.tat_ns = int(row.cash), row.open_orders, row.tat_ns
    for ts_ns, signature in row.recent:
        exposure.recent_order.append((ts_ns, signature))
        exposure.recent.setdefault(signature, []).append(ts_ns)
    for held in row.holdings:
        holding = exposure.holding(held.instrument, held.price_scale, held.qty_scale)
        holding.qty, holding.cost = held.qty, int(held.cost)
        holding.realised, holding.fees = int(held.realised), int(held.fees)
        holding.buy_open, holding.sell_open = held.buy_open, held.sell_open
        holding.buy_raw, holding.sell_raw = int(held.buy_raw), int(held.sell_raw)


def _restore_order(state: State, row: OrderRow) -> None:
    state.orders[row.id] = row
    account = state.accounts[row.intent.account]
    account.trades.update(row.trades or ())
    if row.ended:
        account.end(row)
        return
    account.open[row.id] = row
    index(state, row, account.exposure.holdings[row.intent.instrument])


def _restore_partition(state: State, row: PartitionRow) -> int:
    state.seq, state.hash, state.generation = row.seq, row.hash, row.generation
    state.partition_seq, state.causes = row.partition_seq, row.causes
    state.controls.killed, state.controls.killed_by = row.killed, row.killed_by
    state.controls.modes = row.modes
    return row.journal_off
