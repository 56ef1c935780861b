"""A follower sees whole topics from the beginning and goes on, on both brokers."""

from streaming.transport.client import BrokerClient, TopicSpec
from streaming.transport.follow import Follower, follow

TRIES = 100


async def take(follower: Follower, count: int) -> list[tuple[int, bytes | None]]:
    """Take until there are `count` records."""
    found: list[tuple[int, bytes | None]] = []
    for _ in range(TRIES):
        found += [(record.partition, record.value) for record in await follower.take(0.1)]
        if len(found) >= count:
            break
    return found


async def test_old_and_new_records_of_all_partitions_come(client: BrokerClient, url: str, topic: str) -> None:
    await client.create_topics([TopicSpec(topic, 2, compacted=True)])
    await client.append(topic, 0, [(b"a", b"1"), (b"b", b"2")])
    await client.append(topic, 1, [(b"c", b"3")])
    follower = follow(url, client, topic, 2)
    assert sorted(await take(follower, 3)) == [(0, b"1"), (0, b"2"), (1, b"3")]
    assert await follower.take(0.01) == []
    await client.append(topic, 1, [(b"c", b"4")])
    assert await take(follower, 1) == [(1, b"4")]
    assert not await follower.behind()
    await follower.stop()


async def test_it_can_begin_later_and_goes_on_where_a_lost_connection_ended(
    client: BrokerClient, url: str, topic: str
) -> None:
    await client.create_topics([TopicSpec(topic, 2)])
    await client.append(topic, 0, [(None, b"1"), (None, b"2")])
    await client.append(topic, 1, [(None, b"3")])
    follower = follow(url, client, topic, 2, {0: 1})
    assert sorted(await take(follower, 2)) == [(0, b"2"), (1, b"3")]
    await follower.stop()
    await client.append(topic, 0, [(None, b"4")])
    assert await take(follower, 1) == [(0, b"4")]
    await follower.stop()
