import pytest

from trading.codec import MAX_MESSAGE_BYTES, CodecError, decode, encode
from trading.messages import Price


def test_a_message_names_its_schema_and_comes_back() -> None:
    price = Price(instrument="SPY.US", ts_ns=1, bid="1.5")
    payload = encode(price)
    assert payload.startswith(b'{"schema":"prices/1"')
    assert decode(payload, Price) == price


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"{", "CORRUPT"),
        (b"\xff\xfe", "CORRUPT"),
        (b"[]", "CORRUPT"),
        (b'{"schema":"prices/2"}', "WRONG_SCHEMA"),
        (b"{}", "WRONG_SCHEMA"),
        (b'{"schema":"prices/1"}', "BAD_FIELD"),
        (b'{"schema":"prices/1","instrument":1,"ts_ns":1}', "BAD_FIELD"),
        (b" " * (MAX_MESSAGE_BYTES + 1), "TOO_LARGE"),
    ],
)
def test_what_is_no_such_message_is_refused(payload: bytes, code: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode(payload, Price)
    assert caught.value.code == code
