"""Commands on the wire."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.orders.builders import T0, ack, canceled, fill, limits_body, submit
from trading.codec import CodecError
from trading.commands import (
    AnyCommand,
    CancelAll,
    Kill,
    ReplaceOrder,
    SetLimits,
    Timer,
    VenueState,
    decode_command,
    encode_command,
)

EACH: list[AnyCommand] = [
    submit(),
    ack(),
    fill(),
    canceled(),
    CancelAll(account="a", ts_ns=T0),
    ReplaceOrder(account="a", ts_ns=T0, order="o", client_order_id="c", qty="5"),
    SetLimits(account="a", ts_ns=T0, actor="x", limits=limits_body()),
    Kill(account="", ts_ns=T0, actor="x"),
    VenueState(account="a", ts_ns=T0, order="o", found=False),
    Timer(account="", ts_ns=T0),
]


@pytest.mark.parametrize("command", EACH, ids=lambda command: type(command).__name__)
def test_there_and_back(command: AnyCommand) -> None:
    assert decode_command(encode_command(command)) == command


def test_the_golden_bytes_of_a_submission() -> None:
    assert encode_command(submit()) == (
        b'{"schema":"orders.commands/1","kind":"submit","account":"a","ts_ns":1700000000000000000,'
        b'"client_order_id":"c1","instrument":"XYZ.SIM","side":"buy","qty":"10","type":"limit","tif":"gtc",'
        b'"limit_price":"99"}'
    )


GOOD = encode_command(submit())


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "CORRUPT"),
        (b"\xff\xfe", "CORRUPT"),
        (b"[1]", "BAD_FIELD"),
        (b"{}", "WRONG_SCHEMA"),
        (GOOD.replace(b"orders.commands/1", b"orders.commands/2"), "WRONG_SCHEMA"),
        (GOOD.replace(b'"submit"', b'"steal"'), "BAD_FIELD"),
        (GOOD.replace(b'"10"', b"10"), "BAD_FIELD"),
        (GOOD.replace(b'"buy"', b'"BUY"'), "BAD_FIELD"),
        (GOOD.replace(b"1700000000000000000", b"-1"), "BAD_FIELD"),
        (GOOD.replace(b'"c1"', b'"' + b"x" * 129 + b'"'), "BAD_FIELD"),
        (GOOD[:-1], "CORRUPT"),
        (b"[" * 100_000, "BAD_FIELD"),
        (b"x" * (5 << 20), "TOO_LARGE"),
    ],
)
def test_what_is_no_command_has_a_code(payload: bytes, code: str) -> None:
    with pytest.raises(CodecError) as error:
        decode_command(payload)
    assert error.value.code == code


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_damaged_command_is_read_or_refused(place: int, byte: int) -> None:
    damaged = bytearray(GOOD)
    damaged[place] = byte
    with suppress(CodecError):
        decode_command(bytes(damaged))
