from hypothesis import given
from hypothesis import strategies as st

from streaming.adapters.feed_sim import VIRTUAL_START_NS, SimFeed
from streaming.adapters.frame_head import FrameHead, read_head, read_source
from streaming.settings import FeedSettings
from trading.instruments import CATALOGUE
from trading.market.batches import empty_frame
from trading.market.normalize import Normalizer
from trading.market.policy import MarketPolicy
from trading.messages import Source

FRAME = SimFeed(FeedSettings(rate=0, batch_rows=50)).frame(9, 0)


def test_the_head_of_a_frame() -> None:
    payload = FRAME.encode()
    assert read_head(payload) == FrameHead(FRAME.feed, "SIM", 9, len(FRAME), FRAME.clock_ns, eof=False)
    last = empty_frame(feed="f", venue="US", seq=1, clock_ns=2, eof=True)
    assert read_head(last.encode()) == FrameHead("f", "US", 1, 0, 2, eof=True)


def test_the_source_of_a_derived_message() -> None:
    frame = SimFeed(FeedSettings(rate=0)).frame(9, VIRTUAL_START_NS)
    result = Normalizer(CATALOGUE, MarketPolicy(), 2).apply(frame.encode(), Source(3, 5))
    assert result.ticks
    assert all(read_source(batch.encode()) == Source(3, 5) for batch in result.ticks.values())
    assert read_source(FRAME.encode()) is None


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_have_no_head(payload: bytes) -> None:
    assert read_head(payload) is None
    assert read_source(payload) is None


@given(data=st.data())
def test_a_spoiled_frame_never_raises(data: st.DataObject) -> None:
    payload = bytearray(FRAME.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    read_head(bytes(payload))
    read_source(bytes(payload))
