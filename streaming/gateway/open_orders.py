"""The open orders of a partition, folded from its journal: what is to be asked; the story of each, until it is told."""

from trading.events import AnyEvent, OrderAccepted, OrderFilled, OrderMoved
from trading.orders.transitions import TERMINAL
from trading.routing.plan import Outbox, VenueRequest

Story = list[tuple[int, AnyEvent]]


class OpenOrders:
    """Memory is that of the open orders, however long the journal is."""

    def __init__(self) -> None:
        self.outbox = Outbox()
        self._stories: dict[str, Story] | None = {}
        self._children: dict[str, str] = {}
        self._count = 0

    def apply(self, event: AnyEvent) -> VenueRequest | None:
        """Follow one journalled event; return the request that it calls for."""
        if self._stories is not None:
            self._note(event, self._stories)
        return self.outbox.apply(event)

    def accounts(self) -> list[str]:
        """Return the accounts that have open orders."""
        return sorted({intent.account for intent in self.outbox.orders.values()})

    def orders(self) -> list[str]:
        """Return the ids of the open orders."""
        return list(self.outbox.orders)

    def tell(self, without: frozenset[str]) -> list[AnyEvent]:
        """Return the events of the open orders in the order of the journal, those of some left out; keep no more."""
        stories, self._stories = self._stories, None
        assert stories is not None, "the story is told once"
        self._children.clear()
        items = (item for order, story in stories.items() if order not in without for item in story)
        return [event for _, event in sorted(items, key=lambda item: item[0])]

    def _note(self, event: AnyEvent, stories: dict[str, Story]) -> None:
        if isinstance(event, OrderAccepted):
            stories[event.order] = []
            if event.replaces:
                self._children[event.replaces] = event.order
        if isinstance(event, OrderAccepted | OrderMoved | OrderFilled) and event.order in stories:
            self._count += 1
            stories[event.order].append((self._count, event))
            if not isinstance(event, OrderAccepted) and event.to in TERMINAL:
                story, child = stories.pop(event.order), self._children.pop(event.order, None)
                if event.to == "replaced" and child in stories:
                    # What the parent had filled counts against the child's quantity.
                    stories[child][:0] = story
