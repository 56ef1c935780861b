"""Read what a feed sends."""

from itertools import islice

from streaming.adapters.feed import Feed
from trading.market.batches import RawBatch


async def payloads(feed: Feed, start_seq: int = 0, count: int | None = None) -> list[bytes]:
    """Return the frames of a feed from `start_seq` on, all of them or `count`."""
    found: list[bytes] = []
    async for payload in feed.frames(start_seq):
        found.append(payload)
        if count is not None and len(found) >= count:
            break
    return found


async def batches(feed: Feed, start_seq: int = 0, count: int | None = None) -> list[RawBatch]:
    """Return the same, decoded."""
    return [RawBatch.decode(payload) for payload in await payloads(feed, start_seq, count)]


def symbols(batch: RawBatch, count: int | None = None) -> list[str]:
    """Return the symbol of each row."""
    return [batch.symbol[0][code] for code in islice(batch.symbol[1], count)]
