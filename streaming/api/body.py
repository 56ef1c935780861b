"""Request bodies, read strictly: bounded, UTF-8 JSON, no key twice, no unknown field, numbers as plain decimals.

An amount may be a JSON number or a text. It is taken by its digits, never as a float: `1e3`, `NaN`, `true` and digits
of other scripts are refused; the negative exponents that encoders write for small floats (`1e-05`) are read exactly.
"""

import json
import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Raw
from starlette.requests import Request

from streaming.api.errors import ApiError

MAX_AMOUNT_CHARS = 40
T = TypeVar("T")
AMOUNT_PATTERN = r"^[0-9]{1,19}(\.[0-9]{1,18})?$"
Amount = Annotated[
    Raw,
    Meta(
        extra_json_schema={"anyOf": [{"type": "string", "pattern": AMOUNT_PATTERN}, {"type": "number", "minimum": 0}]}
    ),
]
OptionalAmount = Annotated[
    Raw,
    Meta(
        extra_json_schema={
            "anyOf": [
                {"type": "string", "pattern": AMOUNT_PATTERN},
                {"type": "number", "minimum": 0},
                {"type": "null"},
            ]
        }
    ),
]
NULL = Raw(b"null")
_PLAIN = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
_SMALL = re.compile(rb"(-?)([0-9])(?:\.([0-9]+))?[eE]-0?([0-9]{1,2})")
_PLACE = re.compile(r" - at `\$\.?(.*)`$")
_UNKNOWN = re.compile(r"unknown field `(.*)`")
_MISSING = re.compile(r"missing required field `(.*)`")
# Fields of Alpaca's API that have no counterpart here: refused by name instead of being ignored.
UNSUPPORTED = frozenset(
    {"notional", "trail_price", "trail_percent", "trail", "legs", "take_profit", "stop_loss", "position_intent"}
)


async def read(request: Request, cap: int, *, needed: bool = True) -> bytes:
    """Return the body; raise `ApiError` 413 or 415 before more than the cap is read. The connection bounds the time.

    Where no body is needed, a request without one says nothing: an empty object.
    """
    headers = request.headers
    if not needed and headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return b"{}"
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise ApiError(415, "ENCODING_NOT_SUPPORTED", "send the body without compression")
    kind, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower()
    if kind.strip().lower() != "application/json" or charset.replace('"', "") not in ("", "charset=utf-8"):
        raise ApiError(415, "MEDIA_TYPE_NOT_SUPPORTED", "send Content-Type: application/json")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > cap:
        raise _too_large(cap)
    body = b""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ApiError(400, "BODY_INCOMPLETE", "the connection was closed before the body was complete")
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > cap:
            raise _too_large(cap)
        if not message.get("more_body", False):
            return body


def decode(body: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """Return the message of a body; raise `ApiError` 400 for what is not JSON and 422 for what does not fit."""
    try:
        _strict.decode(body.decode())
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise of_validation(error) from None
    except UnicodeDecodeError:
        raise ApiError(400, "JSON_INVALID", "the body is not UTF-8") from None
    except RecursionError:
        raise ApiError(400, "JSON_TOO_DEEP", "the body is nested too deeply") from None
    except (ValueError, msgspec.DecodeError) as error:
        raise ApiError(400, "JSON_INVALID", f"the body is not JSON: {str(error)[:120]}") from None


def of_validation(error: msgspec.ValidationError) -> ApiError:
    """Return the error of a value that does not fit its schema, with the field's name."""
    text = str(error)
    place = _PLACE.search(text)
    field = place.group(1) if place else ""
    rule = text[: place.start()] if place else text
    unknown, missing = _UNKNOWN.search(rule), _MISSING.search(rule)
    name = unknown.group(1) if unknown else field.partition("[")[0]
    if name in UNSUPPORTED:
        return ApiError(422, "FIELD_NOT_SUPPORTED", f"{name} is not supported here", name)
    if unknown:
        return ApiError(422, "FIELD_UNKNOWN", f"there is no field {name[:64]!r}", name[:64])
    if missing:
        return ApiError(422, "FIELD_MISSING", f"{missing.group(1)} is missing", missing.group(1))
    return ApiError(422, "FIELD_INVALID", f"{field or 'the value'}: {rule[:200]}", field[:64])


def amount(field: str, raw: Raw) -> str | None:
    """Return the digits of an amount, or None for null; raise `ApiError` 422."""
    token = bytes(raw)
    if token == b"null":
        return None
    if token[:1] == b'"':
        try:
            text = _texts.decode(token)
        except msgspec.DecodeError:
            raise _not_an_amount(field) from None
        token = text.encode(errors="replace")
        small = None
    else:
        small = _SMALL.fullmatch(token)
    if small is not None:
        sign, whole, part, zeros = small.groups()
        digits = whole + (part or b"")
        token = sign + b"0." + b"0" * (int(zeros) - 1) + digits
    if not _PLAIN.fullmatch(token):
        raise _not_an_amount(field)
    if b"." in token:
        token = token.rstrip(b"0").rstrip(b".")
    if len(token) > MAX_AMOUNT_CHARS:
        raise ApiError(
            422, f"{field.upper()}_OUT_OF_RANGE", f"{field} has more than {MAX_AMOUNT_CHARS} characters", field
        )
    return token.decode()


def _not_an_amount(field: str) -> ApiError:
    return ApiError(422, f"{field.upper()}_NOT_A_NUMBER", f"{field} must be a plain decimal number", field)


def _too_large(cap: int) -> ApiError:
    return ApiError(413, "BODY_TOO_LARGE", f"a body has at most {cap} bytes")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for name, _ in pairs:
        if name in seen:
            raise ApiError(400, "DUPLICATE_KEY", f"the key {name[:64]!r} is there twice", name[:64])
        seen.add(name)


def _no_constant(name: str) -> None:
    raise ApiError(400, "JSON_INVALID", f"{name} is not JSON")


_texts = msgspec.json.Decoder(str)
_strict = json.JSONDecoder(object_pairs_hook=_no_key_twice, parse_constant=_no_constant, parse_int=len, parse_float=len)
