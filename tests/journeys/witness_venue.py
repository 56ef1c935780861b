"""The paper venue with a witness: what it is asked and what it says goes to a file that outlives the process."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from streaming.adapters.venue import Deliver, Venue
from streaming.flow import FlowContext
from streaming.flows.route import paper_venue, route_flow
from streaming.owner.clock import Clock
from trading.commands import VenueFill, VenueReport
from trading.routing.plan import Outcome, VenueRequest

FILE = "witness.jsonl"


class Witness:
    """Everything else is the venue's own."""

    def __init__(self, venue: Venue, path: Path) -> None:
        self._venue = venue
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)

    async def start(self, deliver: Deliver) -> None:
        """Begin, and hear what the venue says."""

        async def heard(reports: Sequence[VenueReport]) -> None:
            for report in reports:
                if isinstance(report, VenueFill):
                    self._note("fill", report.order, report.trade_id, report.qty)
            await deliver(reports)

        await self._venue.start(heard)

    async def send(self, request: VenueRequest, ts_ns: int) -> Outcome | None:
        """Note a request before it is worked."""
        self._note(request.verb, request.order, request.request_id, "")
        return await self._venue.send(request, ts_ns)

    def _note(self, *what: str) -> None:
        os.write(self._file, msgspec.json.encode(what) + b"\n")


async def witnessed(context: FlowContext, clock: Clock) -> Venue:
    """Return the paper venue of the gateway, with a witness in the home."""
    return cast("Venue", Witness(await paper_venue(context, clock), context.home / FILE))


def seen(home: Path) -> list[tuple[str, str, str, str]]:
    """Return what was asked and said: verb or `fill`, order, request or trade id, quantity. A torn line is none."""
    lines = (home / FILE).read_bytes().split(b"\n")[:-1]
    return [msgspec.json.decode(line, type=tuple[str, str, str, str]) for line in lines]


FLOW = route_flow(witnessed)
