"""Columns from buffers equal those that Arrow makes from Python values."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from streaming.columns import LAST_DAY, column, days, floats, from_rows, integers, merged, strings, texts
from trading.codec import CodecError
from trading.market.batches import ABSENT

SCHEMA = pa.schema(
    [
        ("day", pa.date32()),
        ("at", pa.timestamp("us", "UTC")),
        ("name", pa.utf8()),
        ("raw", pa.binary()),
        ("many", pa.int64()),
        ("few", pa.int32()),
        ("yes", pa.bool_()),
    ]
)


def test_rows_of_every_kind() -> None:
    rows = [(1, 1_500_000, "ä", b"\x00x", 2**40, 7, True), (0, 0, "", b"", -1, -7, False)]
    table = from_rows(SCHEMA, rows)
    table.validate(full=True)
    assert table.schema == SCHEMA
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        (date(1970, 1, 2), datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC), "ä", b"\x00x", 2**40, 7, True),
        (date(1970, 1, 1), datetime(1970, 1, 1, tzinfo=UTC), "", b"", -1, -7, False),
    ]
    assert from_rows(SCHEMA, []).num_rows == 0


def test_absent_numbers_are_null() -> None:
    values = np.array([5, ABSENT])
    assert floats(values, np.array([10.0, 10.0])).to_pylist() == [0.5, None]
    assert integers(values).to_pylist() == [5, None]
    assert column(pa.int32(), np.array([1, 2], np.int32), np.array([False, True])).to_pylist() == [None, 2]


def test_texts() -> None:
    assert strings([b"a", b"bc"], pa.utf8()).to_pylist() == ["a", "bc"]
    one = (["x", "y"], np.array([1, 0, 1], np.int16))
    assert texts(one).to_pylist() == ["y", "x", "y"]
    assert texts(
        merged([one, ([], np.array([], np.int16)), (["z", "x"], np.array([1, 0], np.int16))])
    ).to_pylist() == list("yxyxz")


@pytest.mark.parametrize("day", [-1, LAST_DAY + 1])
def test_a_day_that_no_date_can_hold(day: Any) -> None:
    with pytest.raises(CodecError, match="between day 0"):
        days(np.array([day], np.int32))
