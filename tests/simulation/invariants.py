"""The invariants of the core, one named function each, over a decision or over the state after it.

None of them asks the product for a sum: they compare with the ledger, with brute force, or with the bytes themselves.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from hashlib import sha256

from tests.simulation import oracle
from tests.simulation.canonical import derived, differences, kept
from tests.simulation.ledger import ENDS, Known, id_of, mode_of
from tests.simulation.world import SOURCE, Moment, ViolationError, World
from trading import commands as c
from trading import events as e
from trading.orders import journal
from trading.orders.oms import decide
from trading.orders.snapshot import all_rows, restore, state_hash, watermark
from trading.orders.state import OrderRow, State
from trading.routing.plan import VenueRequest

CODE = re.compile(r"[A-Z][A-Z0-9_]*")
SECRETS = re.compile(r"Traceback|File \"|0x[0-9a-f]{6}|\.py\b")
EXPIRED = "EXPIRED"
# From -> the states that an order never goes to from there. Ends are dealt with apart.
NEVER = {"new": {"pending_new", "unknown", "replaced"}, "partially_filled": {"pending_new", "new", "held", "unknown"}}


def require(name: str, holds: bool, message: Callable[[], str] | str) -> None:
    """Raise unless it holds."""
    if not holds:
        raise ViolationError(name, message if isinstance(message, str) else message())


# Over a decision, with the ledger as it was before.


def i1_i2_i8_fills(m: Moment) -> None:
    """An execution is applied once, to its order, and flagged if it is late, too much or contradictory."""
    command = m.command
    applied = [event for event in m.events if isinstance(event, e.OrderFilled)]
    if not isinstance(command, c.VenueFill):
        require("i1_fills", not applied, "a fill without an execution")
        return
    fate = m.world.ledger.fate(command)
    alerts = [event.code for event in m.events if isinstance(event, e.Alert)]
    aside = [event for event in m.events if isinstance(event, e.FillQuarantined)]
    if fate.what != "apply":
        require("i1_fills", not applied, f"{fate.what}: {command} was applied")
        if fate.what == "conflict":
            require("i8_conflict", bool(alerts), f"{command} contradicts and nobody is told")
        if fate.what == "aside":
            require("i1_quarantine", bool(aside and alerts), f"{command} fits nothing and is not kept aside")
        return
    require("i1_fills", len(applied) == 1, f"{command} gave {applied}")
    event = applied[0]
    found = (event.order, event.qty, event.price, event.cost, event.fee, event.overfill, event.late)
    wanted = (command.order, fate.qty, fate.price, fate.cost, fate.fee, fate.over, fate.late)
    require("i1_content", found == wanted, lambda: f"{event}, wanted {wanted}")
    if fate.over:
        require("i2_overfill", "OVERFILL" in alerts, "an overfill without an alert")
    elif fate.late:
        require("i1_late", "LATE_FILL" in alerts, "a late fill without an alert")


def i7_idempotent(m: Moment) -> None:
    """The same id and body is the same answer and one order; another body is refused; for ever."""
    command, ledger = m.command, m.world.ledger
    if not isinstance(command, c.SubmitOrder | c.ReplaceOrder) or command.account not in ledger.books:
        return
    accepted = [event for event in m.events if isinstance(event, e.OrderAccepted)]
    known = ledger.books[command.account].bodies.get(command.client_order_id)
    require("i7_idempotent", len(accepted) <= 1, "one command, two orders")
    for event in accepted:
        wanted = id_of(command.account, command.client_order_id)
        require("i7_idempotent", event.order == wanted, "an order id that is not a function of the client's")
        require("i7_idempotent", wanted not in ledger.orders, "a second order under one id")
    if known is None:
        return
    require("i7_idempotent", not accepted, f"{command.client_order_id} was used and accepted again")
    if malformed(m) or isinstance(command, c.ReplaceOrder):
        return
    body, outcome = known
    refusals = [event for event in m.events if isinstance(event, e.OrderRefused)]
    if ledger.body_of(command) != body:
        codes = [event.code for event in refusals]
        require("i7_reused", codes == ["ID_REUSED"], f"another body under a used id gave {codes}")
    elif outcome:
        again = len(refusals) == 1 and refusals[0].repeat and refusals[0].code == outcome
        require(
            "i7_idempotent", again and not any(map(_decides, m.records)), f"the answer was {outcome}, now {m.events}"
        )
    else:
        require("i7_idempotent", not m.events, f"a repetition gave {m.events}")


def _decides(payload: bytes) -> bool:
    return bool(json.loads(payload)["events"])


def malformed(m: Moment) -> bool:
    """Say whether a command had no meaning, whatever was asked before. What has passed may be known nevertheless."""
    codes = [ev.code for ev in m.events if isinstance(ev, e.OrderRefused) and not ev.breaches and not ev.repeat]
    codes += [ev.code for ev in m.events if isinstance(ev, e.CommandRefused)]
    return bool(codes) and codes not in (["ID_REUSED"], ["EXPIRE_TIME_PAST"])


def i9_i10_i14_to_i18_gate(m: Moment) -> None:
    """The gate refuses exactly the orders that brute force refuses, with the same codes."""
    command, ledger = m.command, m.world.ledger
    if not isinstance(command, c.SubmitOrder | c.ReplaceOrder) or command.account not in ledger.books:
        return
    accepted = any(isinstance(event, e.OrderAccepted) for event in m.events)
    refused = [event for event in m.events if isinstance(event, e.OrderRefused) and event.breaches]
    if not accepted and not refused:
        return
    got = {breach.code for event in refused for breach in event.breaches}
    finding = oracle.broken(ledger, oracle.wish_of(ledger, command, m.view), m.view, command.ts_ns)
    early = got & oracle.EARLY, finding.codes & oracle.EARLY
    if early[0] or early[1]:
        require("i10_fails_closed", bool(early[0]) and not accepted, lambda: f"{m.events}, wanted {early[1]}")
        require("i10_fails_closed", bool(early[1]), lambda: f"{got} with everything there")
        return
    wanted = set(finding.codes)
    name = "i14_kill" if "KILL_SWITCH" in wanted ^ got else "i9_gate"
    require(name, wanted - finding.unsure == got - finding.unsure, lambda: f"{got}, wanted {wanted} for {command}")


def i6_moves(m: Moment) -> None:
    """Orders move along the graph only, and end only if a client, a venue or a fill ended them."""
    seen: dict[str, str] = {}
    for event in m.events:
        if not isinstance(event, e.OrderMoved | e.OrderFilled):
            continue
        order = m.world.ledger.orders.get(event.order)
        status = seen.get(event.order, "pending_new" if order is None else order.status)
        if status in ENDS:
            late = isinstance(event, e.OrderFilled) and event.to == status and event.late
            require("i6_moves", late, f"{event.order} left {status} for {event.to}")
        require("i6_moves", event.to not in NEVER.get(status, ()), f"{event.order}: {status} -> {event.to}")
        seen[event.order] = event.to


def i13_requests(m: Moment) -> None:
    """A request id is a function of the order, what is asked, and the number of the asking."""
    for event in m.events:
        if isinstance(event, e.OrderAccepted):
            verb = "replace" if event.replaces else "new"
            require("i13_requests", event.request == f"{event.order}-{verb}", event.request)
        if isinstance(event, e.OrderMoved) and event.request:
            require("i13_requests", event.request.startswith(f"{event.order}-cancel-"), event.request)


def i14_cancels_pass(m: Moment) -> None:
    """A cancel of an open order is never refused; a kill and a timer reach what they must."""
    command, ledger = m.command, m.world.ledger
    refused = [event for event in m.events if isinstance(event, e.CommandRefused)]
    if isinstance(command, c.CancelOrder):
        order = ledger.orders.get(command.order)
        own = order is not None and order.intent.account == command.account
        if order is not None and own and not order.ended:
            require("i14_cancels_pass", not refused, f"{refused}")
            wish = order.wanted or any(isinstance(event, e.OrderMoved) for event in m.events)
            require("i14_cancels_pass", wish, "a cancel had no effect")
    if isinstance(command, c.Revive) and ledger.killed_by == command.actor:
        lifted = any(isinstance(event, e.KillChanged) for event in m.events)
        require("i14_second_person", not lifted, "the one who pulled the switch lifted it")


def i24_codes(m: Moment) -> None:
    """Every refusal has a stable code and says nothing of the inside."""
    for event in m.events:
        if isinstance(event, e.OrderRefused | e.CommandRefused | e.Alert | e.FillQuarantined):
            require("i24_codes", bool(CODE.fullmatch(event.code)), event.code)
            text = getattr(event, "message", "")
            require("i24_codes", not SECRETS.search(text), text)


def i25_audit(m: Moment) -> None:
    """Each change of a control says who, when, old and new."""
    ledger = m.world.ledger
    for event in m.events:
        if isinstance(event, e.ModeChanged):
            old = ledger.modes.get(mode_of(event.scope, event.account, event.target), "active")
            require("i25_audit", bool(event.actor) and event.old == old, f"{event}, it was {old}")
        if isinstance(event, e.LimitsChanged):
            before = ledger.books[event.account].limits_version
            require("i25_audit", bool(event.actor) and event.version == before + 1, f"{event}, it was {before}")
        if isinstance(event, e.KillChanged):
            require("i25_audit", bool(event.actor) and event.on == (ledger.killed_by is None), f"{event}")


def timer_takes_only_what_is_due(m: Moment) -> None:
    """The timer expires what has expired and doubts what waits too long, and nothing else."""
    if not isinstance(m.command, c.Timer):
        return
    now, ledger = m.command.ts_ns, m.world.ledger
    moved = {event.order for event in m.events if isinstance(event, e.OrderMoved)}
    for event in m.events:
        if isinstance(event, e.OrderMoved) and event.reason.endswith(EXPIRED) and not ledger.orders[event.order].wanted:
            until = ledger.orders[event.order].intent.expire_ts_ns
            require("timer", until is not None and until <= now, f"{event.order} has not expired")
    for id_, order in ledger.orders.items():
        until = order.intent.expire_ts_ns
        if not order.ended and until is not None and until <= now:
            require("timer", order.wanted or id_ in moved, f"{id_} has expired and lives on")


# Over the records of a decision.


def i11_journal(m: Moment) -> None:
    """Each record carries the hash of the one before and of its own bytes, worked out here from the bytes alone."""
    world = m.world
    ready = world.durable if not world.queued else [*world.durable[-1:], *world.queued]
    previous = ready[-len(m.records) - 1 : -len(m.records)] if m.records else []
    prev = json.loads(previous[0])["hash"] if previous else None
    for payload in m.records:
        row = json.loads(payload)
        body, _, tail = payload.rpartition(b',"hash":"')
        require("i11_journal", sha256(body + b"}").hexdigest().encode() + b'"}' == tail, "the hash is not of the bytes")
        require("i11_journal", prev is None or row["prev_hash"] == prev, "the chain is broken")
        prev = row["hash"]
    if any(not (isinstance(event, e.OrderRefused) and event.repeat) for event in m.events):
        require("i11_journal", bool(m.records), "a decision without a record")


# Over the state, with the ledger as it is now.


def i3_i4_i5_money(world: World, state: State) -> None:
    """Positions, cash, cost and fees are the sums of what was executed and moved."""
    for name, book in world.ledger.books.items():
        exposure = state.accounts[name].exposure
        require("i4_cash", exposure.cash == book.cash, f"{name}: {exposure.cash}, wanted {book.cash}")
        for instrument, holding in exposure.holdings.items():
            wanted = book.positions.get(instrument, 0), book.costs.get(instrument, 0), book.fees.get(instrument, 0)
            found = holding.qty, holding.cost - holding.realised, holding.fees
            require("i3_position", found == wanted, f"{name} {instrument}: {found}, wanted {wanted}")
            flat = holding.qty == 0
            require("i5_cost", not flat or holding.cost == 0, f"{name} {instrument}: cost {holding.cost} of nothing")
            require("i5_cost", holding.qty * holding.cost >= 0, f"{name} {instrument}: the cost has the wrong sign")
        lost = [i for i, qty in book.positions.items() if qty and i not in exposure.holdings]
        require("i3_position", not lost, f"{name}: {lost}")


def i2_i6_orders(world: World, state: State) -> None:
    """Every order that was accepted is here until it retires, as its fills and its venue left it."""
    for id_, order in world.ledger.orders.items():
        row = state.orders.get(id_)
        if row is None or order.retired:
            require("i6_orders", row is None and order.retired, f"{id_}: retired {order.retired}, {row}")
            continue
        _order(world, id_, order, row)
    require("i6_orders", len(state.orders) <= len(world.ledger.orders), "an order from nowhere")


def _order(world: World, id_: str, order: Known, row: OrderRow) -> None:
    ledger = world.ledger
    require("i6_orders", row.status == order.status, f"{id_} is {row.status}, wanted {order.status}")
    found = row.filled, row.overfilled, row.inherited
    wanted = order.filled, order.over, ledger.inherited(order)
    require("i2_filled", found == wanted, f"{id_}: {found}, wanted {wanted}")
    require("i2_filled", 0 <= row.filled <= row.intent.qty, f"{id_}: filled {row.filled}")
    require("i2_filled", row.leaves == ledger.leaves(order), f"{id_}: leaves {row.leaves}")
    require("i6_version", row.version >= order.version, f"{id_}: version {row.version}")
    order.version = row.version
    require("i6_ends", order.dead or not order.ended, f"{id_} is {row.status}, and nobody ended it")
    child = ledger.orders.get(order.child)
    unproven = child is not None and child.status in ("pending_new", "unknown")
    waits = order.ended or order.status in ("pending_replace", "pending_cancel", "unknown")
    require("i6_replacing", waits or not unproven, f"{id_} is {row.status}, and its replacement may be at the venue")
    full = order.filled and not ledger.leaves(order)
    require("i6_ends", order.ended or not full, f"{id_} is filled and {row.status}")


def i9_exposure(world: World, state: State) -> None:
    """What is held is what open orders may still trade, order by order and in sum."""
    for name in world.ledger.books:
        exposure = state.accounts[name].exposure
        held: Counter[tuple[str, int, str]] = Counter()
        open_orders = world.ledger.open_orders(name)
        for order in open_orders:
            qty, raw = world.ledger.hold(order)
            held[order.intent.instrument, order.side, "qty"] += qty
            held[order.intent.instrument, order.side, "raw"] += raw
        for instrument, holding in exposure.holdings.items():
            found = holding.buy_open, holding.sell_open, holding.buy_raw, holding.sell_raw
            wanted = tuple(held[instrument, side, what] for what in ("qty", "raw") for side in (1, -1))
            require("i9_exposure", found == wanted, f"{name} {instrument} holds {found}, wanted {wanted}")
        ids = {order.intent.order for order in open_orders}
        require("i9_open", set(state.accounts[name].open) == ids, f"{name}: the open orders differ")
        require("i9_open", exposure.open_orders == len(ids), f"{name}: {exposure.open_orders} open")


def i15_budget(world: World, state: State) -> None:
    """The message budget is spent by the messages that went out, and drains with time."""
    for name, book in world.ledger.books.items():
        found = state.accounts[name].exposure.tat_ns
        require("i15_budget", found == book.spent_until_ns, f"{name}: {found}, wanted {book.spent_until_ns}")


def i14_controls(world: World, state: State) -> None:
    """Kill switch and modes are as they were set."""
    require("i14_kill", state.controls.killed == (world.ledger.killed_by is not None), "the kill switch is forgotten")
    for (scope, account, target), mode in world.ledger.modes.items():
        found = state.controls.mode_of(scope, account, target)  # type: ignore[arg-type]  # a scope of a command
        require("i14_modes", found == mode, f"{scope} {account} {target}: {found}, wanted {mode}")


def overfill_halts(world: World, m: Moment) -> None:
    """After an overfill the instrument is halted in that account."""
    for event in m.events:
        if isinstance(event, e.OrderFilled) and event.overfill:
            mode = world.state.controls.mode_of("instrument", event.account, event.instrument)
            require("i2_overfill", mode == "halted", f"{event.instrument} trades on after an overfill")
            require("i2_paper", world.paper is None, f"the paper venue filled {event.overfill} too much")


def exactly_once(world: World, state: State) -> None:
    """The high-water mark of the input is the newest offset that was worked."""
    found, wanted = state.causes.get(SOURCE, -1), world.ledger.causes.get(SOURCE, -1)
    require("exactly_once", found == wanted, f"high-water {found}, wanted {wanted}")


def kill_reaches_everything(world: World, m: Moment) -> None:
    """After a kill every open order is being cancelled, or will be as soon as its doubt is gone."""
    if isinstance(m.command, c.Kill) and m.command.cancel_open:
        left = [id_ for id_, order in world.ledger.orders.items() if not order.ended and not order.wanted]
        require("i14_kill", not left, f"still working after the kill: {left}")


# Over a recovery.


def i12_decides_alike(world: World, command: c.AnyCommand) -> None:
    """A state that was read back decides as the one in memory does."""
    other, _ = restore([*all_rows(world.state), watermark(world.state, 0)])
    mine, theirs = (decide(state, command, world.view) for state in (world.state, other))
    same = list(map(_gist, mine)) == list(map(_gist, theirs))
    require("i12_decides_alike", same, lambda: f"{command}: {mine}, read back: {theirs}")


def _gist(event: e.AnyEvent) -> object:
    """Leave out which of several missing inputs is named: that one is met first is no decision."""
    codes = {breach.code for breach in event.breaches} if isinstance(event, e.OrderRefused) else set()
    return "input missing" if codes & oracle.EARLY else event


def i12_replay(world: World, before: State | None) -> None:
    """Snapshot and tail give the state of genesis and all records, and what was in memory if nothing was lost."""
    state, genesis = world.state, world.read_back(use_snapshot=False)
    require("i12_replay", state_hash(state) == state_hash(genesis), "the hashes differ")
    found = differences(kept(genesis), kept(state)) + differences(derived(genesis), derived(state))
    require("i12_replay", not found, lambda: f"genesis against snapshot and tail: {found}")
    if before is not None:
        found = differences(kept(before), kept(state)) + differences(derived(before), derived(state))
        require("i12_replay", not found, lambda: f"memory against snapshot and tail: {found}")


def i11_nothing_lost(world: World) -> None:
    """What was answered is still there, in the state or in what is remembered for ever."""
    for (account, client_id), order in world.acknowledged.items():
        known = order in world.state.orders or world.state.accounts[account].recall(order) is not None
        require("i11_nothing_lost", known, f"{account} {client_id} was answered and is gone")


def i11_tampering(world: World, n: int) -> None:
    """A changed byte anywhere in the journal is found."""
    if not world.durable:
        return
    place = n % len(world.durable)
    start = max(0, place - 2)
    run = world.durable[start : place + 2]
    prev = json.loads(run[0])["prev_hash"]
    journal.verify(run, start, prev)
    payload = bytearray(run[place - start])
    at = n // 7 % len(payload)
    payload[at] ^= 1 << n % 7
    run[place - start] = bytes(payload)
    try:
        journal.verify(run, start, prev)
    except journal.JournalError:
        return
    raise ViolationError("i11_tampering", f"byte {at} of record {place} was changed unseen")


def i14_i19_sent(world: World, request: VenueRequest, *, killed: bool, sent: dict[str, str]) -> None:
    """What leaves is what was decided; no order twice, none under another id, none after a kill."""
    if request.verb not in ("new", "replace"):
        return
    require("i14_kill", not killed, f"{request.order} left after the kill switch was pulled")
    require("i13_requests", sent.setdefault(request.order, request.request_id) == request.request_id, "a second id")
    order = world.ledger.orders.get(request.order)
    require("i19_sent", order is not None, f"{request.order} left and was never decided")
    assert order is not None
    same = (request.qty, request.side, request.limit_price) == (
        order.intent.qty,
        order.intent.side,
        order.intent.limit_price,
    )
    require("i19_sent", same, f"{request} is not what was decided")
