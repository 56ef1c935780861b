"""What the gateway needs of a venue, paper or real.

The outcome policy of a request: confirmed; rejected, definitively and without effect; denied locally, never sent;
unknown, which is everything else. An unknown outcome is found out by asking under the same id; an intent is sent once.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from trading.commands import VenueReport
from trading.events import AnyEvent
from trading.orders.reconcile import VenueView
from trading.routing.plan import Outcome, VenueRequest

# Returns when there is room for more; the reports may not be durable yet.
Deliver = Callable[[Sequence[VenueReport]], Awaitable[None]]


class Venue(Protocol):
    """One venue as the partitions of one process use it."""

    @property
    def connected(self) -> bool:
        """Say whether a request can be sent now."""

    @property
    def drops(self) -> int:
        """Return how often the connection was lost."""

    async def start(self, deliver: Deliver) -> None:
        """Connect. What the venue says by itself goes to `deliver`, in its order."""

    async def stop(self) -> None:
        """Disconnect; nothing is delivered afterwards."""

    def adopt(self, events: Sequence[AnyEvent]) -> None:
        """Take the story of orders that were open before this process: a venue without memory needs it."""

    def forget(self, orders: Iterable[str]) -> None:
        """Drop orders that another process goes on with; nothing is reported of them any more."""

    def hear(self, event: AnyEvent) -> None:
        """Follow what the journal says of orders here, as far as it asks for nothing."""

    async def send(self, request: VenueRequest, ts_ns: int) -> Outcome | None:
        """Ask the venue; None when the answer will be delivered as a report. Never raises for a venue's fault."""

    def view(self, account: str) -> VenueView | None:
        """Return all that the venue says of an account; None when it cannot tell now."""

    def stats(self) -> Mapping[str, Any]:
        """Return plain counters."""
