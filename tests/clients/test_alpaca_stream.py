"""alpaca-py's TradingStream, unmodified: every update of an order, in order, as that event left it."""

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderStatus
from alpaca.trading.models import Order, TradeUpdate
from alpaca.trading.requests import ReplaceOrderRequest, StopOrderRequest
from alpaca.trading.stream import TradingStream

from tests.api_rig import KEYS, Served
from tests.clients.test_alpaca_py import client_of, limit
from tests.streaming.poll import until_sync
from trading.commands import VenueAccepted, VenueExpired, VenueRejected


class Listener:
    """A TradingStream in a thread of its own, and what it heard."""

    def __init__(self, address: str, key_id: str, secret: str) -> None:
        self.heard: list[TradeUpdate] = []
        self._more = threading.Condition()
        self.stream = TradingStream(key_id, secret, url_override=f"ws://{address}/stream")
        self.stream.subscribe_trade_updates(self.hear)
        self.thread = threading.Thread(target=self.stream.run, daemon=True)

    async def hear(self, update: TradeUpdate) -> None:
        with self._more:
            self.heard.append(update)
            self._more.notify_all()

    def hears(self, client_order_id: str, within_s: float) -> bool:
        """Tell whether an update of an order comes in time."""
        with self._more:
            return self._more.wait_for(
                lambda: any(update.order.client_order_id == client_order_id for update in self.heard), within_s
            )

    @property
    def events(self) -> list[str]:
        return [str(getattr(update.event, "value", update.event)) for update in self.heard]


@pytest.fixture
def listeners(served: Served, caplog: pytest.LogCaptureFixture) -> Iterator[tuple[Listener, Listener]]:
    caplog.set_level(logging.CRITICAL)
    mine, others = (Listener(served.address, KEYS[name].key_id, KEYS[name].secret) for name in "ab")
    for listener in (mine, others):
        listener.thread.start()
    until_sync(lambda: len(served.rig.desk._subscriptions) == 2)
    yield mine, others
    for listener in (mine, others):
        listener.stream.stop()
        listener.thread.join(20)
        assert not listener.thread.is_alive()
    asyncio.set_event_loop(None)


def test_updates_arrive_in_order_and_only_for_the_account(served: Served, listeners: tuple[Listener, Listener]) -> None:
    client: TradingClient = client_of(served)
    order = client.submit_order(limit(qty=2))
    assert isinstance(order, Order)
    rig, uuid = served.rig, str(order.id)
    served.do(rig.ack(uuid))
    served.do(rig.fill(uuid, "0.5", "49000"))
    client.cancel_order_by_id(uuid)
    served.do(rig.fill(uuid, "0.25", "49000"))
    served.do(rig.canceled(uuid))
    mine, others = listeners
    wanted = ["pending_new", "new", "partial_fill", "pending_cancel", "partial_fill", "canceled"]
    until_sync(lambda: len(mine.heard) == len(wanted))
    assert mine.events == wanted
    statuses = [update.order.status.value for update in mine.heard]
    assert statuses == ["pending_new", "new", "partially_filled", "pending_cancel", "pending_cancel", "canceled"]
    fill = mine.heard[4]
    assert (fill.qty, fill.price, fill.position_qty, fill.order.filled_qty) == (0.25, 49_000, 0.75, "0.75")
    assert len({update.execution_id for update in mine.heard}) == len(wanted)
    assert others.heard == []


def test_every_kind_of_update_is_told(served: Served, listeners: tuple[Listener, Listener]) -> None:
    client: TradingClient = client_of(served)
    rig, (mine, _) = served.rig, listeners
    first = str(client.submit_order(limit(qty=1, price=45_000)).id)  # type: ignore[union-attr] # models, not raw data
    served.do(rig.ack(first))
    change = ReplaceOrderRequest(qty=2, limit_price=46_000)
    second = str(client.replace_order_by_id(first, change).id)  # type: ignore[union-attr] # models, not raw data
    served.do(rig.replaced(first, second))
    served.do(rig.fill(second, "2", "46000"))
    for name, report in (("expires", VenueExpired), ("rejected", VenueRejected)):
        uuid = str(client.submit_order(limit(client_order_id=name)).id)  # type: ignore[union-attr] # models, not raw data
        served.do(rig.tell(report(account="a", ts_ns=0, order=rig.row(uuid).id)))
    held = StopOrderRequest(symbol="SPY", qty=1, side="buy", time_in_force="gtc", stop_price=460)
    uuid = str(client.submit_order(held).id)  # type: ignore[union-attr] # models, not raw data
    served.do(rig.tell(VenueAccepted(account="a", ts_ns=0, order=rig.row(uuid).id, held=True)))
    wanted = {"pending_new", "new", "pending_replace", "replaced", "fill", "expired", "rejected", "restated"}
    until_sync(lambda: set(mine.events) == wanted)
    replaced = next(update for update in mine.heard if update.event == "replaced")
    assert (str(replaced.order.id), str(replaced.order.replaced_by)) == (first, second)
    assert mine.heard[-1].order.status == OrderStatus.HELD
