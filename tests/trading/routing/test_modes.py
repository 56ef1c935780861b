"""The gateway's last check."""

from tests.trading.orders.builders import T0, XYZ, S, desk, oid, step, submit
from trading.commands import AnyCommand, CancelOrder, Kill, SetMode
from trading.routing.modes import DEFAULT_MODE, Caps, Gateway
from trading.routing.plan import Outbox, VenueRequest

CAPS = Caps(max_order_value=10**12, max_orders_per_s=1, burst=2)


def world(*commands: AnyCommand, caps: Caps = CAPS) -> tuple[Gateway, list[VenueRequest]]:
    state, gateway, box = desk(), Gateway(caps), Outbox()
    requests = []
    for command in commands:
        for event in step(state, command):
            gateway.apply(event)
            request = box.apply(event)
            if request is not None:
                requests.append(request)
    return gateway, requests


def test_paper_is_the_default() -> None:
    assert Gateway(CAPS).mode == DEFAULT_MODE == "paper"


def test_no_new_order_leaves_after_the_kill_and_cancels_do() -> None:
    cancel = CancelOrder(account="a", ts_ns=T0, order=oid())
    gateway, (new, ask) = world(submit(), cancel, Kill(account="", ts_ns=T0, actor="x"))
    assert gateway.deny(new, T0) == "KILL_SWITCH"
    assert gateway.deny(ask, T0) == ""


def test_a_halt_stops_what_was_approved_before_it() -> None:
    halt = SetMode(account="a", ts_ns=T0, actor="x", scope="instrument", target=XYZ.id, mode="halted")
    gateway, (new,) = world(submit(), halt)
    assert gateway.deny(new, T0) == "TRADING_HALTED"


def test_caps_hold_whoever_approved() -> None:
    gateway, (big, *small) = world(submit(qty="11"), *(submit(f"s{n}", qty="1") for n in range(4)))
    assert gateway.deny(big, T0) == "GATEWAY_ORDER_VALUE"
    assert [gateway.deny(request, T0) for request in small] == ["", "", "GATEWAY_RATE", "GATEWAY_RATE"]
    assert gateway.deny(small[2], T0 + S) == ""
