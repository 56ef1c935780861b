"""The contract of a venue: the paper adapter has it, and the retry policy fits the outcome policy."""

from streaming.adapters.venue import Venue
from streaming.adapters.venue_paper import PaperAdapter
from streaming.owner.clock import EventClock
from streaming.transport.follow import LogFollower
from tests.streaming.memory_broker import MemoryBroker
from tests.trading.orders.builders import TABLE
from trading.routing.paper import PaperVenue
from trading.routing.plan import RETRIES
from trading.schemas import TICKS


def test_the_paper_adapter_is_a_venue() -> None:
    venue: Venue = PaperAdapter(PaperVenue(TABLE), EventClock(), LogFollower(MemoryBroker(), TICKS.name, {0: 0}))
    assert venue.connected
    assert venue.drops == 0


def test_an_intent_is_never_sent_again_and_asking_is() -> None:
    assert [RETRIES[verb].delay_ms(1) for verb in ("new", "replace")] == [None, None]
    assert RETRIES["query"].delay_ms(1) is not None
