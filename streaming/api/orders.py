"""Orders under /v2: submit, list, get, replace, cancel. An answer shows only what is durable."""

from uuid import uuid4

from streaming.api import times
from streaming.api.body import amount
from streaming.api.errors import ApiError, of_refusal
from streaming.api.history import Wanted
from streaming.api.operations import Call, Operation, Reply
from streaming.api.order_models import (
    CancelResult,
    ClientIdQuery,
    OneOrderQuery,
    Order,
    OrderChange,
    OrderQuery,
    OrderWish,
    view,
)
from streaming.api.symbols import as_uuid, order_of_uuid
from trading.commands import CancelAll, CancelOrder, ReplaceOrder, SubmitOrder
from trading.events import AnyEvent, CommandRefused, OrderAccepted, OrderRefused
from trading.instruments import Instrument
from trading.orders.idempotency import order_id
from trading.orders.state import OrderRow, State

# How many of the orders that ended last are looked at in the state; what is older comes from the history.
RECENT_ENDED = 2_000


async def submit(call: Call) -> Order:
    """Submit an order; the same client id with the same body is the same order."""
    instrument = instrument_of(call, call.body.symbol)
    command = submission(call, call.body, instrument)
    answer = await call.services.desk.execute(command, call.cause)
    if not answer.events:
        return await find(call, order_id(command.account, command.client_order_id))
    event = answer.events[0]
    raise_refusal(event, instrument)
    assert isinstance(event, OrderAccepted), "a submission is accepted or refused"
    return view(OrderRow(event, 0, updated_ts_ns=event.ts_ns), call.services.symbols)


async def listing(call: Call) -> list[Order]:
    """List orders by their submission."""
    query: OrderQuery = call.query
    wanted = Wanted(
        call.key.account,
        query.status == "closed",
        query.limit,
        query.direction == "desc",
        None if query.after is None else times.parse("after", query.after),
        None if query.until is None else times.parse("until", query.until),
        query.side,
        tuple(instrument_of(call, s.strip()).id for s in query.symbols.split(",")) if query.symbols else (),
    )
    symbols = call.services.symbols

    def live(state: State) -> list[tuple[int, int, Order]]:
        rows = _candidates(state, wanted, query.status)
        chosen = sorted(rows, key=_age, reverse=wanted.newest_first)[: wanted.limit]
        return [(row.intent.ts_ns, row.n, view(row, symbols)) for row in chosen]

    found = await call.services.desk.read(call.key.account, live)
    if query.status != "open":
        await call.catch_up()
        seen = {order.id for _, _, order in found}
        for row in call.services.history.orders(wanted):
            if as_uuid(row.id) not in seen and (row.ended or query.status == "all"):
                found.append((row.intent.ts_ns, row.n, view(row, symbols)))
        found.sort(key=lambda item: item[:2], reverse=wanted.newest_first)
    return [order for _, _, order in found[: query.limit]]


async def get(call: Call) -> Order:
    """Return one order by its id."""
    return await find(call, path_order(call))


async def get_by_client_id(call: Call) -> Order:
    """Return one order by the id that its client gave it."""
    return await find(call, order_id(call.key.account, call.query.client_order_id))


async def replace(call: Call) -> Order:
    """Ask for a new order in place of an open one."""
    change: OrderChange = call.body
    order = path_order(call)
    before = await _row_instrument(call, order)
    command = ReplaceOrder(
        account=call.key.account,
        ts_ns=0,
        order=order,
        client_order_id=change.client_order_id or str(uuid4()),
        qty=amount("qty", change.qty),
        limit_price=amount("limit_price", change.limit_price),
        stop_price=amount("stop_price", change.stop_price),
        tif=change.time_in_force or None,
    )
    if (command.qty, command.limit_price, command.stop_price, command.tif) == (None, None, None, None):
        raise ApiError(422, "NOTHING_TO_CHANGE", "name at least one of qty, limit_price, stop_price, time_in_force")
    answer = await call.services.desk.execute(command, call.cause)
    for event in answer.events:
        raise_refusal(event, before)
    return await find(call, order_id(command.account, command.client_order_id))


async def cancel(call: Call) -> None:
    """Ask for the cancellation of one order."""
    order = path_order(call)
    answer = await call.services.desk.execute(CancelOrder(account=call.key.account, ts_ns=0, order=order), call.cause)
    for event in answer.events:
        if isinstance(event, CommandRefused) and event.code == "ORDER_UNKNOWN":
            before = await find(call, order)
            raise ApiError(422, "ORDER_NOT_CANCELABLE", f"the order is {before.status}")
        raise_refusal(event)


async def cancel_all(call: Call) -> Reply:
    """Ask for the cancellation of every open order."""
    return Reply(207, await cancel_open(call))


async def cancel_open(call: Call, instrument: str | None = None) -> list[CancelResult]:
    """Cancel what is open, of one instrument if it is named; return a result for each order."""
    account, symbols = call.key.account, call.services.symbols

    def before(state: State) -> list[str]:
        found = state.accounts.get(account)
        return [] if found is None else [i for i, r in found.open.items() if instrument in (None, r.intent.instrument)]

    wanted = await call.services.desk.read(account, before)
    command = CancelAll(account=account, ts_ns=0, instrument=instrument)
    answer = await call.services.desk.execute(command, call.cause)
    for event in answer.events:
        raise_refusal(event)

    def after(state: State) -> list[CancelResult]:
        rows = [(order, state.orders.get(order)) for order in wanted]
        return [CancelResult(as_uuid(o), 200, None if row is None else view(row, symbols)) for o, row in rows]

    return await call.services.desk.read(account, after)


