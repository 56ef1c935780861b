"""A running platform as the gate sees it: its HTTP address, its data folder, and the keys in it."""

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from orchestration.commands import overview
from orchestration.commands.failure import CommandError
from orchestration.commands.page import Page

KEYS_FILE = "keys.json"
ADMIN = "admin"
CALL_S = 60.0
POLL_S = 0.1
JSON_TYPE = "application/json"


class Answer(NamedTuple):
    """HTTP status and the body, as JSON where it is that."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """Return the code of a refusal."""
        body = self.body if isinstance(self.body, dict) else {}
        return str(body.get("reason") or body.get("code") or self.status)


class Key(NamedTuple):
    """A key pair of the order API."""

    key_id: str
    secret: str
    account: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """Where a platform answers and what it may be asked with. An answer that cannot be had is status 0.

    `beside` is where its other processes answer, for their status.
    """

    host: str
    port: int
    home: Path
    keys: tuple[Key, ...]
    beside: tuple[overview.Address, ...] = ()

    @property
    def url(self) -> str:
        """Return the address."""
        return f"http://{self.host}:{self.port}"

    @property
    def trader(self) -> Key:
        """Return the key of the last trading account: strategies use the first."""
        return [key for key in self.keys if "trade" in key.scopes and ADMIN not in key.scopes][-1]

    @property
    def admin(self) -> Key:
        """Return a key that may read the audit."""
        return next(key for key in self.keys if ADMIN in key.scopes)

    def call(self, method: str, path: str, key: Key | None = None, body: dict[str, Any] | None = None) -> Answer:
        """Return the answer to one request."""
        headers = {} if key is None else {"APCA-API-KEY-ID": key.key_id, "APCA-API-SECRET-KEY": key.secret}
        content = None if body is None else json.dumps(body)
        if content is not None:
            headers["Content-Type"] = JSON_TYPE
        connection = http.client.HTTPConnection(self.host, self.port, timeout=CALL_S)
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            raw, kind = response.read(), response.getheader("content-type", "")
            return Answer(response.status, json.loads(raw) if JSON_TYPE in kind and raw else raw.decode())
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(0, {"code": "NO_ANSWER", "message": str(error)})
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        """Return the status of all processes as one page; empty if there is none."""
        answer = self.call("GET", "/status")
        found = [Page(answer.body)] if answer.status == 200 and isinstance(answer.body, dict) else []
        beside = overview.fetch(self.beside, CALL_S)
        page = overview.together(found if beside is None else [*found, beside])
        return {} if page is None else page.raw


def read_keys(home: Path) -> tuple[Key, ...]:
    """Return the keys of a data folder; raise `CommandError` unless it has a trading and an administrator's key."""
    file = home / KEYS_FILE
    try:
        rows = json.loads(file.read_bytes())["keys"]
        keys = tuple(Key(row["key_id"], row["secret"], row["account"], tuple(row["scopes"])) for row in rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(
            "KEYS_UNREADABLE", f"{file}: {error}", "name the platform's data folder with TRADE_HOME"
        ) from None
    if not any(ADMIN in key.scopes for key in keys) or not any(ADMIN not in key.scopes for key in keys):
        raise CommandError("KEYS_INCOMPLETE", f"{file}: want a trading key and one with the scope admin")
    return keys


def until(condition: Callable[[], bool], within_s: float) -> bool:
    """Tell whether a condition comes true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True
