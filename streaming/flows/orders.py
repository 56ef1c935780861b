"""Role `orders`: the owner of the accounts in its partitions of `orders.commands`.

The runtime's lane takes over on open, hands in commands of the topic, and lets an offset go only when the record of its
command is durable. The order API calls the same partitions through the desk, which is the `service` of the flow.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from streaming.flow import Flow, FlowContext
from streaming.owner.desk import DeskError
from streaming.owner.house import House
from streaming.owner.partition import Partition
from streaming.transport.client import Record
from trading.codec import CodecError, encode
from trading.commands import AnyCommand, decode_command
from trading.messages import DeadLetter, Reject, Source
from trading.schemas import DEADLETTER, ORDERS_COMMANDS

ROLE = "orders"
# What a report may wait for others; orders over HTTP do not come this way.
FETCH_GAP_S = 0.01
SAMPLE_BYTES = 200
AGAIN_S = 0.01


class CommandLane:
    """One input partition, as the runtime drives it."""

    def __init__(self, house: House, context: FlowContext, partition: int) -> None:
        self._house = house
        self._context = context
        self._number = partition
        self._owned: Partition | None = None
        self._is_revoked = False
        self._codes: dict[str, int] = {}

    async def open(self) -> int | None:
        """Own the partition; the input goes on as committed, for what was worked before is recognised."""
        self._owned = await self._house.own(self._number)
        if self._is_revoked:
            self._house.set_aside(self._owned)
        await self._owned.until_ready()
        return None

    async def process(self, records: Sequence[Record]) -> int | None:
        """Decide commands in order; return once all are durable, however often the partition is lost meanwhile."""
        commands = [(record.offset, command) for record in records if (command := await self._decode(record))]
        owned = self._partition
        while await owned.until_ready():
            try:
                for offset, command in commands:
                    owned.take(offset, command)
                await owned.settle()
            except DeskError:
                await asyncio.sleep(AGAIN_S)
                continue
            return records[-1].offset + 1
        return None

    async def tick(self) -> int | None:
        """Do what is due by time; an error that this process cannot survive is raised here."""
        owned = self._partition
        if owned.fatal is not None:
            raise owned.fatal
        owned.tick()
        return None

    async def close(self) -> int | None:
        """Write everything, leave a snapshot, and let go."""
        await self._house.close(self._partition)
        return None

    def revoked(self) -> None:
        """Hold on to nothing: the partition may come back, and until then its next owner shuts this one out."""
        self._is_revoked = True
        if self._owned is not None:
            self._house.set_aside(self._owned)

    def stats(self) -> Mapping[str, Any]:
        """Return the counters of the partition, and dead letters by code."""
        return {"codes": self._codes, **(self._owned.stats() if self._owned is not None else {})}

    @property
    def _partition(self) -> Partition:
        assert self._owned is not None, "the runtime opens a processor first"
        return self._owned

    async def _decode(self, record: Record) -> AnyCommand | None:
        try:
            return decode_command(record.value or b"")
        except CodecError as error:
            self._codes[error.code] = self._codes.get(error.code, 0) + 1
            reject = Reject(code=error.code, message=str(error), sample=(record.value or b"")[:SAMPLE_BYTES].hex())
            letter = DeadLetter(
                topic=record.topic,
                src=Source(record.partition, record.offset),
                ts_ns=self._house.now_ns(),
                rejects=(reject,),
            )
            await self._context.client.append(DEADLETTER.name, 0, [(str(letter.src).encode(), encode(letter))])
            return None


def order_flow(house: House) -> Flow:
    """Return the flow of a desk that is shared with the order API of the process."""

    def lane(context: FlowContext, _topic: str, partition: int) -> CommandLane:
        return CommandLane(house, context, partition)

    return Flow(ROLE, ORDERS_COMMANDS.name, lane, service=house, fetch_gap_s=FETCH_GAP_S)
