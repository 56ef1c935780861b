"""Account activities under /v2: the executions of an account, a page at a time."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streaming.api import times
from streaming.api.errors import ApiError
from streaming.api.history import Wanted
from streaming.api.history_fold import Execution
from streaming.api.operations import Call, Operation
from streaming.api.order_models import Time
from streaming.api.symbols import as_uuid
from trading.amounts import CASH_SCALE, to_text
from trading.commands import Side
from trading.market.sessions import DAY_NS

FILL = "FILL"
MAX_PAGE = 100
TOKEN_HEX = 32


class Activity(msgspec.Struct, frozen=True):
    """One execution in Alpaca's words, and its fee. `id` is also the token of the page after it."""

    id: str
    activity_type: Literal["FILL"]
    transaction_time: str
    type: Literal["fill", "partial_fill"]
    price: str
    qty: str
    side: Side
    symbol: str
    leaves_qty: str
    order_id: str
    cum_qty: str
    order_status: Literal["filled", "partially_filled"]
    fee: str


class ActivityQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which executions, newest first unless `direction` is asc; `date` is one day of UTC."""

    activity_types: Annotated[str, Meta(max_length=256)] | None = None
    date: Time | None = None
    after: Time | None = None
    until: Time | None = None
    direction: Literal["asc", "desc"] = "desc"
    page_size: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = MAX_PAGE
    page_token: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


class TypedActivityQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same, where the path names the type."""

    date: Time | None = None
    after: Time | None = None
    until: Time | None = None
    direction: Literal["asc", "desc"] = "desc"
    page_size: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = MAX_PAGE
    page_token: Annotated[str, Meta(min_length=1, max_length=64)] | None = None


async def listing(call: Call) -> list[Activity]:
    """List executions."""
    kinds = call.query.activity_types
    return await _page(call, kinds.split(",") if kinds else [FILL])


async def of_type(call: Call) -> list[Activity]:
    """List activities of one type."""
    return await _page(call, [call.path["activity_type"]])


async def _page(call: Call, kinds: list[str]) -> list[Activity]:
    query = call.query
    for kind in kinds:
        if kind != FILL:
            raise ApiError(422, "ACTIVITY_UNKNOWN", f"there are activities of type {FILL} only", "activity_type")
    after = None if query.after is None else times.parse("after", query.after)
    until = None if query.until is None else times.parse("until", query.until)
    if query.date is not None:
        if after is not None or until is not None:
            raise ApiError(422, "FIELD_INVALID", "name date, or after and until, not both", "date")
        day = times.parse("date", query.date) // DAY_NS * DAY_NS
        after, until = day - 1, day + DAY_NS
    token = ""
    if query.page_token is not None:
        token = query.page_token.rpartition("::")[2].replace("-", "")
        if len(token) != TOKEN_HEX:
            raise ApiError(422, "FIELD_INVALID", "page_token is the id of the last activity of a page", "page_token")
    await call.catch_up()
    wanted = Wanted(call.key.account, False, query.page_size, query.direction == "desc", after, until)
    return [_show(call, execution) for execution in call.services.history.executions(wanted, token)]


def _show(call: Call, execution: Execution) -> Activity:
    fill, scale = execution.fill, execution.qty_scale
    moment = times.to_text(fill.ts_ns)
    digits = "".join(character for character in moment if character.isdigit())[:17]
    whole = fill.to == "filled"
    return Activity(
        f"{digits}::{as_uuid(execution.id)}",
        "FILL",
        moment,
        "fill" if whole else "partial_fill",
        to_text(fill.price, execution.price_scale),
        to_text(fill.qty, scale),
        fill.side,
        call.services.symbols.shown(fill.instrument),
        to_text(execution.leaves, scale),
        as_uuid(fill.order),
        to_text(execution.filled, scale),
        "filled" if whole else "partially_filled",
        to_text(fill.fee, CASH_SCALE),
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v2/account/activities",
        "List executions",
        "read",
        listing,
        list[Activity],
        query=ActivityQuery,
    ),
    Operation(
        "GET",
        "/v2/account/activities/{activity_type}",
        "List activities of one type",
        "read",
        of_type,
        list[Activity],
        query=TypedActivityQuery,
    ),
)
