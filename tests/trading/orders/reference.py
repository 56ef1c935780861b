"""The slow, obvious desk that the real one is compared with: plain sums over what was sent and reported."""

from dataclasses import dataclass, field

ENDED = {"filled", "canceled", "expired", "rejected"}


@dataclass
class Known:
    """One order as its client and its venue know it."""

    side: int
    qty: int
    price: int
    body: tuple[object, ...]
    filled: int = 0
    over: int = 0
    ended: bool = False


@dataclass
class Reference:
    """One account with one instrument: limits on position and open orders, money in cents."""

    max_position: int
    max_open: int
    cash: int
    orders: dict[str, Known] = field(default_factory=dict)
    refused: dict[str, tuple[object, ...]] = field(default_factory=dict)
    trades: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    position: int = 0
    paid: int = 0
    killed: bool = False
    halted: bool = False

    def open(self) -> list[Known]:
        """Return the orders that may still trade."""
        return [order for order in self.orders.values() if not order.ended]

    def reserved(self, side: int) -> int:
        """Return what open orders of one side may still trade."""
        return sum(order.qty - order.filled for order in self.open() if order.side == side)

    def submit(self, cid: str, side: int, qty: int, price: int) -> str:
        """Return accepted, repeat, refused or reused."""
        body = (side, qty, price)
        if cid in self.orders:
            return "repeat" if self.orders[cid].body == body else "reused"
        if cid in self.refused:
            return "refused" if self.refused[cid] == body else "reused"
        crossing = [o.price for o in self.open() if o.side == -side and side * (price - o.price) >= 0]
        worst = side * self.position + self.reserved(side) + qty
        if self.killed or self.halted or crossing or worst > self.max_position or len(self.open()) >= self.max_open:
            self.refused[cid] = body
            return "refused"
        self.orders[cid] = Known(side, qty, price, body)
        return "accepted"

    def fill(self, trade: str, cid: str, qty: int, price: int) -> str:
        """Return applied, repeat, conflict or quarantined."""
        if trade in self.trades:
            return "repeat" if self.trades[trade] == (cid, qty, price) else "conflict"
        order = self.orders.get(cid)
        if order is None:
            self.trades[trade] = (cid, qty, price)
            return "quarantined"
        self.trades[trade] = (cid, qty, price)
        inside = min(qty, order.qty - order.filled)
        order.filled += inside
        order.over += qty - inside
        self.halted = self.halted or qty > inside
        self.position += order.side * qty
        self.paid += order.side * qty * price
        self.cash -= order.side * qty * price
        order.ended = order.ended or order.filled == order.qty
        return "applied"

    def end(self, cid: str) -> None:
        """The venue says that the order is over."""
        if cid in self.orders:
            self.orders[cid].ended = True
