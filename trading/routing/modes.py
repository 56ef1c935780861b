"""The last check before a venue: the mode of routing, the controls once more, and caps of the gateway's own."""

from typing import Literal

import msgspec

from trading.amounts import notional
from trading.events import AnyEvent
from trading.risk.controls import Controls
from trading.routing.plan import VenueRequest

RoutingMode = Literal["paper"]
DEFAULT_MODE: RoutingMode = "paper"
# What may be asked whatever is stopped: nothing of it can add exposure.
ALWAYS = frozenset({"cancel", "query"})


class Caps(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Bounds on what leaves the gateway, whoever approved it. Cash in 1e-9."""

    max_order_value: int
    max_orders_per_s: int
    burst: int


class Gateway:
    """Follows the controls in the journal and says of each request whether it may leave."""

    def __init__(self, caps: Caps, mode: RoutingMode = DEFAULT_MODE) -> None:
        self.caps = caps
        self.mode: RoutingMode = mode
        self.controls = Controls()
        self._spent_until_ns = 0

    def apply(self, event: AnyEvent) -> None:
        """Follow one journalled event."""
        self.controls.apply(event)

    def deny(self, request: VenueRequest, ts_ns: int) -> str:
        """Return the code why a request must not leave, or "" and count it as sent."""
        if request.verb in ALWAYS:
            return ""
        if self.controls.killed:
            return "KILL_SWITCH"
        mode, _ = self.controls.covering(request.account, request.strategy, request.instrument)
        if mode == "halted":
            return "TRADING_HALTED"
        value = notional(request.hold_price, request.qty, request.price_scale, request.qty_scale)
        if value > self.caps.max_order_value:
            return "GATEWAY_ORDER_VALUE"
        gap_ns = 10**9 // self.caps.max_orders_per_s
        if self._spent_until_ns - ts_ns > (self.caps.burst - 1) * gap_ns:
            return "GATEWAY_RATE"
        self._spent_until_ns = max(self._spent_until_ns, ts_ns) + gap_ns
        return ""
