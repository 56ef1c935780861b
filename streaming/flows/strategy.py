"""Role `strategy`: runs one strategy in one account. The owner of the account's journal partition runs it, alone.

Position and open orders are a fold of the journal, which begins at a mark if there is one; indicators come from the
bars that the topic still holds. An order id is a pure function of the bar, so the newest bar, which is worked again
after a crash, does not order twice; older bars only warm up.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog

from streaming.flow import Flow, FlowContext
from streaming.gateway.reporter import Reporter
from streaming.owner.clock import clock_of
from streaming.owner.desk import partition_of
from streaming.settings import ConfigError
from streaming.strategy_ledger import StrategyLedger
from streaming.transport.client import BrokerError, Record
from streaming.transport.follow import Follower, follow
from trading.codec import CodecError
from trading.market.batches import BarBatch, TickBatch
from trading.market.intervals import NAMES, SECONDS
from trading.schemas import BARS, ORDERS_JOURNAL, TICKS
from trading.strategies.catalog import StrategyError, make_strategy
from trading.strategies.context import ClientCommand, Context
from trading.strategies.rows import NS, Bar, bars_in, ticks_in
from trading.strategies.runner import Runner

ROLE = "strategy"
# A message holds what closed together: this is days of minutes.
WARM_MESSAGES = 5_000
TAKE_S = 0.25
RETRY_S = 1.0
_log = structlog.get_logger("strategy")


class Rehearsal:
    """The service of the flow."""

    async def start(self, context: FlowContext) -> None:
        """Refuse a strategy that cannot be made, before anything runs."""
        chosen = context.settings.strategy
        try:
            strategy = make_strategy(chosen.name, chosen.parameters)
            Runner(strategy, chosen.name, chosen.account, context.settings.instrument_table()).start(0)
        except (StrategyError, KeyError, ValueError) as error:
            raise ConfigError("settings", "strategy", f"{type(error).__name__}: {error}") from None

    async def stop(self) -> None:
        """Need nothing."""


class StrategyLane:
    """One partition of the journal. That of the strategy's account runs it; the others pass."""

    def __init__(self, context: FlowContext, partition: int) -> None:
        settings, chosen = context.settings, context.settings.strategy
        self._context, self._number = context, partition
        self._runs = partition_of(chosen.account, settings.orders.partitions) == partition
        self._clock = clock_of(settings.feed)
        self._interval_s = SECONDS[NAMES.index(chosen.interval)]
        self._runner = Runner(
            make_strategy(chosen.name, chosen.parameters),
            chosen.id or chosen.name,
            chosen.account,
            settings.instrument_table(),
        )
        self._ledger = StrategyLedger(context, partition, self._runner.context, self._refuse)
        self._reporter = Reporter(context.client, settings.orders.partitions)
        self._seen: dict[tuple[int, int], int] = {}
        self._pump: asyncio.Task[None] | None = None
        self._counts = dict.fromkeys(("bars", "ticks", "commands", "refused", "warmed"), 0)

    async def open(self) -> int | None:
        """Fold the journal, warm up, and begin."""
        client = self._context.client
        end = await client.end_offset(ORDERS_JOURNAL.name, self._number)
        if not self._runs:
            return end
        self._runner.context.recall(await self._ledger.fold_to(end))
        self._reporter.start()
        await self._say(self._runner.start(self._clock.now_ns()))
        starts, newest = await self._warm_up()
        for bar in newest:
            await self._say(self._runner.bar(bar))
        followers = [await self._follow(BARS.name, starts)]
        if self._context.settings.strategy.ticks:
            followers.append(await self._follow(TICKS.name, None))
        self._pump = asyncio.create_task(self._drive(followers), name="strategy")
        return end

    async def process(self, records: Sequence[Record]) -> int | None:
        """Tell the strategy what became of its orders."""
        for message in records if self._runs else ():
            record = self._ledger.take(message)
            if record is not None:
                await self._say(self._runner.events(record.events))
        if self._runs:
            await self._ledger.keep()
        return records[-1].offset + 1

    async def tick(self) -> int | None:
        """Raise what has stopped the strategy."""
        self._reporter.check()
        if self._pump is not None and self._pump.done():
            self._pump.result()
        return None

    async def close(self) -> int | None:
        """Stop, and write what was asked for."""
        if self._runs:
            await self._end()
            await self._reporter.flush()
            await self._reporter.stop()
        return None

    def revoked(self) -> None:
        """Stop at once: another process runs the strategy already."""
        if self._pump is not None:
            self._pump.cancel()

    def stats(self) -> Mapping[str, Any]:
        """Return the counters, and the position that own fills have left."""
        context = self._runner.context
        about = {"fills": self._runner.fills, "runs": self._runs, "positions": dict(context.positions)}
        return {**self._counts, **about, **self._reporter.stats()}

    async def _warm_up(self) -> tuple[dict[int, int], list[Bar]]:
        """Show the strategy old bars without listening; return where new ones begin, and the newest that still counts.

        The newest bar of an instrument is left for the live run, unless the next one should have closed since.
        """
        client, settings = self._context.client, self._context.settings
        starts: dict[int, int] = {}
        bars: list[Bar] = []
        for number in range(settings.market.shards):
            end = starts[number] = await client.end_offset(BARS.name, number)
            begin = max(await client.begin_offset(BARS.name, number), end - WARM_MESSAGES)
            async for message in client.read(BARS.name, number, begin, end):
                bars += self._bars(message)
        bars.sort(key=lambda bar: bar.ts_ns)
        newest = {bar.instrument: bar for bar in bars}
        oldest_ns = self._clock.now_ns() - self._interval_s * NS
        fresh = [bar for bar in newest.values() if bar.ts_ns > oldest_ns]
        live = self._runner.context
        self._runner.context = Context(live.account, live.strategy, live.instruments)
        for bar in bars:
            if bar not in fresh:
                self._runner.bar(bar)
        self._counts["warmed"] = len(bars) - len(fresh)
        self._runner.context = live
        return starts, fresh

    async def _follow(self, topic: str, starts: Mapping[int, int] | None) -> Follower:
        client, settings = self._context.client, self._context.settings
        if starts is None:
            starts = {number: await client.end_offset(topic, number) for number in range(settings.market.shards)}
        return follow(settings.broker_url, client, topic, settings.market.shards, starts)

    async def _drive(self, followers: Sequence[Follower]) -> None:
        try:
            await asyncio.gather(*(self._keep_reading(follower) for follower in followers))
        finally:
            for follower in followers:
                await follower.stop()

    async def _keep_reading(self, follower: Follower) -> None:
        while True:
            try:
                records = await follower.take(TAKE_S)
            except BrokerError as error:
                _log.warning("market_not_read", code=error.code, reason=str(error))
                await follower.stop()
                await asyncio.sleep(RETRY_S)
                continue
            for message in records:
                await self._work(message)

    async def _work(self, message: Record) -> None:
        if message.topic == BARS.name:
            for bar in self._bars(message):
                self._counts["bars"] += 1
                await self._say(self._runner.bar(bar))
            return
        try:
            batch = TickBatch.decode(message.value or b"")
        except CodecError as error:
            self._refuse(message, error)
            return
        for tick in ticks_in(batch):
            self._counts["ticks"] += 1
            await self._say(self._runner.tick(tick))

    def _bars(self, message: Record) -> Iterator[Bar]:
        """Yield the bars of a message, unless its source was seen: a normaliser that restarts may say it again."""
        try:
            batch = BarBatch.decode(message.value or b"")
        except CodecError as error:
            self._refuse(message, error)
            return
        source = (message.partition, batch.src.partition)
        if batch.src.offset > self._seen.get(source, -1):
            self._seen[source] = batch.src.offset
            yield from bars_in(batch, self._interval_s)

    def _refuse(self, message: Record, error: CodecError) -> None:
        self._counts["refused"] += 1
        _log.warning("message_refused", topic=message.topic, offset=message.offset, code=error.code)

    async def _say(self, commands: Sequence[ClientCommand]) -> None:
        if commands:
            self._counts["commands"] += len(commands)
            await self._reporter.put(commands)

    async def _end(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
            self._pump = None


def _lane(context: FlowContext, _: str, partition: int) -> StrategyLane:
    return StrategyLane(context, partition)


FLOW = Flow(ROLE, ORDERS_JOURNAL.name, _lane, service=Rehearsal())
