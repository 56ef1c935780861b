"""The open orders of one partition, folded from its journal: what is to be asked, and the story of each so far."""

from trading.events import AnyEvent, OrderAccepted, OrderFilled, OrderMoved
from trading.orders.transitions import TERMINAL
from trading.routing.plan import Outbox, VenueRequest

Story = list[tuple[int, AnyEvent]]


class OpenOrders:
    """Memory is that of the open orders, however long the journal is."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self._stories: dict[str, Story] = {}
        self._children: dict[str, str] = {}
        self._count = 0

    def apply(self, event: AnyEvent) -> VenueRequest | None:
        """Follow one journalled event; return the request that it calls for."""
        request = self.outbox.apply(event)
        if isinstance(event, OrderAccepted):
            self._stories[event.order] = []
            if event.replaces:
                self._children[event.replaces] = event.order
        if isinstance(event, OrderAccepted | OrderMoved | OrderFilled) and event.order in self._stories:
            self._count += 1
            self._stories[event.order].append((self._count, event))
            if not isinstance(event, OrderAccepted) and event.to in TERMINAL:
                self._end(event.order, replaced=event.to == "replaced")
        return request

    def accounts(self) -> list[str]:
        """Return the accounts that have open orders."""
        return sorted({intent.account for intent in self.outbox.orders.values()})

    def orders(self) -> list[str]:
        """Return the ids of the open orders."""
        return list(self.outbox.orders)

    def story(self, without: frozenset[str]) -> list[AnyEvent]:
        """Return the events of the open orders in the order of the journal, those of some orders left out."""
        items = (item for order, story in self._stories.items() if order not in without for item in story)
        return [event for _, event in sorted(items, key=lambda item: item[0])]

    def _end(self, order: str, *, replaced: bool) -> None:
        story = self._stories.pop(order)
        child = self._children.pop(order, None)
        if replaced and child in self._stories:
            # What the parent had filled counts against the child's quantity.
            self._stories[child][:0] = story
