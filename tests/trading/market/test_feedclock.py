import pytest

from tests.trading.market.frames import DAY, frame
from trading.codec import CodecError
from trading.market.feedclock import AGREEING_FRAMES, MAX_FEEDS, FeedClock
from trading.market.policy import MarketPolicy

POLICY = MarketPolicy(max_clock_step_ns=1_000, allowed_lateness_ns=10)


def test_numbers_tell_new_lost_and_seen_frames() -> None:
    clock = FeedClock(POLICY)
    found = [clock.admit(frame([], seq, DAY)) for seq in (0, 1, 3, 3, 2, 4)]
    assert found == [False, False, True, None, None, False]
    assert clock.admit(frame([], 5, DAY, feed="other")) is True


def test_the_clock_and_the_watermark_never_run_back() -> None:
    clock = FeedClock(POLICY)
    for seq, step in enumerate((0, 500, 100)):
        clock.admit(frame([], seq, DAY + step))
    assert (clock.clock_ns, clock.watermark()) == (DAY + 500, DAY + 490)


@pytest.mark.parametrize("way", [-5_000, 5_000])
def test_a_leap_needs_frames_that_agree(way: int) -> None:
    clock = FeedClock(POLICY)
    clock.admit(frame([], 0, DAY))
    for seq in range(1, AGREEING_FRAMES + 1):
        with pytest.raises(CodecError, match="leaps"):
            clock.admit(frame([], seq, DAY + way))
    assert clock.clock_ns == DAY
    clock.admit(frame([], AGREEING_FRAMES + 1, DAY + way))
    assert clock.clock_ns == DAY + way


def test_frames_between_break_the_agreement() -> None:
    clock = FeedClock(POLICY)
    for seq in range(20):
        if seq % 2:
            with pytest.raises(CodecError):
                clock.admit(frame([], seq, DAY + 5_000))
        else:
            clock.admit(frame([], seq, DAY))
    assert clock.clock_ns == DAY


def test_feeds_are_bounded() -> None:
    clock = FeedClock(POLICY)
    for number in range(MAX_FEEDS):
        clock.admit(frame([], 0, DAY, feed=str(number)))
    with pytest.raises(CodecError, match="one more") as caught:
        clock.admit(frame([], 0, DAY, feed="more"))
    assert caught.value.code == "TOO_MANY_FEEDS"
