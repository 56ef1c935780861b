"""The whole state as plain data, made without the product's own rows: what must survive, and what is rebuilt."""

from collections.abc import Iterator, Mapping

import msgspec

from trading.orders.state import Account, State
from trading.risk.exposure import Exposure

HELD = ("price_scale", "qty_scale", "qty", "cost", "realised", "fees", "buy_open", "sell_open", "buy_raw", "sell_raw")


def kept(state: State) -> dict[str, object]:
    """Return everything that a snapshot must bring back."""
    found: dict[str, object] = {
        "seq": (state.seq, state.hash, state.generation, state.partition_seq),
        "causes": dict(state.causes),
        "controls": (state.controls.killed, state.controls.killed_by, dict(state.controls.modes)),
    }
    for id_, row in state.orders.items():
        found[f"order {id_}"] = msgspec.to_builtins(row)
    for id_, account in state.accounts.items():
        for name, value in _account(account):
            found[f"account {id_} {name}"] = value
    return found


def derived(state: State) -> dict[str, object]:
    """Return what is rebuilt from the rest, as far as it can have an effect."""
    found: dict[str, object] = {"waiting": dict(state.waiting)}
    found["deadlines"] = sorted(entry for entry in state.deadlines if _lives(state, entry[1]))
    for id_, account in state.accounts.items():
        found[f"account {id_} open"] = list(account.open)
        for name, holding in account.exposure.holdings.items():
            found[f"account {id_} {name}"] = (list(holding.resting_buys), list(holding.resting_sells))
    return found


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """Return what is not the same in two views."""
    keys = sorted(one.keys() | other.keys())
    return [f"{key}: {one.get(key)} / {other.get(key)}" for key in keys if one.get(key) != other.get(key)]


def _lives(state: State, order: str) -> bool:
    row = state.orders.get(order)
    return row is not None and not row.ended


def _account(account: Account) -> Iterator[tuple[str, object]]:
    yield "numbers", (account.opened_ts_ns, account.seq, account.orders_seen, account.quarantined)
    yield "ended", list(account.ended)
    yield "trades", (dict(account.trades), dict(account.aside))
    yield "deposits", dict(account.deposits)
    yield "known", ({prefix: dict(group) for prefix, group in account.known.items()}, list(account.arrived))
    limits = account.limits
    yield "limits", None if limits is None else (limits.version, msgspec.to_builtins(limits.body))
    yield from _exposure(account.exposure)


def _exposure(exposure: Exposure) -> Iterator[tuple[str, object]]:
    yield "cash", (exposure.currency, exposure.cash, exposure.open_orders, exposure.tat_ns)
    yield "recent", (list(exposure.recent_order), dict(exposure.recent))
    for name, holding in exposure.holdings.items():
        fields = {field: getattr(holding, field) for field in HELD}
        yield f"holding {name}", fields
