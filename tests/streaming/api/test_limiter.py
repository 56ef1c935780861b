"""The limiter lets the burst pass, then the rate; it tells when to come again and never grows beyond its bound."""

from hypothesis import given
from hypothesis import strategies as st

from streaming.api import limiter
from streaming.api.limiter import Limiter


def test_the_burst_passes_then_the_rate() -> None:
    bucket = Limiter(10, 3)
    assert [bucket.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 1]
    assert bucket.take("a", 0.11) == 0
    assert bucket.take("b", 0.1) == 0


@given(st.lists(st.floats(0, 0.5), max_size=60), st.integers(1, 5))
def test_never_more_than_burst_plus_rate(gaps: list[float], burst: int) -> None:
    bucket, now, passed = Limiter(10, burst), 0.0, 0
    for gap in gaps:
        now += gap
        passed += bucket.take("a", now) == 0
    assert passed <= burst + 10 * now + 1


def test_many_names_do_not_grow_without_bound() -> None:
    bucket = Limiter(0.001, 1)
    for number in range(limiter.MAX_KEYS + 10):
        assert bucket.take(str(number), 0.0) == 0
    assert len(bucket._spent_until) <= limiter.MAX_KEYS
