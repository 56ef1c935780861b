"""What each kind of step does to a world. Integers choose among what is there; nothing to choose from, nothing done."""

from collections.abc import Callable

import msgspec

from tests.simulation.invariants import i11_tampering
from tests.simulation.ledger import id_of
from tests.simulation.oracle import BrokenQuotes
from tests.simulation.plan import Step
from tests.simulation.settle import settle
from tests.simulation.venue import NAME, WAYS, Working
from tests.simulation.world import MODEL, World
from tests.trading.orders.builders import ABC, EUR, NYS, OLD, TABLE, XYZ, limits_body
from trading import commands as c
from trading.amounts import to_text
from trading.events import OrderAccepted
from trading.instruments import Instrument
from trading.orders.transitions import WORKING
from trading.risk.market import MarketView, quote
from trading.risk.var import RiskModel

MS = 10**6
S = 10**9
DAY = 86_400 * S
INSTRUMENTS = (XYZ,) * 13 + (ABC,) * 12 + (NYS,) * 3 + (OLD, EUR)
TYPES: tuple[c.OrderType, ...] = (
    *("limit",) * 7,
    *("market",) * 3,
    *("stop", "stop_limit"),
)
TIFS: tuple[c.TimeInForce, ...] = ("gtc", "gtc", "gtc", "day", "ioc", "fok", "gtd")
MODES: tuple[c.TradingMode, ...] = ("active", "active", "reducing", "halted")
SCOPES: tuple[c.Scope, ...] = ("global", "account", "strategy", "instrument")
STRATEGIES = ("", "", "sma", "mean")
SHARES = (1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 8, 9, 10, 10, 10, 12, 15, 20, 25, 40, 50, 51, 100, 101, 500)
JUMPS_NS = (-600 * S, -3 * S, 0, MS, 10 * MS, 100 * MS, S, S, S, 2 * S, 4 * S, 6 * S, 31 * S, 600 * S)
BROKEN: tuple[dict[str, str | None], ...] = (
    {"qty": "0"},
    {"qty": "-1"},
    {"qty": "1e99"},
    {"qty": "NaN"},
    {"qty": "1.0000000000001"},
    {"limit_price": "-5", "type": "limit"},
    {"limit_price": None, "type": "limit"},
    {"stop_price": None, "type": "stop"},
    {"instrument": "NONE.SIM"},
    {"client_order_id": "a\nb"},
    {"account": "nobody"},
    {"tif": "gtd"},
    {"stop_price": "1", "type": "market"},
)


