"""`trade order`, `orders`, `why` and `kill`: the order API of the running platform, from a terminal.

The keys are those of its data folder, so that these commands work for whoever may read `keys.json`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import typer

from orchestration.commands.configuration import read
from orchestration.commands.failure import CommandError
from orchestration.commands.overview import running
from orchestration.commands.story import order_line, story
from orchestration.gate.site import ADMIN, Answer, Key, Site, read_keys

NO_ANSWER = 0


@dataclass(frozen=True, slots=True)
class Where:
    """Which platform and account; the first account if none is named."""

    config: Path | None = None
    account: str | None = None
    as_json: bool = False


def order(where: Where, wish: Mapping[str, Any]) -> int:
    """Send one order and show it as it is afterwards."""
    site, key = _open(where)
    body = {name: value for name, value in wish.items() if value is not None}
    return _show(where, _asked(site, "POST", "/v2/orders", key, body), order_line)


def orders(where: Where, status: str) -> int:
    """Show the newest orders: open, closed or all."""
    site, key = _open(where)
    found = _asked(site, "GET", f"/v2/orders?{urlencode({'status': status})}", key)
    none = "no orders" if status == "all" else f"no {status} orders"
    return _show(where, found, lambda rows: "\n".join(map(order_line, rows)) or none)


def why(where: Where, name: str) -> int:
    """Tell the story of an order, by its id or by the id that its client gave it."""
    site, key = _open(where)
    # Clients may give ids that look like ours, as alpaca-py does.
    found = site.call("GET", f"/v1/orders/{name}/why", key) if _is_id(name) else None
    if found is not None and found.status == HTTPStatus.OK:
        return _show(where, found.body, story)
    path = f"/v2/orders:by_client_order_id?client_order_id={quote(name, safe='')}"
    order_id = _asked(site, "GET", path, key)["id"]
    return _show(where, _asked(site, "GET", f"/v1/orders/{order_id}/why", key), story)


def kill(where: Where, reason: str, *, cancel_open: bool, lift: bool) -> int:
    """Pull the kill switch, or lift it with the key of another administrator than the one that pulled it."""
    site, _ = _open(where)
    administrators = [key for key in site.keys if ADMIN in key.scopes]
    if lift:
        path = f"/v1/kill?{urlencode({'reason': reason})}"
        return _show(where, _asked(site, "DELETE", path, administrators[-1]), _switch)
    body = {"reason": reason, "cancel_open": cancel_open}
    return _show(where, _asked(site, "POST", "/v1/kill", administrators[0], body), _switch)


def _open(where: Where) -> tuple[Site, Key]:
    settings = read(where.config)
    home = settings.home.absolute()
    host, port = next(iter(running(home)), (settings.http.host, settings.http.port))
    site = Site(host, port, home, read_keys(home))
    traders = [key for key in site.keys if ADMIN not in key.scopes and where.account in (None, key.account)]
    if not traders:
        known = ", ".join(sorted({key.account for key in site.keys}))
        raise CommandError("ACCOUNT_UNKNOWN", f"no account {where.account!r}", f"known: {known}")
    return site, traders[0]


def _is_id(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True


def _asked(site: Site, method: str, path: str, key: Key, body: dict[str, Any] | None = None) -> Any:
    answer = site.call(method, path, key, body)
    if 200 <= answer.status < 300:
        return answer.body
    if answer.status == NO_ANSWER:
        raise CommandError("NO_PLATFORM", f"nothing answers at {site.url}", "start it with `trade up`")
    raise _refused(answer)


def _refused(answer: Answer) -> CommandError:
    body = answer.body if isinstance(answer.body, dict) else {"message": answer.body}
    facts = [
        f"{breach['code']} limit {breach['limit']}, value {breach['value']}" for breach in body.get("breaches", ())
    ]
    largest = f"the largest quantity that passes is {body['largest']}" if body.get("largest") else ""
    return CommandError(answer.code, "; ".join([str(body.get("message")), *facts]), largest)


def _show(where: Where, found: Any, words: Callable[[Any], str]) -> int:
    typer.echo(json.dumps(found) if where.as_json else words(found))
    return 0


def _switch(found: Mapping[str, Any]) -> str:
    if not found["killed"]:
        return f"the kill switch is off in {found['partitions']} partitions"
    return (
        f"KILLED by {found['killed_by']}: {found['partitions']} partitions refuse each new order; "
        f"{found['cancels']} cancels asked for. `trade kill --lift` lifts it"
    )
