"""Why an order is as it is, told by the journal alone, and whether the journal is whole."""

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from streaming.api import times
from streaming.api.errors import ApiError, describe
from streaming.api.history import Place
from streaming.api.operations import Call, Operation
from streaming.api.orders import path_order
from streaming.api.symbols import as_uuid
from streaming.api.what_if import BrokenRule
from streaming.owner.desk import DeskError
from streaming.owner.journal_fold import JournalReader
from streaming.transport.client import BrokerError
from trading.amounts import to_text
from trading.codec import CodecError
from trading.commands import LimitsBody, ReplaceOrder
from trading.events import Breach, OrderAccepted, OrderRefused, RiskInputs
from trading.orders.journal import JournalError, Record, hash_of, read_record, verify

VERIFY_RECORDS = 1_000
CORRUPT = "LOG_CORRUPT"


class Step(msgspec.Struct, frozen=True):
    """One journal record that speaks of the order.

    `command` is what came by the command topic, venue reports too, as it came; of an order by HTTP, what is on record.
    """

    partition: int
    offset: int
    seq: int
    generation: int
    at: str
    cause: str
    prev_hash: str
    hash: str
    hash_is_right: bool
    events: list[dict[str, Any]]
    command: dict[str, Any] | None


class RiskSeen(msgspec.Struct, frozen=True):
    """The inputs that the gate used: price in the instrument's scale, cash in 1e-9."""

    price: int
    price_at: str
    market_version: int
    limits_version: int
    equity: int
    gross: int


class Why(msgspec.Struct, frozen=True):
    """The story of an order: commands, risk inputs, limits in force, journal records with their hashes, fills.

    Of a refused order: the rules that it broke instead of the inputs.
    """

    order_id: str
    client_order_id: str
    account: str
    instrument: str
    outcome: str
    risk: RiskSeen | None
    limits: LimitsBody | None
    breaches: list[BrokenRule]
    steps: list[Step]


class AuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which partition; all without one."""

    partition: Annotated[int, Meta(ge=0, le=63)] | None = None


class ChainState(msgspec.Struct, frozen=True):
    """One partition of the journal: how many records were verified up to which, and what is wrong if anything is."""

    partition: int
    records: int
    skipped: int
    seq: int
    hash: str
    whole: bool
    code: str | None
    message: str | None


class Audit(msgspec.Struct, frozen=True):
    """Whether the hash chain of every partition holds from its first record to its last."""

    whole: bool
    partitions: list[ChainState]


async def why(call: Call) -> Why:
    """Tell the story of one order, accepted or refused."""
    order, account, history = path_order(call), call.key.account, call.services.history
    await call.catch_up()
    places = history.places(order, account)
    if not places:
        raise ApiError(404, "ORDER_UNKNOWN", "order not found")
    steps: list[Step] = []
    client_id = ""
    outcome = "unknown"
    accepted: OrderAccepted | None = None
    refused: OrderRefused | None = None
    for place in places:
        payload = await history.payload(place)
        if payload is None:
            continue
        record = read_record(payload)
        for event in record.events:
            if getattr(event, "order", "") != order:
                continue
            outcome = str(getattr(event, "to", outcome))
            if isinstance(event, OrderAccepted):
                client_id, accepted, refused = event.client_order_id, event, None
                outcome = "pending_new"
            elif isinstance(event, OrderRefused):
                client_id = event.client_order_id
                # Another order under a used id is refused by the id of the first, whose story goes on.
                if accepted is None and event.code != "ID_REUSED":
                    outcome, refused = event.code, event
        steps.append(_step(place, payload, record, await _command(call, record, order)))
    if not client_id:
        raise ApiError(404, "ORDER_UNKNOWN", "order not found")
    instrument, version = "", 0
    seen: RiskSeen | None = None
    breaches: tuple[Breach, ...] = ()
    if accepted is not None:
        instrument, version, seen = accepted.instrument, accepted.risk.limits_version, _seen(accepted.risk)
    elif refused is not None:
        instrument, version, breaches = _meant(call, refused), refused.limits_version, refused.breaches
    in_force = next((row["limits"] for row in history.limits(account) if row["version"] == version), None)
    unit = call.services.symbols.find(instrument)
    broken = [BrokenRule(**describe(breach, unit)) for breach in breaches]
    return Why(as_uuid(order), client_id, account, instrument, outcome, seen, in_force, broken, steps)


def _seen(risk: RiskInputs) -> RiskSeen:
    at = times.to_text(risk.price_ts_ns)
    return RiskSeen(risk.price, at, risk.market_version, risk.limits_version, risk.equity, risk.gross)


def _meant(call: Call, event: OrderRefused) -> str:
    """Return the instrument of an order that was refused."""
    if isinstance(event.asked, ReplaceOrder):
        row = call.services.history.order(event.asked.order)
        return "" if row is None else row.intent.instrument
    return "" if event.asked is None else event.asked.instrument


async def audit(call: Call) -> Audit:
    """Verify the hash chain of the journal as it is now."""
    count = call.services.desk.partitions
    if call.query.partition is not None and call.query.partition >= count:
        raise ApiError(422, "FIELD_INVALID", f"there are {count} partitions", "partition")
    wanted = range(count) if call.query.partition is None else (call.query.partition,)
    chains = [await _chain(call, partition) for partition in wanted]
    return Audit(all(chain.whole for chain in chains), chains)


async def _chain(call: Call, partition: int) -> ChainState:
    reader = JournalReader()
    records, seq, prev = 0, 0, ""
    error: JournalError | CodecError | BrokerError | None = None
    waiting: list[bytes] = []
    owned_seq, owned_hash = await _owned(call, partition)
    try:
        async for message in call.services.history.records(partition):
            record = reader.take(message)
            if record is None or message.value is None:
                continue
            if not records:
                # The broker may have let go of the oldest records: the chain is verified from the first that is held.
                seq, prev = record.seq - 1, record.prev_hash
            if record.seq == owned_seq and record.hash != owned_hash:
                raise JournalError("REWRITTEN", f"record {record.seq} is not the one that its owner has written")
            records += 1
            waiting.append(message.value)
            if len(waiting) >= VERIFY_RECORDS:
                seq, prev = await asyncio.to_thread(verify, waiting, seq, prev)
                waiting = []
        seq, prev = verify(waiting, seq, prev)
        if seq < owned_seq:
            raise JournalError("TRUNCATED", f"record {seq} is the last one, its owner has written {owned_seq}")
    except (JournalError, CodecError) as found:
        error = found
    except BrokerError as found:
        # The broker's own checksum finds a changed byte before the chain does; anything else is no finding.
        if found.code != CORRUPT:
            raise
        error = found
    code = None if error is None else error.code
    said = None if error is None else str(error)
    return ChainState(partition, records, reader.skipped, seq, prev, error is None, code, said)


async def _owned(call: Call, partition: int) -> tuple[int, str]:
    """Return the last durable record as the owner knows it; (0, "") where another process is the owner."""
    try:
        return await call.services.desk.read_partition(partition, lambda state: (state.seq, state.hash))
    except DeskError:
        return 0, ""


def _step(place: Place, payload: bytes, record: Record, command: dict[str, Any] | None) -> Step:
    return Step(
        place.partition,
        place.offset,
        record.seq,
        record.generation,
        times.to_text(record.ts_ns),
        record.cause,
        record.prev_hash,
        record.hash,
        hash_of(payload) == record.hash,
        msgspec.json.decode(payload)["events"],
        command,
    )


async def _command(call: Call, record: Record, order: str) -> dict[str, Any] | None:
    parts = record.cause.split(":")
    if len(parts) != 3 or not parts[1].isdigit() or not parts[2].partition("/")[0].isdigit():
        told = (each for each in record.events if isinstance(each, OrderAccepted | OrderRefused))
        return next((_asked(each) for each in told if each.order == order), None)
    payload = await call.services.history.command(parts[0], Place(int(parts[1]), int(parts[2].partition("/")[0])))
    if payload is None:
        return None
    found: dict[str, Any] = msgspec.json.decode(payload)
    return found


def _asked(event: OrderAccepted | OrderRefused) -> dict[str, Any] | None:
    if isinstance(event, OrderRefused):
        return None if event.asked is None else dict(msgspec.to_builtins(event.asked))
    price, qty = event.price_scale, event.qty_scale
    asked = {
        "kind": "replace" if event.replaces else "submit",
        "account": event.account,
        "client_order_id": event.client_order_id,
        "order": event.replaces or None,
        "instrument": event.instrument,
        "side": event.side,
        "qty": to_text(event.qty, qty),
        "type": event.type,
        "tif": event.tif,
        "limit_price": None if event.limit_price is None else to_text(event.limit_price, price),
        "stop_price": None if event.stop_price is None else to_text(event.stop_price, price),
        "expire_ts_ns": event.asked_expire_ts_ns,
        "strategy": event.strategy or None,
    }
    return {name: value for name, value in asked.items() if value is not None}


OPERATIONS = (
    Operation("GET", "/v1/orders/{order_id}/why", "Tell why an order is as it is", "read", why, Why, errors=(404,)),
    Operation("GET", "/v1/audit", "Verify the hash chain", "admin", audit, Audit, query=AuditQuery),
)
