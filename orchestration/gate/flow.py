"""The whole life of one order: submit, risk, route, status, position, fill, evidence, and its rows in the lake.

The order is small and is sold again at the end, so that the account is as flat as before.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow.compute as pc

from orchestration.checks import Finding
from orchestration.gate.components import guarded
from orchestration.gate.site import Answer, Site, until
from orchestration.lake_io import LakeIO
from streaming.adapters.lake import Lake
from trading.schemas import FILLS_V1, JOURNAL_V1, POSITIONS_V1, Table

SYMBOL = "BTC/USD"
INSTRUMENT = "BTC-USD.SIM"
QTY = "0.001"
TOO_MUCH = "MAX_ORDER_QTY"
PRICE_S = 60.0
FILL_S = 30.0
# The sinks commit each 10 s unless told otherwise.
LAKE_S = 40.0


@dataclass
class Story:
    """What the steps have learned so far."""

    site: Site
    wish: dict[str, str] = field(default_factory=dict)
    order: dict[str, Any] = field(default_factory=dict)
    before: Decimal = Decimal(0)
    after: Decimal = Decimal(0)


def trading_flow(site: Site) -> list[Finding]:
    """Run an order through every station; after the first that fails, the others are not asked."""
    story = Story(site, wish=_wish("buy"))
    stations: tuple[tuple[str, Callable[[Story], Finding]], ...] = (
        ("risk", _risk),
        ("risk_refusal", _refusal),
        ("submit", _submit),
        ("fill", _fill),
        ("position", _position),
        ("why", _why),
        ("persistence", _persistence),
        ("flat", _flat),
    )
    found: list[Finding] = []
    for name, station in stations:
        failed = next((finding.name for finding in found if not finding.passed), None)
        if failed is None:
            found.append(guarded(name, partial(station, story)))
        else:
            found.append(Finding(name, False, f"not asked: {failed} failed"))
    return found


def _wish(side: str) -> dict[str, str]:
    name = f"gate-{secrets.token_hex(6)}"
    order = {"symbol": SYMBOL, "qty": QTY, "side": side, "type": "market", "time_in_force": "gtc"}
    return order | {"client_order_id": name}


def _risk(story: Story) -> Finding:
    last = Answer(0, {})

    def passes() -> bool:
        nonlocal last
        last = story.site.call("POST", "/v1/risk/check", story.site.trader, dict(story.wish))
        return last.status == 200 and bool(last.body["passes"])

    passed = until(passes, PRICE_S)
    if last.status != 200:
        return Finding("risk", False, f"the what-if check answers {last.code}")
    message = f"{QTY} {SYMBOL} passes every rule" if passed else f"refused: {last.body['code']}"
    return Finding("risk", passed, message, {"limits_version": last.body["limits_version"]})


def _refusal(story: Story) -> Finding:
    limits = story.site.call("GET", "/v1/limits", story.site.trader)
    if limits.status != 200:
        return Finding("risk_refusal", False, f"no limits: {limits.code}")
    qty = str(Decimal(limits.body["limits"]["max_order_qty"]) + 1)
    answer = story.site.call("POST", "/v2/orders", story.site.trader, _wish("buy") | {"qty": qty})
    passed = (answer.status, answer.code) == (403, TOO_MUCH)
    return Finding("risk_refusal", passed, f"{qty} {SYMBOL}, one above the limit: {answer.status} {answer.code}")


def _submit(story: Story) -> Finding:
    story.before = _held(story.site)
    answer = story.site.call("POST", "/v2/orders", story.site.trader, dict(story.wish))
    if answer.status != 200:
        return Finding("submit", False, f"refused: {answer.status} {answer.code}")
    story.order = answer.body
    again = story.site.call("POST", "/v2/orders", story.site.trader, dict(story.wish))
    same = again.status == 200 and again.body["id"] == story.order["id"]
    message = f"order {story.order['id']}; the same request again is {'the same order' if same else again.code}"
    return Finding("submit", same, message)


def _fill(story: Story) -> Finding:
    story.order = _filled(story.site, story.order)
    status, done = story.order["status"], Decimal(story.order["filled_qty"])
    message = f"{status}: {done} of {QTY} at {story.order['filled_avg_price']}"
    return Finding("fill", status == "filled" and done == Decimal(QTY), message)


def _position(story: Story) -> Finding:
    wanted = story.before + Decimal(QTY)
    story.after = _held(story.site)
    return Finding("position", story.after == wanted, f"{story.before} before, {story.after} after, {wanted} expected")


def _why(story: Story) -> Finding:
    answer = story.site.call("GET", f"/v1/orders/{story.order['id']}/why", story.site.trader)
    if answer.status != 200:
        return Finding("why", False, f"no evidence: {answer.code}")
    steps = answer.body["steps"]
    right = all(step["hash_is_right"] for step in steps)
    kinds = [event["kind"] for step in steps for event in step["events"]]
    passed = right and answer.body["risk"] is not None and "order_filled" in kinds
    return Finding("why", passed, f"{len(steps)} records: {', '.join(kinds)}", {"records": len(steps)})


def _persistence(story: Story) -> Finding:
    lake = LakeIO(Lake(story.site.home / "lake"))
    order = story.order["id"].replace("-", "")
    found = Decimal(0)

    def there() -> bool:
        nonlocal found
        found = _lake_qty(lake, order)
        return found == Decimal(QTY)

    # Each table has its own commits.
    passed = (
        until(there, LAKE_S)
        and until(lambda: _lake_position(lake, story.site) == story.after, LAKE_S)
        and until(lambda: _rows_of(lake, JOURNAL_V1, story.site).num_rows > 0, LAKE_S)
    )
    held = _lake_position(lake, story.site)
    rows = _rows_of(lake, JOURNAL_V1, story.site).num_rows
    message = (
        f"{FILLS_V1.name} {found} of {QTY}, {POSITIONS_V1.name} {held}, {rows} rows of the account in {JOURNAL_V1.name}"
    )
    return Finding("persistence", passed, message, {"journal_rows": rows})


def _flat(story: Story) -> Finding:
    answer = story.site.call("POST", "/v2/orders", story.site.trader, dict(_wish("sell")))
    if answer.status != 200:
        return Finding("flat", False, f"refused: {answer.status} {answer.code}")
    _filled(story.site, answer.body)
    held = _held(story.site)
    return Finding("flat", held == story.before, f"sold again: {held} held, {story.before} before")


def _filled(site: Site, order: dict[str, Any]) -> dict[str, Any]:
    """Return an order once it has ended, or as it is when the time is over."""
    shown = order

    def ended() -> bool:
        nonlocal shown
        answer = site.call("GET", f"/v2/orders/{order['id']}", site.trader)
        shown = answer.body if answer.status == 200 else shown
        return shown["status"] in ("filled", "canceled", "rejected", "expired")

    until(ended, FILL_S)
    return shown


def _held(site: Site) -> Decimal:
    answer = site.call("GET", f"/v2/positions/{SYMBOL}", site.trader)
    return Decimal(answer.body["qty"]) if answer.status == 200 else Decimal(0)


def _lake_qty(lake: LakeIO, order: str) -> Decimal:
    rows = lake.whole(FILLS_V1)
    rows = rows.filter(pc.equal(rows["order_id"], order))
    return sum((_units(row["qty"], row["qty_scale"]) for row in rows.to_pylist()), Decimal(0))


def _lake_position(lake: LakeIO, site: Site) -> Decimal:
    rows = _rows_of(lake, POSITIONS_V1, site)
    newest = rows.filter(pc.equal(rows["instrument"], INSTRUMENT)).sort_by("seq").to_pylist()
    return _units(newest[-1]["qty"], newest[-1]["qty_scale"]) if newest else Decimal(0)


def _rows_of(lake: LakeIO, table: Table, site: Site) -> Any:
    rows = lake.whole(table)
    return rows.filter(pc.equal(rows["account"], site.trader.account))


def _units(amount: int, scale: int) -> Decimal:
    return Decimal(amount).scaleb(-scale)
