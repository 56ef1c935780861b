"""Records that are delivered together, on both transports: in order, acknowledged one by one, committed as ever."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streaming.app import RoleApp
from streaming.flow import Flow, FlowContext
from streaming.settings import Settings
from streaming.transport.client import BrokerClient, Record, TopicSpec
from tests.streaming.transport.apps import until

BACKLOG = 1_000


class Holding:
    """A processor that notes what it is given, and lets go what it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.release: int | None = None

    async def open(self) -> int | None:
        return None

    async def process(self, records: Sequence[Record]) -> int | None:
        self.batches.append([record.offset for record in records])
        assert [record.value for record in records] == [b"%d" % record.offset for record in records]
        return self.release

    async def tick(self) -> int | None:
        return self.release

    async def close(self) -> int | None:
        return self.release

    def stats(self) -> dict[str, Any]:
        return {}


async def test_a_backlog_comes_in_batches_and_any_part_of_one_can_be_let_go(
    url: str, client: BrokerClient, topic: str, tmp_path: Path
) -> None:
    await client.create_topics([TopicSpec(topic, 1)])
    await client.append(topic, 0, [(None, b"%d" % n) for n in range(BACKLOG)])
    await one_life(url, client, topic, tmp_path, range(BACKLOG), 777)
    await one_life(url, client, topic, tmp_path, range(777, BACKLOG), BACKLOG)


async def test_partitions_come_together_and_are_let_go_apart(
    url: str, client: BrokerClient, topic: str, tmp_path: Path
) -> None:
    await client.create_topics([TopicSpec(topic, 3)])
    for number in range(3):
        await client.append(topic, number, [(None, b"%d" % n) for n in range(400 * number)])
    group, parts = f"g-{topic}", [Holding() for _ in range(3)]
    flow = Flow(group, topic, lambda _, __, number: parts[number])
    role = RoleApp(flow, FlowContext(Settings(home=tmp_path, broker=url), tmp_path, client))
    await role.start()
    await until(lambda: [sum(map(len, part.batches)) for part in parts] == [0, 400, 800])
    parts[1].release, parts[2].release = 300, 800

    async def let_go() -> bool:
        return [await client.committed(group, topic, n) or 0 for n in range(3)] == [0, 300, 800]

    await until(let_go)
    await role.stop()


async def one_life(url: str, client: BrokerClient, topic: str, home: Path, wanted: range, release: int) -> None:
    """Consume what is wanted, let go up to an offset, and stop."""
    group, holding = f"g-{topic}", Holding()
    flow = Flow(group, topic, lambda *_: holding, fetch_gap_s=0.001)
    role = RoleApp(flow, FlowContext(Settings(home=home, broker=url), home, client))
    await role.start()
    await until(lambda: sum(map(len, holding.batches)) == len(wanted))
    assert [offset for batch in holding.batches for offset in batch] == list(wanted)
    assert len(holding.batches) < BACKLOG / 20
    holding.release = release

    async def let_go() -> bool:
        return await client.committed(group, topic, 0) == release

    await until(let_go)
    await role.stop()
