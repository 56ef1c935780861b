"""An order in words: one line, or its whole story: what the gate saw, every record, every event. Pure."""

from collections.abc import Mapping
from typing import Any

from trading.amounts import CASH_SCALE, to_text

# Said on the line of the record itself, or the same for each of its events.
_SAID = frozenset({"kind", "account", "order", "ts_ns", "n", "risk", "instrument", "breaches", "asked"})


def order_line(order: Mapping[str, Any]) -> str:
    """Return an order as one line."""
    price = f" at {order['limit_price']}" if order.get("limit_price") else ""
    stop = f" stop {order['stop_price']}" if order.get("stop_price") else ""
    done = f", {order['filled_qty']} filled" if order.get("filled_qty") not in (None, "0") else ""
    done += f" at {order['filled_avg_price']}" if order.get("filled_avg_price") else ""
    what = f"{order['side']} {order['qty']} {order['symbol']} {order['type']}{price}{stop} {order['time_in_force']}"
    return f"{order['id']}  {order['status']:<16} {what}{done}  ({order['client_order_id']})"


def story(why: Mapping[str, Any]) -> str:
    """Return the answer of `/v1/orders/{id}/why` for people."""
    lines = [
        f"order {why['order_id']}  ({why['client_order_id']})",
        f"  {why['instrument'] or 'no instrument'} in account {why['account']}: {why['outcome']}",
    ]
    if why["risk"]:
        lines += ["what the gate saw", *_facts(_in_units(why))]
    for rule in why["breaches"]:
        figures = f"limit {rule['limit']}, value {rule['value']}, passes up to {rule['largest']}"
        lines.append(f"  {rule['code']}: {rule['message']}; {figures}")
    if why["limits"]:
        lines += ["limits in force", *_facts(why["limits"])]
    lines.append("records")
    for step in why["steps"]:
        verdict = "hash right" if step["hash_is_right"] else "HASH WRONG"
        place = f"journal {step['partition']}:{step['offset']} seq {step['seq']} generation {step['generation']}"
        lines.append(f"  {step['at']}  {place}  {step['hash'][:12]} {verdict}  because of {step['cause']}")
        if step["command"]:
            lines.append(f"      command {_flat(step['command'])}")
        lines += [f"      {event['kind']} {_flat(event)}" for event in step["events"]]
    return "\n".join(lines)


def _in_units(why: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of the gate with the price in the currency and money without its nine decimal places."""
    scales = (event["price_scale"] for step in why["steps"] for event in step["events"] if "price_scale" in event)
    risk = dict(why["risk"])
    risk["price"] = to_text(risk["price"], next(scales, 0))
    return risk | {name: to_text(risk[name], CASH_SCALE) for name in ("equity", "gross")}


def _facts(facts: Mapping[str, Any]) -> list[str]:
    return [f"  {name:<24} {value}" for name, value in facts.items() if value is not None]


def _flat(facts: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in facts.items() if name not in _SAID and value not in (None, ""))
