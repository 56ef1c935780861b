"""One operation of the API as data: method, path, scope, types in and out. Routes and OpenAPI are made of it.

Every request passes the same gate: key pair, scope, rate, query, body. Whatever fails inside, the client gets JSON
with a stable code.
"""

import itertools
import secrets
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from streaming.api import body as bodies
from streaming.api.errors import ApiError, headers_of, of_desk, of_journal, render
from streaming.api.forward import Forwarder, kept_id
from streaming.api.history import History
from streaming.api.keys import Key, KeyRing, Scope
from streaming.api.limiter import Limiter
from streaming.api.symbols import SymbolBook
from streaming.owner.desk import Desk, DeskError, NotOwner
from streaming.settings import ApiSettings
from streaming.transport.client import BrokerError

MAX_QUERY_CHARS = 8_192
JSON_TYPE = "application/json"
_encoder = msgspec.json.Encoder()
_log = structlog.get_logger("api")


@dataclass(slots=True)
class Services:
    """What the operations work with."""

    desk: Desk
    keys: KeyRing
    symbols: SymbolBook
    settings: ApiSettings
    history: History
    limiter: Limiter
    strangers: Limiter
    ids: Callable[[], str]
    forward: Forwarder


@dataclass(slots=True)
class Call:
    """One request that has passed the gate. `body` and `query` are of the operation's types."""

    services: Services
    key: Key
    id: str
    path: Mapping[str, str]
    query: Any
    body: Any

    @property
    def cause(self) -> str:
        """Return how the journal names this request."""
        return f"http:{self.id}"

    async def catch_up(self) -> None:
        """Bring the history of the key's account up to now."""
        await self.services.history.catch_up(self.services.desk.partition_of(self.key.account))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a status of its own."""

    status: int
    content: Any


@dataclass(frozen=True)
class Operation:
    """One method on one path. `answer` is the type of the body with `status`, None for no body."""

    method: str
    path: str
    summary: str
    scope: Scope
    handler: Callable[[Call], Awaitable[Any]]
    answer: Any = None
    status: int = 200
    body: Any = None
    body_needed: bool = True
    query: Any = None
    errors: tuple[int, ...] = ()
    alpaca: bool = field(init=False)

    def __post_init__(self) -> None:
        """Tell Alpaca's routes from ours."""
        object.__setattr__(self, "alpaca", self.path.startswith("/v2"))


def request_ids() -> Callable[[], str]:
    """Return a source of ids that no other process gives."""
    start = secrets.token_hex(6)
    return map(f"{start}-{{:x}}".format, itertools.count(1)).__next__


def endpoint(operation: Operation, services: Services) -> Callable[[Request], Awaitable[Response]]:
    """Return the ASGI endpoint of an operation."""
    decoder = None if operation.body is None else msgspec.json.Decoder(operation.body)
    whole = _whole_numbers(operation.query)

    async def serve(request: Request) -> Response:
        id_ = kept_id(request.headers) or services.ids()
        raw = b""
        try:
            key = authenticate(request.headers, services)
            _authorise(key, operation)
            wait_s = services.limiter.take(key.key_id, time.monotonic())
            if wait_s:
                raise ApiError(429, "RATE_LIMITED", "too many requests with this key", retry_s=wait_s)
            query = _query(request, operation.query, whole)
            body = None
            if decoder is not None:
                raw = await bodies.read(request, services.settings.body_bytes, needed=operation.body_needed)
                body = bodies.decode(raw, decoder)
            answer = await operation.handler(Call(services, key, id_, request.path_params, query, body))
            return _respond(operation, answer, id_)
        except ApiError as error:
            return fail(error, id_, alpaca=operation.alpaca)
        except DeskError as error:
            elsewhere = error.url if isinstance(error, NotOwner) else None
            answer = await services.forward.ask(elsewhere, request, raw, id_)
            return answer or fail(of_desk(error), id_, alpaca=operation.alpaca)
        except (BrokerError, sqlite3.OperationalError) as error:
            # The journal or the read model cannot be reached now; what was decided stands.
            _log.warning("request_unanswered", request_id=id_, path=operation.path, reason=str(error))
            return fail(of_journal(error), id_, alpaca=operation.alpaca)
        except Exception:  # noqa: BLE001 - the client gets a code, the log gets the reason
            _log.exception("request_failed", request_id=id_, path=operation.path)
            hidden = ApiError(500, "INTERNAL", f"the request failed; the log has the reason under {id_}")
            return fail(hidden, id_, alpaca=operation.alpaca)

    return serve


def authenticate(headers: Mapping[str, str], services: Services) -> Key:
    """Return the key of a request; raise `ApiError` 401 in one text for whatever is wrong, or 429 for guessing."""
    found = services.keys.find(headers.get("apca-api-key-id", ""), headers.get("apca-api-secret-key", ""))
    if found is not None:
        return found
    wait_s = services.strangers.take("", time.monotonic())
    if wait_s:
        raise ApiError(429, "RATE_LIMITED", "too many requests without a valid key", retry_s=wait_s)
    raise ApiError(401, "UNAUTHORIZED", "send a valid APCA-API-KEY-ID and APCA-API-SECRET-KEY")


def fail(error: ApiError, id_: str, *, alpaca: bool) -> Response:
    """Return the response of an error."""
    headers = headers_of(error) | {"X-Request-ID": id_}
    return Response(render(error, id_, alpaca=alpaca), error.status, headers, JSON_TYPE)


def _authorise(key: Key, operation: Operation) -> None:
    if operation.scope not in key.scopes:
        raise ApiError(403, "SCOPE_MISSING", f"this key lacks the scope {operation.scope}")


def _respond(operation: Operation, answer: Any, id_: str) -> Response:
    headers = {"X-Request-ID": id_}
    if isinstance(answer, Reply):
        return Response(_encoder.encode(answer.content), answer.status, headers, JSON_TYPE)
    if operation.answer is None:
        return Response(None, operation.status, headers)
    return Response(_encoder.encode(answer), operation.status, headers, JSON_TYPE)


def _query(request: Request, wanted: Any, whole: frozenset[str]) -> Any:
    text = request.scope["query_string"]
    if wanted is None and not text:
        return None
    if len(text) > MAX_QUERY_CHARS:
        raise ApiError(422, "QUERY_TOO_LONG", f"a query has at most {MAX_QUERY_CHARS} characters")
    given = request.query_params.multi_items()
    if wanted is None:
        if given:
            raise ApiError(422, "FIELD_UNKNOWN", f"there is no parameter {given[0][0][:64]!r}", given[0][0][:64])
        return None
    values: dict[str, str] = {}
    for name, value in given:
        if name in values:
            raise ApiError(422, "DUPLICATE_KEY", f"the parameter {name[:64]!r} is there twice", name[:64])
        if name in whole and not (value.isascii() and value.isdigit()):
            raise ApiError(422, "FIELD_INVALID", f"{name}: want a whole number", name)
        values[name] = value
    try:
        made = msgspec.convert(values, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise bodies.of_validation(error) from None
    for name in values:
        # The text `null` reads as nothing; a query has no such value.
        if getattr(made, name) is None:
            raise ApiError(422, "FIELD_INVALID", f"{name}: want a value", name)
    return made


def _whole_numbers(wanted: Any) -> frozenset[str]:
    if wanted is None:
        return frozenset()
    schema = msgspec.json.schema_components([wanted])[1][wanted.__name__]
    return frozenset(name for name, rule in schema["properties"].items() if rule.get("type") == "integer")
