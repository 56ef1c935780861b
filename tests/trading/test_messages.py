from hypothesis import given
from hypothesis import strategies as st

from trading.codec import decode, encode
from trading.messages import DeadLetter, Reject, Source


@given(st.integers(0, 10_000), st.integers(0, 2**63 - 1))
def test_a_source_is_short_text(partition: int, offset: int) -> None:
    source = Source(partition, offset)
    assert Source.parse(str(source)) == source


def test_a_dead_letter_comes_back() -> None:
    rejects = (Reject(code="A", message="b"), Reject(code="C", message="d", row=3, sample="x=1"))
    letter = DeadLetter(topic="ticks.raw", src=Source(1, 2), ts_ns=3, rejects=rejects)
    assert decode(encode(letter), DeadLetter) == letter
