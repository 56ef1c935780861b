"""Bodies are read strictly: what the bytes say, and nothing that a lenient reader would make of them."""

import contextlib
import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from streaming.api.body import amount, decode, read
from streaming.api.errors import ApiError


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    count: int = 0


THING = msgspec.json.Decoder(Thing)


def request_of(*parts: bytes, **headers: str) -> Request:
    given = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    waiting = [
        {"type": "http.request", "body": part, "more_body": place < len(parts)} for place, part in enumerate(parts, 1)
    ]

    async def receive() -> dict[str, object]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    return Request({"type": "http", "headers": raw, "method": "POST"}, receive)


@pytest.mark.parametrize("token", [b'"1e3"', b"1e3", b"true", b'"0x1"', b"[]", b'""', b'" 1"', '"\u0661"'.encode()])
def test_what_is_no_plain_decimal_is_refused(token: bytes) -> None:
    with pytest.raises(ApiError) as error:
        amount("qty", msgspec.Raw(token))
    assert (error.value.status, error.value.code, error.value.field) == (422, "QTY_NOT_A_NUMBER", "qty")


@given(st.decimals(min_value=0, max_value=10**9, places=8))
def test_an_amount_keeps_its_digits(value: Decimal) -> None:
    text = f"{value:f}"
    for token in (f'"{text}"', text):
        told = amount("qty", msgspec.Raw(token.encode()))
        assert told is not None
        assert Decimal(told) == value


@given(st.floats(min_value=0, max_value=1e-4, exclude_min=True))
def test_small_floats_are_read_as_their_encoder_meant_them(value: float) -> None:
    token = json.dumps(value)
    if len(token) < 25 and int(token.partition("e-")[2] or 0) < 20:
        told = amount("qty", msgspec.Raw(token.encode()))
        assert told is not None
        assert Decimal(told) == Decimal(token)


def test_null_is_no_amount() -> None:
    assert amount("qty", msgspec.Raw(b"null")) is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"name":"a","name":"b"}', 400, "DUPLICATE_KEY"),
        (b'{"name":"a","count":NaN}', 400, "JSON_INVALID"),
        (b'{"name":"\xff"}', 400, "JSON_INVALID"),
        (b"[" * 100_000, 400, "JSON_TOO_DEEP"),
        (b'{"name":1}', 422, "FIELD_INVALID"),
        (b'{"count":1}', 422, "FIELD_MISSING"),
        (b'{"name":"a","legs":[]}', 422, "FIELD_NOT_SUPPORTED"),
        (b'{"name":"a","other":1}', 422, "FIELD_UNKNOWN"),
    ],
)
def test_what_does_not_fit_has_its_code(body: bytes, status: int, code: str) -> None:
    with pytest.raises(ApiError) as error:
        decode(body, THING)
    assert (error.value.status, error.value.code) == (status, code)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_an_api_error(body: bytes) -> None:
    with contextlib.suppress(ApiError):
        assert isinstance(decode(body, THING), Thing)


async def test_a_body_is_read_up_to_the_cap_and_no_further() -> None:
    assert await read(request_of(b"ab", b"c"), 3) == b"abc"
    with pytest.raises(ApiError, match="at most 3 bytes"):
        await read(request_of(b"ab", b"cd"), 3)
    with pytest.raises(ApiError) as error:
        await read(request_of(b"", content_length="9" * 400), 3)
    assert error.value.status == 413


async def test_other_types_and_encodings_are_refused() -> None:
    for headers in ({"content_type": "text/plain"}, {"content_encoding": "gzip"}):
        with pytest.raises(ApiError) as error:
            await read(request_of(b"{}", **headers), 10)
        assert error.value.status == 415
    assert await read(request_of(b"{}", content_type='application/json; charset="UTF-8"'), 10) == b"{}"


async def test_a_body_that_breaks_off_is_an_error_of_the_client() -> None:
    gone = request_of()
    with pytest.raises(ApiError) as error:
        await read(gone, 10)
    assert (error.value.status, error.value.code) == (400, "BODY_INCOMPLETE")
