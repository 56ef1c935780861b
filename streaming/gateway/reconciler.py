"""Ours against the venue's for one partition: the state as its owner has it, and what a comparison has found.

What can be mended is reported like anything else that a venue says, so an owner that has heard it already does nothing.
"""

import time
from collections import Counter
from typing import Any

import structlog

from streaming.adapters.venue import Venue
from trading.commands import VenueFill, VenueReport
from trading.orders.journal import JournalError, Record, fold
from trading.orders.reconcile import GRACE_NS, Difference, reconcile
from trading.orders.state import State

RECONCILE_S = 60.0
_log = structlog.get_logger("reconciler")


class Reconciler:
    """Follows the journal and compares each account that has open orders."""

    def __init__(self, state: State, period_s: float = RECONCILE_S) -> None:
        """Take the state that was recovered; it is changed here."""
        self._state: State | None = state
        self._period_s = period_s
        self._next_s = time.monotonic() + period_s
        self._doubts: set[str] = set()
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

    def due(self) -> bool:
        """Say whether it is time, and begin to wait for the next time."""
        if self._state is None or time.monotonic() < self._next_s:
            return False
        self._next_s = time.monotonic() + self._period_s
        return True

    def compare(self, venue: Venue, ts_ns: int) -> list[VenueReport]:
        """Return the reports that make both sides agree.

        What they cannot mend is counted and logged, once, when a second pass finds it again: the first may have met a
        report on its way.
        """
        state = self._state
        if state is None:
            return []
        self._counts["passes"] += 1
        found: list[Difference] = []
        for account in [account for account in state.accounts.values() if account.open]:
            view = venue.view(account.id)
            if view is None:
                self._counts["no_view"] += 1
            else:
                found += reconcile(state, account.id, view, ts_ns)
        self._note([difference for difference in found if difference.fix is None])
        fixes: list[VenueReport] = []
        for difference in found:
            if difference.fix is not None and not _in_motion(state, difference.fix, ts_ns):
                fixes.append(difference.fix)
                self._mended[difference.code] += 1
                _log.warning("difference_mended", code=difference.code, about=difference.about, id=difference.id)
        return fixes

    def stats(self) -> dict[str, Any]:
        """Return the passes, and by code what was mended and what a person must look at."""
        return {**self._counts, "mended": dict(self._mended), "open": dict(self._open)}

    def _note(self, differences: list[Difference]) -> None:
        for difference in differences:
            if difference.id in self._doubts and difference.id not in self._noted:
                self._open[difference.code] += 1
                _log.error("difference", code=difference.code, about=difference.about, message=difference.message)
        ids = {difference.id for difference in differences}
        # What is gone is forgotten, so that memory is that of the differences there are.
        self._noted = ids & (self._noted | self._doubts)
        self._doubts = ids


def _in_motion(state: State, fix: VenueReport, ts_ns: int) -> bool:
    """Say whether the order has changed a moment ago: what it lacks may be on its way."""
    row = state.orders.get(fix.order)
    return not isinstance(fix, VenueFill) and row is not None and row.updated_ts_ns + GRACE_NS > ts_ns
