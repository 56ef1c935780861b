import pytest

from trading.market.shards import murmur2, shard_of


@pytest.mark.parametrize(
    ("key", "signed"),
    # The vectors of Kafka's own UtilsTest.
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


def test_shards_are_in_range_and_all_used() -> None:
    assert {shard_of(f"S{number}.US", 4) for number in range(100)} == {0, 1, 2, 3}
    assert shard_of("21", 1_000) == (-973932308 & 0x7FFFFFFF) % 1_000
