"""What the journal has led to for one strategy: its positions and orders, from a mark on where there is one.

Only records are folded here, never what the strategy has just asked for: a command that is lost on its way was nothing.
"""

import asyncio
from collections.abc import Callable

import structlog

from streaming.flow import FlowContext
from streaming.journal_mark import Folded, MarkFile
from streaming.owner.journal_fold import JournalReader
from streaming.transport.client import Record
from trading.codec import CodecError
from trading.ids import digest
from trading.orders.journal import FENCE
from trading.orders.journal import Record as JournalRecord
from trading.schemas import ORDERS_JOURNAL
from trading.strategies.context import Context

# What a start reads again at most.
MARK_EACH_RECORDS = 10_000
_FENCE = f'"cause":"{FENCE}:'.encode()
_log = structlog.get_logger("strategy")


class StrategyLedger:
    """The fold of the journal partition of the strategy's account."""

    def __init__(
        self,
        context: FlowContext,
        partition: int,
        owner: Context,
        refuse: Callable[[Record, CodecError], None],
        mark_each: int = MARK_EACH_RECORDS,
    ) -> None:
        """`owner` says whose orders count; `refuse` hears of records that cannot be read; `mark_each` is for tests."""
        self._client, self._number, self._refuse = context.client, partition, refuse
        self._folded = Context(owner.account, owner.strategy, owner.instruments)
        self._account = owner.account.encode()
        self._reader = JournalReader()
        name = f"strategy-{digest(owner.account, owner.strategy)}-{partition}.json"
        self._mark = MarkFile(context.home / "state" / name)
        self._mark_each, self._marked = mark_each, -1
        self._newest: Record | None = None

    async def fold_to(self, end: int) -> str:
        """Fold the journal up to `end`; return the memory of a context that has seen it all."""
        client, topic, number = self._client, ORDERS_JOURNAL.name, self._number
        begin = await client.begin_offset(topic, number)
        mark = await self._mark.read(client, topic, number, end)
        if mark is not None and self._recall(mark.folded):
            self._reader.generation, self._marked, begin = mark.generation, mark.offset, mark.offset + 1
        async for message in client.read(topic, number, begin, end):
            self.take(message)
        await self.keep()
        return self._folded.memory()

    def take(self, message: Record) -> JournalRecord | None:
        """Fold one record; return it unless it does not matter to the account."""
        payload = message.value or b""
        self._newest = message
        # Fences must be seen, records of other accounts need not be read.
        if self._account not in payload and _FENCE not in payload:
            return None
        try:
            record = self._reader.take(message)
        except CodecError as error:
            self._refuse(message, error)
            return None
        for event in record.events if record is not None else ():
            self._folded.apply(event)
        return record

    async def keep(self) -> None:
        """Write a mark when the newest one is far behind."""
        newest = self._newest
        if newest is None or newest.offset - self._marked < self._mark_each:
            return
        self._marked = newest.offset
        at = Folded(newest, self._reader.generation, self._folded.memory())
        try:
            await asyncio.to_thread(self._mark.write, at)
        except OSError as error:
            # Without it the next start reads more.
            _log.warning("mark_not_written", partition=self._number, message=str(error))

    def _recall(self, memory: str) -> bool:
        try:
            self._folded.recall(memory)
        except ValueError as error:
            _log.warning("mark_refused", partition=self._number, message=str(error))
            return False
        return True
