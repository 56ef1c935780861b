"""From snapshot and journal to the state of a partition."""

from typing import NamedTuple

from streaming.owner import snapshots
from streaming.owner.journal_fold import JournalFold
from streaming.owner.shared_start import SharedStart
from streaming.transport.client import BrokerClient, BrokerError
from streaming.transport.fenced import BARRIER_KEY
from trading.orders.state import State
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL, ORDERS_STATE


class Recovered(NamedTuple):
    """The state before journal offset `position`, and how it was found. `last_ts_ns` is the newest time folded."""

    state: State
    position: int
    folded: int
    skipped: int
    last_ts_ns: int
    fold_s: float
    unfinished: list[tuple[str, bytes | None]]


class Recovery:
    """The recovery of one partition. Most of it can be done ahead, while another owner still writes."""

    def __init__(self, client: BrokerClient, partition: int, start: SharedStart | None = None) -> None:
        """`start` has what others of this process have restored."""
        self._client = client
        self._partition = partition
        self._start = start or SharedStart()
        self._rows_end = -1
        self._fold = JournalFold(snapshots.Restored(State(), -1, []))

    async def read_ahead(self) -> None:
        """Take the newest whole snapshot, and fold the records so far."""
        await self._load(await self._journal_end())
        await self._fold.go_on(self._client, self._partition, await self._journal_end())

    async def finish(self, end: int) -> Recovered:
        """Return the state at journal offset `end`, with what is new since it was read ahead."""
        # A snapshot that stayed unfinished must be known, so that its rows are written again.
        if self._rows_end < 0 or await self._has_new_rows():
            await self._load(end)
        return await self.fold_to(end)

    async def finish_for_owner(self, end: int) -> Recovered:
        """Do so for who writes from `end` on; raise `BrokerError` if the broker has lost what the state has seen.

        After a power cut without a replica one topic may end before another: new records would be taken for old ones.
        """
        found, commands = await self.finish(end), ORDERS_COMMANDS.name
        if found.position > end:
            raise _lost("JOURNAL_BEHIND", f"{ORDERS_JOURNAL.name}[{self._partition}]", end, found.position - 1)
        worked = found.state.causes.get(f"{commands}:{self._partition}", -1)
        commands_end = await self._client.end_offset(commands, self._partition)
        if worked >= commands_end:
            raise _lost("COMMANDS_BEHIND", f"{commands}[{self._partition}]", commands_end, worked)
        return found

    async def fold_to(self, end: int) -> Recovered:
        """Return the state at journal offset `end`; raise `JournalError` if the journal goes on with a hole.

        It may be further when another role has asked before, or when a snapshot has come meanwhile.
        """
        fold = self._fold
        await fold.go_on(self._client, self._partition, end)
        if fold.position < end:
            where = f"{ORDERS_JOURNAL.name}[{self._partition}]"
            raise BrokerError("READ_SHORT", f"{where}: {fold.position} of {end} read", retriable=True)
        return Recovered(
            *(fold.found.state, fold.position, fold.folded, fold.reader.skipped),
            *(fold.last_ts_ns, fold.fold_s, fold.found.unfinished),
        )

    async def _load(self, end: int) -> None:
        self._rows_end = await self._client.end_offset(ORDERS_STATE.name, self._partition)
        self._fold = await self._start.read(self._client, self._partition, self._rows_end, end)

    async def _journal_end(self) -> int:
        return await self._client.end_offset(ORDERS_JOURNAL.name, self._partition)

    async def _has_new_rows(self) -> bool:
        end = await self._client.end_offset(ORDERS_STATE.name, self._partition)
        rows = self._client.read(ORDERS_STATE.name, self._partition, self._rows_end, end)
        return any([message.key != BARRIER_KEY async for message in rows])


def _lost(code: str, what: str, end: int, seen: int) -> BrokerError:
    return BrokerError(
        code,
        f"{what} ends at {end}, but offset {seen} was worked: the broker has lost its end. Restore it from a copy.",
    )


async def recover(client: BrokerClient, partition: int, end: int, start: SharedStart | None = None) -> Recovered:
    """Return the state at journal offset `end`: the newest whole snapshot, then every record after it."""
    return await Recovery(client, partition, start).finish(end)


async def fold_journal(client: BrokerClient, partition: int, end: int) -> Recovered:
    """Return the same from the journal alone, from its genesis: the proof of the snapshot."""
    return await Recovery(client, partition).fold_to(end)
