"""What the paper venue shall do wrong, as a script: for tests of the gateway and of the outcome policy."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from trading.commands import (
    VenueAccepted,
    VenueCanceled,
    VenueExpired,
    VenueFill,
    VenueRejected,
    VenueReplaced,
    VenueReport,
)
from trading.routing.plan import RequestVerb, VenueRequest

FaultKind = Literal["drop_before", "drop_after", "delay", "duplicate", "late"]
_ANSWERS = {"new": VenueAccepted, "replace": VenueReplaced, "cancel": VenueCanceled}


@dataclass
class Fault:
    """One fault. It hits `times` requests or reports of one order, or of any when `order` is empty.

    `drop_before` loses a request of this `verb`, `drop_after` its answer; `delay` holds a report back for `delay_ns`;
    `duplicate` says an execution twice; `late` says it after the answer to a cancel or a replacement.
    """

    kind: FaultKind
    order: str = ""
    verb: RequestVerb = "new"
    times: int = 1
    delay_ns: int = 0


class FaultScript:
    """The faults that are still to come, and what they hold back."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.faults = list(faults)
        self._delay_ns = 0
        self._lost: list[VenueRequest] = []
        self._delayed: list[tuple[int, VenueReport]] = []
        self._late: list[VenueFill] = []

    def send(self, request: VenueRequest) -> Literal["", "drop_before", "drop_after"]:
        """Return what happens to a request."""
        if self._hit("drop_before", request.order, request.verb):
            return "drop_before"
        if self._hit("drop_after", request.order, request.verb):
            self._lost.append(request)
            return "drop_after"
        return ""

    def say(self, reports: Iterable[VenueReport], now_ns: int) -> list[VenueReport]:
        """Return what arrives now of these reports, and of those that were held back."""
        said: list[VenueReport] = []
        for report in reports:
            if self._is_lost(report):
                continue
            if self._hit("delay", report.order):
                self._delayed.append((now_ns + self._delay_ns, report))
                continue
            if isinstance(report, VenueFill):
                if self._hit("late", report.order):
                    self._late.append(report)
                    continue
                if self._hit("duplicate", report.order):
                    said.append(report)
            said.append(report)
            if isinstance(report, VenueCanceled | VenueExpired | VenueRejected | VenueReplaced):
                said += [late for late in self._late if late.order == report.order]
                self._late = [late for late in self._late if late.order != report.order]
        due = [report for at_ns, report in self._delayed if at_ns <= now_ns]
        self._delayed = [item for item in self._delayed if item[0] > now_ns]
        return said + due

    def _hit(self, kind: FaultKind, order: str, verb: RequestVerb | None = None) -> bool:
        for fault in self.faults:
            if fault.kind == kind and fault.times > 0 and fault.order in ("", order) and verb in (None, fault.verb):
                fault.times -= 1
                self._delay_ns = fault.delay_ns
                return True
        return False

    def _is_lost(self, report: VenueReport) -> bool:
        for request in self._lost:
            about = request.replaces if request.verb == "replace" else request.order
            if report.order == about and isinstance(report, _ANSWERS.get(request.verb, ())):
                self._lost.remove(request)
                return True
        return False
