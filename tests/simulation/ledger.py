"""The books of the simulator: plain sums over what was sent and reported, kept apart from the product's own.

What the product may decide by itself (to accept, to end an order) is taken from its events, and each such event must
be covered by something that a client, a venue or the clock did: `dead` is that cover for the end of an order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import NamedTuple

from trading import commands as c
from trading import events as e
from trading.orders.idempotency import order_id

NANO = Decimal("1e-9")
WIDE = Context(prec=80)
ENDS = frozenset({"filled", "canceled", "replaced", "expired", "rejected"})


class Content(NamedTuple):
    """What two reports of one execution must agree on."""

    order: str
    instrument: str
    side: str
    qty: Decimal | None
    price: Decimal | None
    fee: Decimal | None


class Fate(NamedTuple):
    """What must become of an execution: apply, repeat, conflict or aside."""

    what: str
    qty: int = 0
    price: int = 0
    cost: int = 0
    fee: int = 0
    over: int = 0
    late: bool = False


@dataclass(slots=True)
class Known:
    """One accepted order as its client and its venue know it."""

    intent: e.OrderAccepted
    side: int
    filled: int = 0
    over: int = 0
    carried: int = 0
    status: str = "pending_new"
    moved_ns: int = 0
    ended_ns: int = 0
    dead: bool = False
    child: str = ""
    version: int = 0
    retired: bool = False
    keys: tuple[str, ...] = ()
    wanted: bool = False

    @property
    def ended(self) -> bool:
        """Say whether the order is over."""
        return self.status in ENDS


@dataclass(slots=True)
class Book:
    """One account."""

    cash: int = 0
    limits: c.LimitsBody | None = None
    limits_version: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    costs: dict[str, int] = field(default_factory=dict)
    fees: dict[str, int] = field(default_factory=dict)
    trades: dict[str, Content] = field(default_factory=dict)
    deposits: dict[str, int] = field(default_factory=dict)
    spent_until_ns: int = 0
    alike: list[tuple[int, tuple[object, ...]]] = field(default_factory=list)
    # Client order id -> (body, "" for accepted or the code of the refusal).
    bodies: dict[str, tuple[tuple[object, ...], str]] = field(default_factory=dict)


class Ledger:
    """All accounts, all orders, and the controls."""

    def __init__(self) -> None:
        self.books: dict[str, Book] = {}
        self.orders: dict[str, Known] = {}
        self.killed_by: str | None = None
        self.modes: dict[tuple[str, str, str], str] = {}
        self.causes: dict[str, int] = {}

    def inherited(self, order: Known) -> int:
        """Return what the orders that this one replaces have filled."""
        parent = self.orders.get(order.intent.replaces)
        if parent is None or (order.ended and order.status != "replaced"):
            return order.carried
        return parent.filled + self.inherited(parent)

    def leaves(self, order: Known) -> int:
        """Return what may still be filled."""
        return max(0, order.intent.qty - self.inherited(order) - order.filled)

    def hold(self, order: Known) -> tuple[int, int]:
        """Return (quantity, price x quantity) that must be held; a pending replacement only what it adds."""
        if order.ended:
            return 0, 0
        qty = self.leaves(order)
        raw = qty * order.intent.hold_price
        parent = self.orders.get(order.intent.replaces)
        if parent is not None and not parent.ended:
            held_qty, held_raw = self.hold(parent)
            return max(0, qty - held_qty), max(0, raw - held_raw)
        return qty, raw

    def open_orders(self, account: str) -> list[Known]:
        """Return the orders of an account that may still trade."""
        return [o for o in self.orders.values() if not o.ended and o.intent.account == account]

    def fate(self, report: c.VenueFill) -> Fate:
        """Return what must become of an execution."""
        book = self.books.get(report.account)
        if book is None:
            return Fate("aside")
        content = content_of(report)
        before = book.trades.get(key_of(report))
        if before is not None:
            return Fate("repeat" if before == content else "conflict")
        order = self.orders.get(report.order)
        if order is None or order.retired or order.intent.account != report.account:
            return Fate("aside")
        intent = order.intent
        if (intent.instrument, intent.side) != (report.instrument, report.side):
            return Fate("aside")
        qty, price = scaled(content.qty, intent.qty_scale), scaled(content.price, intent.price_scale)
        fee = scaled(content.fee, 9)
        if not qty or not price or fee is None or qty < 0 or price < 0:
            return Fate("aside")
        assert content.qty is not None
        assert content.price is not None
        value = WIDE.multiply(content.qty, content.price).quantize(NANO, ROUND_HALF_EVEN, WIDE)
        cost = order.side * int(value.scaleb(9, WIDE))
        return Fate("apply", qty, price, cost, fee, max(0, qty - self.leaves(order)), order.ended)

    def observe(self, command: c.AnyCommand, events: Sequence[e.AnyEvent], cause: str, *, kept: bool) -> None:
        """Take a command and what was decided on it."""
        if isinstance(command, c.VenueFill):
            self._fill(command)
        elif isinstance(command, c.Report):
            self._cover(command)
        elif isinstance(command, c.SubmitOrder | c.ReplaceOrder):
            self._remember(command, events)
        for event in events:
            self._follow(event)
        if isinstance(command, c.VenueFill):
            self._cover_by_fill(command)
        if kept:
            source, _, offset = cause.rpartition(":")
            self.causes[source] = max(self.causes.get(source, -1), int(offset))

    def _fill(self, report: c.VenueFill) -> None:
        fate = self.fate(report)
        book = self.books.get(report.account)
        if book is not None:
            book.trades.setdefault(key_of(report), content_of(report))
        if fate.what != "apply" or book is None:
            return
        order = self.orders[report.order]
        order.keys += (key_of(report),)
        order.filled += fate.qty - fate.over
        order.over += fate.over
        name = report.instrument
        book.positions[name] = book.positions.get(name, 0) + order.side * fate.qty
        book.costs[name] = book.costs.get(name, 0) + fate.cost
        book.fees[name] = book.fees.get(name, 0) + fate.fee
        book.cash -= fate.cost + fate.fee

    def _cover_by_fill(self, report: c.VenueFill) -> None:
        order = self.orders.get(report.order)
        if order is None or not order.filled + order.over:
            return
        parent = self.orders.get(order.intent.replaces)
        if parent is not None:
            parent.dead = True
        if not self.leaves(order):
            order.dead = True
            if order.child:
                self.orders[order.child].dead = True
        last = order
        while last.child:
            child = self.orders[last.child]
            child.dead = child.dead or not self.leaves(child) or not self.leaves(last)
            last = child

    def _cover(self, report: c.Report) -> None:
        order = self.orders.get(report.order)
        if order is None or order.intent.account != report.account:
            return
        child, parent = self.orders.get(order.child), self.orders.get(order.intent.replaces)
        over = isinstance(report, c.VenueCanceled | c.VenueExpired)
        if isinstance(report, c.VenueState):
            gone = not report.found and not order.filled
            over = gone or report.status in ("canceled", "expired", "rejected")
            if report.found and parent is not None:
                parent.dead = True
        if isinstance(report, c.VenueRejected):
            over = report.request == "new" and not order.filled
            if report.request == "replace":
                over = parent is not None and (child is None or child.ended)
                if not over and child is not None:
                    child.dead = True
        if isinstance(report, c.VenueReplaced):
            named = self.orders.get(report.new_order)
            if named is not None and named.intent.replaces == report.order:
                order.dead = True
                named.dead = named.dead or named.intent.qty <= order.filled + self.inherited(order)
        if over:
            order.dead = True
            if child is not None and child.status in ("pending_new", "pending_cancel", "unknown"):
                child.dead = True

    def _remember(self, command: c.SubmitOrder | c.ReplaceOrder, events: Sequence[e.AnyEvent]) -> None:
        book = self.books.get(command.account)
        if book is None or command.client_order_id in book.bodies:
            return
        for event in events:
            if isinstance(event, e.OrderAccepted):
                book.bodies[command.client_order_id] = (self.body_of(command), "")
            elif isinstance(event, e.OrderRefused) and event.digest:
                book.bodies[command.client_order_id] = (self.body_of(command), event.code)

    def body_of(self, command: c.SubmitOrder | c.ReplaceOrder) -> tuple[object, ...]:
        """Return what makes two commands the same, amounts as numbers."""
        if isinstance(command, c.SubmitOrder):
            return (
                *(command.instrument, command.side, number(command.qty), command.type, command.tif),
                *(number(command.limit_price), number(command.stop_price), command.expire_ts_ns, command.strategy, ""),
            )
        old = self.orders[command.order].intent
        qty = e_number(old.qty, old.qty_scale) if command.qty is None else number(command.qty)
        limit = e_number(old.limit_price, old.price_scale) if command.limit_price is None else command.limit_price
        stop = e_number(old.stop_price, old.price_scale) if command.stop_price is None else command.stop_price
        tif = command.tif or old.tif
        until = old.asked_expire_ts_ns if tif == "gtd" else None
        return (
            *(old.instrument, old.side, qty, old.type, tif, number(limit), number(stop), until, old.strategy),
            command.order,
        )

    def _follow(self, event: e.AnyEvent) -> None:
        if isinstance(event, e.OrderAccepted):
            self._accept(event)
        elif isinstance(event, e.OrderMoved):
            order = self.orders[event.order]
            if event.to == "pending_cancel" and event.request:
                self._spend(self.books[event.account], event.ts_ns)
            order.wanted = event.to == "pending_cancel" or (event.to == "unknown" and "CANCEL_WANTED" in event.reason)
            self._enter(order, event.to, event.ts_ns)
        elif isinstance(event, e.OrderFilled):
            self._enter(self.orders[event.order], event.to, event.ts_ns)
        else:
            self._follow_control(event)

    def _follow_control(self, event: e.AnyEvent) -> None:
        if isinstance(event, e.AccountOpened):
            self.books[event.account] = Book()
        elif isinstance(event, e.CashMoved):
            book = self.books[event.account]
            book.cash += event.amount
            book.deposits[event.ref] = event.amount
        elif isinstance(event, e.LimitsChanged):
            book = self.books[event.account]
            book.limits, book.limits_version = event.limits, event.version
        elif isinstance(event, e.ModeChanged):
            self.modes[mode_of(event.scope, event.account, event.target)] = event.new
        elif isinstance(event, e.KillChanged):
            self.killed_by = event.actor if event.on else None
        elif isinstance(event, e.OrdersRetired):
            self._retire(event)

    def _retire(self, event: e.OrdersRetired) -> None:
        for order in self.orders.values():
            due = order.ended and order.ended_ns <= event.ended_until_ns
            if due and order.intent.account == event.account and not order.retired:
                order.retired = True
                for key in order.keys:
                    del self.books[event.account].trades[key]

    def _accept(self, event: e.OrderAccepted) -> None:
        book = self.books[event.account]
        order = Known(event, 1 if event.side == "buy" else -1, moved_ns=event.ts_ns)
        self.orders[event.order] = order
        if event.replaces:
            self.orders[event.replaces].child = event.order
        self._spend(book, event.ts_ns)
        assert book.limits is not None
        ts_ns = max(event.ts_ns, book.alike[-1][0] if book.alike else 0)
        since_ns = ts_ns - book.limits.repeat_window_ms * 10**6
        book.alike = [noted for noted in book.alike if noted[0] > since_ns]
        book.alike.append((ts_ns, likeness(event, order.side, event.qty)))

    def _spend(self, book: Book, ts_ns: int) -> None:
        assert book.limits is not None
        book.spent_until_ns = max(book.spent_until_ns, ts_ns) + 10**9 // book.limits.message_rate

    def _enter(self, order: Known, to: str, ts_ns: int) -> None:
        # An order does not get younger when the clock goes back.
        order.moved_ns = max(order.moved_ns, ts_ns)
        if to in ENDS and not order.ended:
            order.carried = self.inherited(order)
            order.ended_ns = order.moved_ns
        order.status = to


def likeness(event: e.OrderAccepted, side: int, qty: int) -> tuple[object, ...]:
    """Return what makes two orders identical."""
    return (event.strategy, event.instrument, side, qty, event.type, event.limit_price, event.stop_price)


def mode_of(scope: str, account: str, target: str) -> tuple[str, str, str]:
    """Return the key of one control."""
    if scope == "global":
        return ("global", "", "")
    return (scope, account, "" if scope == "account" else target)


def key_of(report: c.VenueFill) -> str:
    """Return what identifies an execution in an account."""
    return f"{report.venue}/{report.trade_id}"


def content_of(report: c.VenueFill) -> Content:
    """Return the content of an execution; None for an amount that is none."""
    return Content(
        report.order, report.instrument, report.side, number(report.qty), number(report.price), number(report.fee)
    )


def number(text: str | Decimal | None) -> Decimal | None:
    """Return a finite decimal, or None."""
    if text is None or isinstance(text, Decimal):
        return text
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def e_number(amount: int | None, scale: int) -> Decimal | None:
    """Return an integer of a scale as a decimal."""
    return None if amount is None else Decimal(amount).scaleb(-scale, WIDE)


def scaled(value: Decimal | None, scale: int) -> int | None:
    """Return a decimal as an integer of a scale, or None if it does not fit."""
    if value is None:
        return None
    moved = value.scaleb(scale, WIDE)
    return int(moved) if moved == moved.to_integral_value() and abs(moved) < 2**63 else None


def id_of(account: str, client_order_id: str) -> str:
    """Return the order id of a client's id."""
    return order_id(account, client_order_id)
