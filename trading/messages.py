"""The JSON messages of the market-data plane. Immutable; amounts are decimal strings; each names its schema."""

import msgspec


class Source(msgspec.Struct, frozen=True, array_like=True):
    """The raw message that caused a derived one: its partition and offset in `ticks.raw`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Source":
        """Read `partition:offset`."""
        partition, _, offset = text.partition(":")
        return cls(int(partition), int(offset))


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest prices of one instrument, conflated. An absent side is null."""

    schema: str = "prices/1"
    instrument: str
    ts_ns: int
    bid: str | None = None
    ask: str | None = None
    last: str | None = None


class Reject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One refused input: a stable code, what was wrong, and the row as it came (`row` is -1 for a whole message)."""

    code: str
    message: str
    row: int = -1
    sample: str = ""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that was refused of one message. `topic` and `src` say where the message itself can be read again."""

    schema: str = "deadletter/1"
    topic: str
    src: Source
    ts_ns: int
    rejects: tuple[Reject, ...]
