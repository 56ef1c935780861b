"""Drives the processors of one role. An exception lets nothing go and ends the process; a revoked partition is dropped.

Faust acks an event whatever happened to it, so the stream is read without acks and the lanes let go what is durable.
"""

import asyncio
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any

import structlog

from streaming.flow import Flow, FlowContext
from streaming.lane import NO_INTAKE, Fetched, Intake, Lane
from streaming.poison import PoisonFile
from streaming.retries import Retries, retry_durable

__all__ = ["Guard", "Retries", "retry_durable"]

_log = structlog.get_logger("guard")


class Guard:
    """All partitions of one role that this process owns."""

    def __init__(self, flow: Flow, context: FlowContext) -> None:
        self.flow = flow
        self.failure: BaseException | None = None
        self._context = context
        self._poison = PoisonFile(context.home / "state" / "poison.json")
        self._lanes: dict[int, Lane] = {}
        self._generation: int | None = None
        self._was_assigned = False
        self._closing = False
        self._failed = asyncio.Event()

    @property
    def partitions(self) -> frozenset[int]:
        """Return the partitions that are driven now."""
        return frozenset(self._lanes)

    @property
    def ready(self) -> bool:
        """Tell whether an assignment was received and every processor of it is open."""
        return self._was_assigned and self.failure is None and all(lane.ready for lane in self._lanes.values())

    @property
    def waiting(self) -> Mapping[str, Any] | None:
        """Return the retriable wait of any processor, or None."""
        waits = (lane.stats().get("waiting") for lane in self._lanes.values())
        return next((wait for wait in waits if wait), None)

    async def run(self, messages: AsyncIterable[Fetched]) -> None:
        """Sort what was fetched into lanes until one of them fails; this is the body of the Faust agent."""
        pull = asyncio.create_task(self._pull(messages), name=f"{self.flow.role}-pull")
        failed = asyncio.create_task(self._failed.wait(), name=f"{self.flow.role}-failed")
        try:
            await asyncio.wait({pull, failed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            failed.cancel()
            pull.cancel()
            await asyncio.wait({pull, failed})
        if self.failure is not None:
            raise self.failure
        if not pull.cancelled():
            pull.result()

    def assigned(self, partitions: Iterable[int], intake: Intake = NO_INTAKE, *, generation: int | None = None) -> None:
        """Open a processor for each partition that is new. Those that stay were revoked before, as Faust does it."""
        if self._closing:
            return
        self._generation = generation
        for partition in sorted(partitions):
            if partition not in self._lanes:
                lane = Lane(self.flow, partition, self._context, self._poison, intake)
                lane.task.add_done_callback(self._lane_ended)
                self._lanes[partition] = lane
        self._was_assigned = True

    async def revoked(self, partitions: Iterable[int]) -> None:
        """Drop partitions: what was not durable comes again, here or at the new owner."""
        gone = [self._lanes.pop(partition) for partition in partitions if partition in self._lanes]
        await asyncio.gather(*(lane.revoke() for lane in gone))

    async def drain(self, ends: Mapping[int, int]) -> None:
        """Work up to the given end offsets, then flush and close every processor. Raises what a processor raised."""
        self._closing = True
        lanes = list(self._lanes.items())
        for partition, lane in lanes:
            lane.finish(ends.get(partition, 0))
        await asyncio.gather(*(lane.task for _, lane in lanes))

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return the counters of every partition, by its number as text."""
        return {str(partition): lane.stats() for partition, lane in sorted(self._lanes.items())}

    async def _pull(self, messages: AsyncIterable[Fetched]) -> None:
        async for message in messages:
            # What was fetched before a rebalance comes again after it.
            if message.generation_id not in (None, self._generation):
                continue
            for records in message.value:
                lane = self._lanes.get(records[0].partition)
                if lane is not None:
                    lane.put(records)

    def _lane_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        _log.error("processor_failed", role=self.flow.role, lane=task.get_name(), exc_info=error)
        if self.failure is None:
            self.failure = error
            self._failed.set()
