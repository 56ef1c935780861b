"""Partition of a key by Kafka's murmur2, so that each producer in any language finds the same shard."""

from functools import lru_cache

KEPT_KEYS = 4_096
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """Return Kafka's 32-bit murmur2 of `data` (org.apache.kafka.common.utils.Utils.murmur2), as unsigned."""
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _MASK
        k = (k ^ (k >> 24)) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if length > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)


@lru_cache(maxsize=KEPT_KEYS)
def shard_of(instrument_id: str, shards: int) -> int:
    """Return the partition of an instrument among `shards`, as Kafka's default partitioner chooses it."""
    return (murmur2(instrument_id.encode()) & 0x7FFFFFFF) % shards
