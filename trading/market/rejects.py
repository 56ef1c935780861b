"""Why a row was refused: the stable codes, the text a person reads, and the dead letter they travel in."""

from collections.abc import Mapping
from enum import IntEnum

from trading.market.batches import Array, RawBatch
from trading.messages import Reject

SAMPLE_CHARS = 200


class Code(IntEnum):
    """One reason to refuse a row. `OK` is not refused; the first reason in this order wins."""

    OK = 0
    UNKNOWN_SYMBOL = 1
    BAD_KIND = 2
    OUT_OF_RANGE = 3
    NOT_A_NUMBER = 4
    NEGATIVE_PRICE = 5
    NEGATIVE_SIZE = 6
    ZERO_SIZE = 7
    EMPTY_QUOTE = 8
    FROM_THE_FUTURE = 9
    FROM_THE_PAST = 10
    TOO_MANY_IDS = 11
    PRICE_JUMP = 12


TEXTS: Mapping[Code, str] = {
    Code.UNKNOWN_SYMBOL: "no instrument of this venue has this symbol; add it to [[instruments]]",
    Code.BAD_KIND: "kind is neither trade (0) nor quote (1)",
    Code.OUT_OF_RANGE: "the time, the price or the size does not fit the instrument's scale or calendar",
    Code.NOT_A_NUMBER: "a price or size is not a finite number",
    Code.NEGATIVE_PRICE: "a price is not above 0",
    Code.NEGATIVE_SIZE: "a size is below 0",
    Code.ZERO_SIZE: "a trade of size 0 in the instrument's scale",
    Code.EMPTY_QUOTE: "a quote with neither bid nor ask",
    Code.FROM_THE_FUTURE: "the time is ahead of the feed's clock by more than is tolerated",
    Code.FROM_THE_PAST: "the session is older than the previous one by the feed's clock",
    Code.TOO_MANY_IDS: "too many different trade ids in this session",
    Code.PRICE_JUMP: "the price is too far from the last accepted one",
}


def reject_rows(batch: RawBatch, codes: Array) -> tuple[Reject, ...]:
    """Return one `Reject` for each row whose code is not `OK`, in row order."""
    return tuple(
        Reject(code=code.name, message=TEXTS[code], row=row, sample=sample(batch, row))
        for row, code in ((row, Code(int(codes[row]))) for row in codes.nonzero()[0].tolist())
    )


def sample(batch: RawBatch, row: int) -> str:
    """Return one row as short `name=value` text."""
    parts = []
    for name in batch.COLUMNS:
        column = getattr(batch, name)
        value = column[0][int(column[1][row])] if isinstance(column, tuple) else column[row].item()
        parts.append(f"{name}={value}")
    return " ".join(parts)[:SAMPLE_CHARS]