async def find(call: Call, order: str) -> Order:
    """Return an order of the key's account, whether it is in the state or only in the history; raise 404."""
    account, symbols = call.key.account, call.services.symbols

    def live(state: State) -> Order | None:
        row = state.orders.get(order)
        return None if row is None or row.intent.account != account else view(row, symbols)

    found = await call.services.desk.read(account, live)
    if found is not None:
        return found
    await call.catch_up()
    row = call.services.history.order(order)
    if row is None or row.intent.account != account:
        raise ApiError(404, "ORDER_UNKNOWN", "order not found")
    return view(row, symbols)


def submission(call: Call, wish: OrderWish, instrument: Instrument) -> SubmitOrder:
    """Return the command of an order that is wanted; raise `ApiError`."""
    if wish.extended_hours:
        raise ApiError(422, "FIELD_NOT_SUPPORTED", "extended_hours is not supported here", "extended_hours")
    qty = amount("qty", wish.qty)
    if qty is None:
        raise ApiError(422, "FIELD_MISSING", "qty is missing", "qty")
    return SubmitOrder(
        account=call.key.account,
        ts_ns=0,
        client_order_id=wish.client_order_id or str(uuid4()),
        instrument=instrument.id,
        side=wish.side,
        qty=qty,
        type=wish.type,
        tif=wish.time_in_force,
        limit_price=amount("limit_price", wish.limit_price),
        stop_price=amount("stop_price", wish.stop_price),
        expire_ts_ns=None if wish.expires_at is None else times.parse("expires_at", wish.expires_at),
    )


def instrument_of(call: Call, symbol: str) -> Instrument:
    """Return the instrument of a symbol; raise `ApiError` 422."""
    found = call.services.symbols.find(symbol)
    if found is None:
        raise ApiError(422, "INSTRUMENT_UNKNOWN", f"there is no instrument {symbol[:64]!r}", "symbol")
    return found


def raise_refusal(event: AnyEvent, instrument: Instrument | None = None) -> None:
    """Raise the `ApiError` of an event that is a refusal."""
    if isinstance(event, OrderRefused | CommandRefused):
        error = of_refusal(event, instrument)
        if isinstance(event, OrderRefused) and event.order:
            error.more["order_id"] = as_uuid(event.order)
        raise error


def path_order(call: Call) -> str:
    """Return the order id of the path; what is no id is an order that does not exist."""
    order = order_of_uuid(call.path["order_id"])
    if order is None:
        raise ApiError(404, "ORDER_UNKNOWN", "order not found")
    return order


async def _row_instrument(call: Call, order: str) -> Instrument | None:
    def live(state: State) -> str | None:
        row = state.orders.get(order)
        return None if row is None or row.intent.account != call.key.account else row.intent.instrument

    name = await call.services.desk.read(call.key.account, live)
    return None if name is None else call.services.symbols.find(name)


def _candidates(state: State, wanted: Wanted, status: str) -> list[OrderRow]:
    account = state.accounts.get(wanted.account)
    if account is None:
        return []
    rows = [] if status == "closed" else list(account.open.values())
    if status != "open":
        for _, (_, order) in zip(range(RECENT_ENDED), reversed(account.ended), strict=False):
            rows.append(state.orders[order])
    return [row for row in rows if _fits(row, wanted)]


def _fits(row: OrderRow, wanted: Wanted) -> bool:
    intent = row.intent
    return (
        (wanted.after_ns is None or intent.ts_ns > wanted.after_ns)
        and (wanted.until_ns is None or intent.ts_ns < wanted.until_ns)
        and wanted.side in (None, intent.side)
        and (not wanted.instruments or intent.instrument in wanted.instruments)
    )


def _age(row: OrderRow) -> tuple[int, int]:
    return row.intent.ts_ns, row.n


_ONE = (404, 503)
OPERATIONS = (
    Operation("POST", "/v2/orders", "Submit an order", "trade", submit, Order, body=OrderWish, errors=(409, 503)),
    Operation("GET", "/v2/orders", "List orders", "read", listing, list[Order], query=OrderQuery, errors=(503,)),
    Operation("DELETE", "/v2/orders", "Cancel all orders", "trade", cancel_all, list[CancelResult], 207, errors=_ONE),
    Operation(
        "GET",
        "/v2/orders:by_client_order_id",
        "Get an order by its client id",
        "read",
        get_by_client_id,
        Order,
        query=ClientIdQuery,
        errors=_ONE,
    ),
    Operation("GET", "/v2/orders/{order_id}", "Get an order", "read", get, Order, query=OneOrderQuery, errors=_ONE),
    Operation(
        "PATCH",
        "/v2/orders/{order_id}",
        "Replace an order",
        "trade",
        replace,
        Order,
        body=OrderChange,
        errors=(409, *_ONE),
    ),
    Operation("DELETE", "/v2/orders/{order_id}", "Cancel an order", "trade", cancel, None, 204, errors=_ONE),
)