class Actor:
    """Runs steps in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.bodies: dict[tuple[str, str], c.SubmitOrder] = {}
        self._do: dict[str, Callable[[tuple[int, ...]], None]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }

    def open_accounts(self) -> None:
        """Open, fund and limit every account."""
        for account in self.world.accounts:
            now = self.world.now_ns
            self.world.call(c.OpenAccount(account=account, ts_ns=now, actor="admin"))
            cash = "20000" if self.world.features.tight else "1000000"
            self.world.call(c.Deposit(account=account, ts_ns=now, actor="admin", ref="first", amount=cash))
            self.world.call(c.SetLimits(account=account, ts_ns=now, actor="admin", limits=self.limits(0)))
        self.world.flush()

    def run(self, step: Step) -> None:
        """Do one step."""
        self.world.story.append(f"-- {step.kind} at {self.world.now_ns}")
        self._do[step.kind](step.n)

    def limits(self, n: int) -> c.LimitsBody:
        """Return limits of this schedule, in some variants."""
        features = self.world.features
        tight = {
            "max_order_qty": "100",
            "max_order_value": "5000",
            "max_position_qty": "100",
            "max_var": ("3000", "800")[n % 2],
            "max_open_orders": (5, 3)[n // 2 % 2],
            "short_allowed": n % 3 != 2,
            "repeat_count": 3,
        }
        wide = {"max_position_qty": ("100", "600")[n % 2], "short_allowed": n % 5 != 4}
        if features.no_shorts:
            tight["short_allowed"] = wide["short_allowed"] = False
        rate = {"message_rate": 2, "message_burst": 3} if features.throttled else {}
        return limits_body(**(tight if features.tight else wide), **rate)

    # Clients.

    def order(self, n: tuple[int, ...]) -> c.SubmitOrder:
        """Return a well-formed order."""
        world = self.world
        account = world.accounts[n[0] % len(world.accounts)]
        instrument = INSTRUMENTS[n[1] % len(INSTRUMENTS)]
        type_, tif = TYPES[n[2] % len(TYPES)], TIFS[n[3] % len(TIFS)]
        side = self.side(account, instrument, n[4])
        if tif in ("ioc", "fok") and type_ in ("stop", "stop_limit"):
            tif = "gtc"
        needs_limit, needs_stop = type_ in ("limit", "stop_limit"), type_ in ("stop", "stop_limit")
        held = world.ledger.books[account].positions.get(instrument.id, 0)
        qty = self.qty(instrument, n[6])
        if side == "sell" and held > 0 and n[6] % 4 == 0:
            qty = to_text(max(1, held - n[6] % 3), instrument.qty_scale)
        return c.SubmitOrder(
            account=account,
            ts_ns=world.now_ns,
            client_order_id=f"c{n[5] % world.features.ids}" if n[5] // 64 % 8 == 0 else f"n{len(self.bodies)}",
            instrument=instrument.id,
            side=side,
            qty=qty,
            type=type_,
            tif=tif,
            limit_price=self.price(instrument, n[7], side) if needs_limit else None,
            stop_price=self.price(instrument, n[7] // 64, side) if needs_stop else None,
            expire_ts_ns=world.now_ns + JUMPS_NS[4 + n[3] % 6] if tif == "gtd" else None,
            strategy=STRATEGIES[n[2] // 16 % len(STRATEGIES)],
        )

    def side(self, account: str, instrument: Instrument, n: int) -> c.Side:
        """Return a side; seldom a sale of what cannot be sold short and is not there."""
        shorts = instrument.shortable and not self.world.features.no_shorts
        sells = shorts or self.world.ledger.books[account].positions.get(instrument.id, 0) > 0
        return "sell" if n % (2 if sells else 8) == 0 else "buy"

    def qty(self, instrument: Instrument, n: int) -> str:
        """Return a quantity, often at a limit or one unit beyond it."""
        whole = SHARES[n % len(SHARES)]
        odd = n // 16 % 100_000_000 if instrument.qty_scale and n % 3 else 0
        return to_text(whole * 10**instrument.qty_scale + odd, instrument.qty_scale)

    def other_qty(self, intent: OrderAccepted, n: int) -> str:
        """Return a quantity near the one of an order: more, less, or what is filled."""
        unit = 10**intent.qty_scale
        filled = self.world.ledger.orders[intent.order].filled
        qty = (intent.qty + unit, intent.qty + 5 * unit, intent.qty - unit, intent.qty // 2, filled)[n % 5]
        return to_text(max(1, qty), intent.qty_scale)

    def price(self, instrument: Instrument, n: int, side: str) -> str:
        """Return a price near the market, at the collar, or one tick beyond it."""
        seen = self.world.seen(instrument.id)
        mark = 100 * 10**instrument.price_scale if seen is None else seen.mark
        tick, way = instrument.tick, 1 if side == "buy" else -1
        collar = mark * (10_000 + way * 1_000) // 10_000 // tick * tick
        worse = (-300, -50, -20, -10, -5, -3, -2, -1, -1, 0, 0, 1, 2, 50)[n % 14]
        near = mark // tick * tick + way * worse * tick
        chosen = (*(near,) * 20, collar, collar + way * tick, collar + 2 * way * tick, near + 1)[n // 16 % 24]
        return to_text(max(tick, chosen), instrument.price_scale)

    def send(self, command: c.AnyCommand, n: int) -> None:
        """Send a client's command one of the two ways."""
        if self.world.features.through_topic and n % 3 == 0:
            self.world.produce(command)
        else:
            self.world.call(command)

    def do_submit(self, n: tuple[int, ...]) -> None:
        """A client sends an order, perhaps under an id that was used."""
        command = self.order(n)
        self.bodies.setdefault((command.account, command.client_order_id), command)
        self.send(command, n[0] // 8)

    def do_again(self, n: tuple[int, ...]) -> None:
        """A client repeats an order to the letter."""
        if self.bodies:
            self.send(list(self.bodies.values())[n[0] % len(self.bodies)], n[1])

    def do_alike(self, n: tuple[int, ...]) -> None:
        """A strategy has lost its mind: the same order several times, each under its own id."""
        if self.bodies:
            old = list(self.bodies.values())[-1 - n[0] % min(3, len(self.bodies))]
            for _ in range(1 + n[2] % 3):
                command = msgspec.structs.replace(old, client_order_id=f"n{len(self.bodies)}")
                self.bodies[command.account, command.client_order_id] = command
                self.send(command, n[1])

    def do_other_body(self, n: tuple[int, ...]) -> None:
        """A client uses an id again for another quantity."""
        if self.bodies:
            old = list(self.bodies.values())[n[0] % len(self.bodies)]
            instrument = TABLE[old.instrument]
            self.send(msgspec.structs.replace(old, qty=self.qty(instrument, n[2])), n[1])

    def do_broken(self, n: tuple[int, ...]) -> None:
        """A client sends nonsense."""
        self.send(msgspec.structs.replace(self.order(n), **BROKEN[n[0] // 8 % len(BROKEN)]), n[1])

    def do_cancel(self, n: tuple[int, ...]) -> None:
        """A client cancels an order, most often an open one."""
        order = self.some_order(n)
        if order:
            account = self.world.ledger.orders[order].intent.account
            self.send(c.CancelOrder(account=account, ts_ns=self.world.now_ns, order=order), n[2])

    def do_cancel_all(self, n: tuple[int, ...]) -> None:
        """A client cancels everything of an account, or of one instrument."""
        account = self.world.accounts[n[0] % len(self.world.accounts)]
        name = XYZ.id if n[1] % 2 else None
        self.send(c.CancelAll(account=account, ts_ns=self.world.now_ns, instrument=name), n[2])

    def do_replace(self, n: tuple[int, ...]) -> None:
        """A client replaces an order, most often one that works."""
        working = [o.intent.order for o in self.world.ledger.orders.values() if o.status in WORKING]
        order = working[n[1] % len(working)] if working and n[0] % 8 else self.some_order(n)
        if not order:
            return
        intent = self.world.ledger.orders[order].intent
        instrument = TABLE[intent.instrument]
        command = c.ReplaceOrder(
            account=intent.account,
            ts_ns=self.world.now_ns,
            order=order,
            client_order_id=f"r{n[3] % (40 * self.world.features.ids)}",
            qty=self.other_qty(intent, n[4]) if n[5] % 3 else None,
            limit_price=self.price(instrument, n[6], intent.side) if intent.limit_price and n[7] % 3 else None,
        )
        self.send(command, n[2])

    def some_order(self, n: tuple[int, ...]) -> str:
        """Return an order id, most often of an open order."""
        orders = [o.intent.order for o in self.world.ledger.orders.values() if not o.ended or n[0] % 8 == 0]
        return orders[n[1] % len(orders)] if orders else ""

    # The venue and its line.

    def do_venue(self, n: tuple[int, ...]) -> None:
        """The venue takes a request off the line."""
        world = self.world
        for turn in range(1 + n[3] % 3):
            if not world.requests:
                return
            place = n[0] % len(world.requests) if world.features.reorder and n[1] % 4 == 0 else 0
            way = WAYS[(n[2] >> 4 * turn) % len(WAYS)]
            world.reports += world.exchange.work(world.requests.pop(place), way, world.now_ns)

    def live(self, n: int) -> Working | None:
        """Return an order that works at the exchange."""
        live = [order for order in self.world.exchange.orders.values() if order.live]
        return live[n % len(live)] if live else None

    def do_trade(self, n: tuple[int, ...]) -> None:
        """The market trades: the exchange executes a part, all, or too much of an order."""
        world = self.world
        if world.paper is not None:
            instrument = (XYZ, ABC)[n[0] % 2]
            seen = world.seen(instrument.id)
            if seen is not None:
                price = seen.mark + (n[1] % 41 - 20) * instrument.tick
                world.reports += world.paper.on_trade(
                    instrument.id, world.now_ns, price, n[2] % 60 * 10**instrument.qty_scale
                )
            return
        order = self.live(n[0])
        if order is None:
            return
        request = order.request
        left = order.leaves
        qty = (left, left, max(1, left // 2), max(1, left // 3), 1)[n[1] % 5]
        if world.features.overfill and n[2] % 16 == 0:
            qty = left + 1 + n[3] % 5
        price = request.limit_price or request.hold_price
        way = -1 if request.side == "buy" else 1
        price = max(1, price + way * (n[4] % 3))
        fee = (0, 123_456_789, -5_000_000, 1)[n[5] % 4]
        world.reports.append(world.exchange.trade(order, qty, price, fee, world.now_ns))

    def do_crossing(self, n: tuple[int, ...]) -> None:
        """The exchange trades an order and then ends it; the end is told first."""
        order = self.live(n[0])
        if order is not None:
            self.do_trade(n)
            fills = self.world.reports[-1:]
            if order.live:
                now = self.world.now_ns
                self.world.reports[-1:] = [self.world.exchange.end(order, "canceled", now), *fills]

    def do_venue_end(self, n: tuple[int, ...]) -> None:
        """The exchange ends an order by itself."""
        order = self.live(n[0])
        if order is not None:
            status = "expired" if n[1] % 2 else "canceled"
            self.world.reports.append(self.world.exchange.end(order, status, self.world.now_ns))

    def do_deliver(self, n: tuple[int, ...]) -> None:
        """A report reaches the topic, out of order if the line is so."""
        reports = self.world.reports
        for _ in range(1 + n[2] % 4):
            if reports:
                place = n[0] % len(reports) if self.world.features.reorder and n[1] % 2 else 0
                self.world.produce(reports.pop(place))

    def do_lose(self, n: tuple[int, ...]) -> None:
        """A report is lost on its way; a paper venue loses none."""
        reports = self.world.reports
        if reports and self.world.paper is None:
            del reports[n[0] % len(reports)]

    def do_duplicate(self, n: tuple[int, ...]) -> None:
        """A report is on its way twice."""
        reports = self.world.reports
        if reports:
            reports.append(reports[n[0] % len(reports)])

    def do_old_report(self, n: tuple[int, ...]) -> None:
        """A report from before comes again."""
        old = [command for command in self.world.topic[-60:] if isinstance(command, c.Report)]
        if old and self.world.paper is None:
            self.world.produce(old[n[0] % len(old)])

    def do_stranger(self, n: tuple[int, ...]) -> None:
        """An execution comes that fits nothing, or that contradicts one that came."""
        world = self.world
        if world.paper is not None:
            return
        if world.exchange.trades and n[0] % 2:
            fill = world.exchange.trades[n[1] % len(world.exchange.trades)]
            other: dict[str, str] = [{"qty": "7"}, {"price": "3.01"}, {"fee": "0.77"}][n[2] % 3]
            world.produce(msgspec.structs.replace(fill, **other))
            return
        order = self.some_order(n) or id_of("a0", "nothing")
        known = world.ledger.orders.get(order)
        account = world.accounts[n[3] % len(world.accounts)] if known is None else known.intent.account
        fill = c.VenueFill(
            account=account,
            ts_ns=world.now_ns,
            order=order,
            venue=NAME,
            trade_id=f"s{n[4] % 1000}",
            instrument=XYZ.id if known is None else known.intent.instrument,
            side="buy" if known is None else known.intent.side,
            qty="3",
            price="100",
        )
        wrong: list[dict[str, str]] = [
            {"side": "sell" if fill.side == "buy" else "buy"},
            {"instrument": OLD.id},
            {"order": id_of("a0", f"x{n[5] % 50}")},
            {"qty": "-3"},
            {"qty": "abc"},
            {"account": "nobody"},
            {"price": "100.123456789123"},
        ]
        world.produce(msgspec.structs.replace(fill, **wrong[n[6] % len(wrong)]))

    # People.

    def do_kill(self, n: tuple[int, ...]) -> None:
        """Somebody pulls the kill switch."""
        self.send(c.Kill(account="", ts_ns=self.world.now_ns, actor="ann", cancel_open=n[0] % 3 > 0), n[1])

    def do_revive(self, n: tuple[int, ...]) -> None:
        """Somebody lifts it, perhaps the one who may not."""
        actor = "ann" if n[0] % 3 == 0 else "bob"
        self.send(c.Revive(account="", ts_ns=self.world.now_ns, actor=actor), n[1])

    def do_mode(self, n: tuple[int, ...]) -> None:
        """A mode is set, or taken back."""
        scope = SCOPES[n[0] % 4]
        targets = {"strategy": "sma", "instrument": (XYZ.id, ABC.id)[n[1] % 2]}
        account = "" if scope == "global" or (scope in targets and n[2] % 2) else self.world.accounts[0]
        mode = MODES[n[3] % len(MODES)]
        target = targets.get(scope, "")
        now = self.world.now_ns
        self.send(c.SetMode(account=account, ts_ns=now, actor="ann", scope=scope, mode=mode, target=target), n[4])

    def do_mode_back(self, n: tuple[int, ...]) -> None:
        """A mode that was set, by a person or a rule, is taken back."""
        world = self.world
        on = [key for key, mode in world.ledger.modes.items() if mode != "active"]
        if on:
            scope, account, target = on[n[0] % len(on)]
            known: c.Scope = SCOPES[[str(s) for s in SCOPES].index(scope)]
            back = c.SetMode(
                account=account, ts_ns=world.now_ns, actor="bob", scope=known, mode="active", target=target
            )
            self.send(back, n[1])

    def do_limits(self, n: tuple[int, ...]) -> None:
        """Other limits are put in force."""
        account = self.world.accounts[n[0] % len(self.world.accounts)]
        self.send(c.SetLimits(account=account, ts_ns=self.world.now_ns, actor="ann", limits=self.limits(n[1])), n[2])

    def do_deposit(self, n: tuple[int, ...]) -> None:
        """Cash moves in or out, perhaps under a reference that was used."""
        account = self.world.accounts[n[0] % len(self.world.accounts)]
        amount = ("10", "-10", "0.000000001", "-99999999", "zero")[n[1] % 5]
        ref = f"d{n[2] % 8}"
        self.send(c.Deposit(account=account, ts_ns=self.world.now_ns, actor="ann", ref=ref, amount=amount), n[3])

    def do_open_account(self, n: tuple[int, ...]) -> None:
        """An account is opened again, in the same or another currency."""
        currency = "USD" if n[0] % 2 else "EUR"
        account = self.world.accounts[0]
        self.send(c.OpenAccount(account=account, ts_ns=self.world.now_ns, actor="ann", currency=currency), n[1])

    # Time and the market.

    def do_timer(self, n: tuple[int, ...]) -> None:
        """The owner's timer rings."""
        self.world.call(c.Timer(account="", ts_ns=self.world.now_ns))

    def do_clock(self, n: tuple[int, ...]) -> None:
        """Time passes, or jumps; prices come along unless the market is slow."""
        jump = JUMPS_NS[n[0] % len(JUMPS_NS)]
        if self.world.features.day_jumps and n[1] % 4 == 0:
            jump = DAY + n[2] % S
        self.world.now_ns += jump
        if n[4] % 2:
            self.world.view = self.world.view.with_model(MODEL)
        if not self.world.features.slow_market or n[3] % 3 == 0:
            for instrument in TABLE:
                self.move(instrument, 0)
        if self.world.paper is not None:
            self.world.reports += self.world.paper.advance(self.world.now_ns)
        if n[5] % 2:
            self.do_timer(n)

    def do_price(self, n: tuple[int, ...]) -> None:
        """A price moves."""
        self.move(INSTRUMENTS[n[0] % len(INSTRUMENTS)], n[1] % 201 - 100)

    def move(self, instrument: Instrument, ticks: int) -> None:
        """Quote an instrument anew, some ticks away."""
        world = self.world
        seen = world.seen(instrument.id)
        mark = 100 * 10**instrument.price_scale if seen is None else seen.mark
        mark = max(100 * instrument.tick, mark + ticks * instrument.tick)
        world.set_quotes({instrument.id: quote(world.now_ns, mark - instrument.tick, mark + instrument.tick, mark)})
        if world.paper is not None:
            size = 30 * 10**instrument.qty_scale
            bid, ask = mark - instrument.tick, mark + instrument.tick
            world.reports += world.paper.on_quote(instrument.id, world.now_ns, bid, size, ask, size)

    def do_price_gone(self, n: tuple[int, ...]) -> None:
        """A price is missing."""
        self.world.set_quotes({INSTRUMENTS[n[0] % len(INSTRUMENTS)].id: None})

    def do_model_gone(self, n: tuple[int, ...]) -> None:
        """The risk parameters come back, or cover less than before."""
        fewer = RiskModel(2, MODEL.names[:1], [MODEL.cov[0][:1]], MODEL.returns[:1].T)
        self.world.view = self.world.view.with_model(fewer if n[0] % 3 == 0 else MODEL)

    def do_prices_broken(self, n: tuple[int, ...]) -> None:
        """Prices fail when they are read, until the next one comes."""
        world = self.world
        quotes = BrokenQuotes(world.view.quotes)
        world.view = MarketView(TABLE, quotes, world.view.model, world.view.closes, world.view.version + 1)

    # Machines.

    def do_flush(self, n: tuple[int, ...]) -> None:
        """The writer commits."""
        self.world.flush()

    def do_snapshot(self, n: tuple[int, ...]) -> None:
        """A snapshot is written."""
        self.world.take_snapshot()

    def do_crash(self, n: tuple[int, ...]) -> None:
        """The owner dies after some of the queued records were written."""
        self.world.crash(n[0] % (len(self.world.queued) + 1), n[1] % 20)

    def do_tamper(self, n: tuple[int, ...]) -> None:
        """Somebody changes one byte of the journal, and it is verified."""
        i11_tampering(self.world, n[0])

    def do_reconcile(self, n: tuple[int, ...]) -> None:
        """The line falls quiet and both sides are compared."""
        if self.world.paper is None:
            settle(self.world)

    def do_route_restart(self, n: tuple[int, ...]) -> None:
        """The gateway dies, with what it had not sent if told so, and the paper venue with what it had not written."""
        world = self.world
        if n[0] % 2:
            world.requests.clear()
        if world.paper is not None:
            # The next life of the paper venue begins when the owner has worked what the last one had written.
            for report in world.reports[: n[1] % (len(world.reports) + 1)]:
                world.produce(report)
            world.flush()
            world.reports.clear()
        world.restart_gateway()
