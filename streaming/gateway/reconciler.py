"""Ours against the venue's for one partition: the state as its owner has it, and what a comparison has found.

A difference counts when it is there before and after everything that the venue had reported has come back through the
journal: what was on its way is gone by then, however long the way is. What can be mended is reported like anything else
that a venue says, so an owner that has heard it already does nothing.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import structlog

from streaming.adapters.venue import Venue
from streaming.gateway.barrier import Barrier
from streaming.gateway.reporter import Reporter
from streaming.pace import head_start, rest_s
from streaming.transport.client import BrokerClient
from trading.commands import VenueFill, VenueReport
from trading.orders.journal import JournalError, Record, fold
from trading.orders.reconcile import GRACE_NS, Difference, reconcile
from trading.orders.state import State
from trading.schemas import ORDERS_COMMANDS

RECONCILE_S = 60.0
# Of the time, at most: orders are worked meanwhile.
SHARE = 0.05
# Of one pass; the counters have them all.
LOGGED = 20
_log = structlog.get_logger("reconciler")


class Reconciler:
    """Follows the journal and compares each account that has open orders."""

    def __init__(
        self,
        client: BrokerClient,
        partition: int,
        state: State,
        period_s: float = RECONCILE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the state that was recovered; it is changed here. `clock` (seconds) is for tests."""
        self._client, self._partition = client, partition
        self._state: State | None = state
        self._period_s = period_s
        self._clock = clock
        self._next_s = clock() + period_s * (1 - head_start(partition))
        self._rests_until_s = 0.0
        self._phase: Literal["idle", "first", "way", "second"] = "idle"
        self._left: list[str] = []
        self._suspects: dict[str, Difference] = {}
        self._found: dict[str, Difference] = {}
        self._reported = 0
        self._barrier: Barrier | None = None
        self._noted: set[str] = set()
        self._mended: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._counts = {"passes": 0, "no_view": 0, "broken": 0}
        state.dirty.clear()

    def follow(self, record: Record, offset: int) -> None:
        """Fold a record. After one that does not fit nothing is compared any more: the owner says why."""
        if self._state is None:
            return
        try:
            fold(self._state, record, offset=offset)
        except (JournalError, AssertionError, LookupError) as error:
            self._state = None
            self._counts["broken"] += 1
            _log.error("reconciliation_stopped", offset=offset, seq=record.seq, reason=str(error))
            return
        # Only a writer of snapshots needs to know what has changed.
        self._state.dirty.clear()

    async def go_on(self, venue: Venue, reporter: Reporter, position: int, ts_ns: int) -> list[VenueReport]:
        """Do what is due, of one account at most, so that orders hardly wait; return the reports that mend.

        `position` is where the journal is read.
        """
        now_s = self._clock()
        if self._state is None or now_s < self._rests_until_s:
            return []
        if self._phase == "idle":
            if now_s < self._next_s:
                return []
            self._next_s = now_s + self._period_s
            self._counts["passes"] += 1
            self._phase, self._suspects = "first", {}
            self._left = [account.id for account in self._state.accounts.values() if account.open]
        if self._phase == "first":
            self._look(venue, self._state, ts_ns, self._suspects)
            if not self._left:
                self._phase = "way" if self._suspects else "idle"
                self._reported, self._barrier = reporter.taken, None
                if not self._suspects:
                    self._noted.clear()
            return []
        if self._phase == "way":
            if not await self._has_come_back(reporter, position):
                return []
            self._phase, self._found = "second", {}
            self._left = sorted({difference.account for difference in self._suspects.values()})
        self._look(venue, self._state, ts_ns, self._found)
        if self._left:
            return []
        self._phase = "idle"
        return self._settle(self._state, ts_ns)

    def stats(self) -> dict[str, Any]:
        """Return the passes, and by code what was mended and what a person must look at."""
        return {**self._counts, "mended": dict(self._mended), "open": dict(self._open)}

    async def _has_come_back(self, reporter: Reporter, position: int) -> bool:
        if self._barrier is None:
            if reporter.written < self._reported:
                return False
            end = await self._client.end_offset(ORDERS_COMMANDS.name, self._partition)
            self._barrier = Barrier(self._client, self._partition, end)
        return await self._barrier.passed(position)

    def _settle(self, state: State, ts_ns: int) -> list[VenueReport]:
        found = [difference for id_, difference in self._found.items() if id_ in self._suspects]
        self._note([difference for difference in found if difference.fix is None])
        fixes: list[VenueReport] = []
        for difference in found:
            if difference.fix is not None and not _in_motion(state, difference.fix, ts_ns):
                fixes.append(difference.fix)
                self._mended[difference.code] += 1
                if len(fixes) <= LOGGED:
                    _log.warning("difference_mended", code=difference.code, about=difference.about, id=difference.id)
        if len(fixes) > LOGGED:
            _log.warning("differences_mended", count=len(fixes))
        return fixes

    def _look(self, venue: Venue, state: State, ts_ns: int, into: dict[str, Difference]) -> None:
        """Compare the next account that is left."""
        if not self._left:
            return
        account, started_s = self._left.pop(), self._clock()
        view = venue.view(account)
        if view is None:
            self._counts["no_view"] += 1
        else:
            into.update((difference.id, difference) for difference in reconcile(state, account, view, ts_ns))
        ended_s = self._clock()
        self._rests_until_s = ended_s + min(rest_s(ended_s - started_s, SHARE), self._period_s)

    def _note(self, differences: list[Difference]) -> None:
        for difference in differences:
            if difference.id not in self._noted:
                self._open[difference.code] += 1
                _log.error("difference", code=difference.code, about=difference.about, message=difference.message)
        # What is gone is forgotten, so that memory is that of the differences there are.
        self._noted = {difference.id for difference in differences}


def _in_motion(state: State, fix: VenueReport, ts_ns: int) -> bool:
    """Say whether the order has changed a moment ago: the venue may be about to tell."""
    row = state.orders.get(fix.order)
    return not isinstance(fix, VenueFill) and row is not None and row.updated_ts_ns + GRACE_NS > ts_ns
