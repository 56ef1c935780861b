"""The journal: one sealed record for each command, chained by hash through the partition.

The hash is SHA-256 over the record's own bytes without the hash, so anybody can verify a journal without this code:
cut `,"hash":"<64 hex>"` out before the last brace.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

import msgspec

from trading.codec import MAX_MESSAGE_BYTES, CodecError
from trading.events import AnyEvent
from trading.orders.evolve import evolve
from trading.orders.state import State

JOURNAL_SCHEMA = "orders.journal/1"
FENCE = "fence"
# A kill with many open orders must not make a record that nobody reads: texts and ids of an event are bounded.
MAX_EVENTS = 2_000
_TAIL = len(',"hash":""}') + 64


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record. `account` is empty for the whole partition; `cause` is `topic:partition:offset`, or names an id."""

    schema: str
    generation: int
    seq: int
    prev_hash: str
    account: str
    account_seq: int
    cause: str
    ts_ns: int
    events: tuple[AnyEvent, ...]
    hash: str = ""


class JournalError(ValueError):
    """A journal that does not hold together. `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Body(msgspec.Struct, frozen=True, gc=False):
    schema: str
    generation: int
    seq: int
    prev_hash: str
    account: str
    account_seq: int
    cause: str
    ts_ns: int
    events: Sequence[AnyEvent]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


def append(state: State, account: str, cause: str, ts_ns: int, events: Sequence[AnyEvent]) -> bytes:
    """Evolve the state by the events of one command and return the sealed record of it, ready to be written."""
    for event in events:
        evolve(state, event)
    seq, prev = state.seq + 1, state.hash
    owner = state.accounts.get(account)
    if owner is None:
        state.partition_seq += 1
        account_seq = state.partition_seq
    else:
        owner.seq += 1
        account_seq = owner.seq
        state.dirty.add(account)
    body = _Body(JOURNAL_SCHEMA, state.generation, seq, prev, account, account_seq, cause, ts_ns, events)
    payload, state.hash = _seal(body)
    state.seq = seq
    note_cause(state, cause)
    return payload


def append_fence(state: State, owner: str, ts_ns: int) -> bytes:
    """Return the record that opens a new ownership of the partition; its offset becomes the generation."""
    return append(state, "", f"{FENCE}:{owner}", ts_ns, ())


def fold(state: State, record: Record, *, offset: int | None = None) -> None:
    """Apply a record that was read back. Raises `JournalError` GAP or CHAIN_BROKEN; a fence sets the generation."""
    if record.seq != state.seq + 1:
        raise JournalError("GAP", f"record {record.seq} after {state.seq}")
    if record.prev_hash != state.hash:
        raise JournalError("CHAIN_BROKEN", f"record {record.seq} does not continue the chain")
    for event in record.events:
        evolve(state, event)
    owner = state.accounts.get(record.account)
    if owner is None:
        state.partition_seq = record.account_seq
    else:
        owner.seq = record.account_seq
        state.dirty.add(record.account)
    state.seq, state.hash = record.seq, record.hash
    if offset is not None and record.cause.startswith(FENCE):
        state.generation = offset
    note_cause(state, record.cause)


def split(events: Iterable[AnyEvent]) -> list[tuple[str, list[AnyEvent]]]:
    """Group the events of one command by account, in order of appearance: one record for each, or for each part."""
    groups: dict[str, list[AnyEvent]] = {}
    for event in events:
        groups.setdefault(event.account, []).append(event)
    return [
        (account, group[place : place + MAX_EVENTS])
        for account, group in groups.items()
        for place in range(0, len(group), MAX_EVENTS)
    ]


def note_cause(state: State, cause: str) -> None:
    """Raise the high-water mark of a cause that is an offset."""
    source, _, offset = cause.rpartition(":")
    if offset.isdigit() and source.count(":") == 1:
        state.causes[source] = max(state.causes.get(source, -1), int(offset))


def is_worked(state: State, topic: str, partition: int, offset: int) -> bool:
    """Say whether a command of this offset has been worked already."""
    return offset <= state.causes.get(f"{topic}:{partition}", -1)


def read_record(payload: bytes) -> Record:
    """Return the record; raise `CodecError` TOO_LARGE, CORRUPT, WRONG_SCHEMA or BAD_FIELD. The hash is not checked."""
    if len(payload) > MAX_MESSAGE_BYTES:
        raise CodecError("TOO_LARGE", f"record of {len(payload)} bytes, {MAX_MESSAGE_BYTES} allowed")
    try:
        record: Record = _decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise CodecError("BAD_FIELD", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError("CORRUPT", f"not a JSON record: {error}") from None
    if record.schema != JOURNAL_SCHEMA:
        raise CodecError("WRONG_SCHEMA", f"schema {record.schema!r}, wanted {JOURNAL_SCHEMA!r}")
    return record


def hash_of(payload: bytes) -> str:
    """Return the hash that the bytes of a record must carry."""
    return sha256(payload[:-_TAIL] + b"}").hexdigest()


def verify(payloads: Iterable[bytes], seq: int = 0, prev_hash: str = "") -> tuple[int, str]:
    """Check a run of records after (seq, hash); return where it ends. Raises `JournalError` with the place."""
    for payload in payloads:
        try:
            record = read_record(payload)
        except CodecError as error:
            raise JournalError("UNREADABLE", f"after record {seq}: {error}") from None
        if record.seq != seq + 1:
            raise JournalError("GAP", f"record {record.seq} after {seq}")
        if record.prev_hash != prev_hash:
            raise JournalError("CHAIN_BROKEN", f"record {record.seq} does not continue the chain")
        if not payload.endswith(f',"hash":"{record.hash}"}}'.encode()) or hash_of(payload) != record.hash:
            raise JournalError("TAMPERED", f"record {record.seq} does not match its hash")
        seq, prev_hash = record.seq, record.hash
    return seq, prev_hash


def _seal(body: _Body) -> tuple[bytes, str]:
    data = _encoder.encode(body)
    digest = sha256(data).hexdigest()
    return data[:-1] + f',"hash":"{digest}"}}'.encode(), digest
