"""JSON messages to bytes and back. A message of another schema, or that does not fit its type, is a `CodecError`."""

from functools import cache
from typing import Any, TypeVar

import msgspec

MAX_MESSAGE_BYTES = 4 << 20

T = TypeVar("T", bound=msgspec.Struct)
_encoder = msgspec.json.Encoder()
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


class CodecError(ValueError):
    """A payload that cannot be read as the wanted message. `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Head(msgspec.Struct):
    schema: str = ""


_head = msgspec.json.Decoder(_Head)


def encode(message: msgspec.Struct) -> bytes:
    """Return the JSON bytes of a message, its schema always included."""
    return _encoder.encode({"schema": _schema_of(type(message))} | msgspec.to_builtins(message))


def decode(payload: bytes, type_: type[T]) -> T:
    """Return the message of type `type_`; raise `CodecError` TOO_LARGE, CORRUPT, WRONG_SCHEMA or BAD_FIELD."""
    if len(payload) > MAX_MESSAGE_BYTES:
        raise CodecError("TOO_LARGE", f"message of {len(payload)} bytes, {MAX_MESSAGE_BYTES} allowed")
    wanted = _schema_of(type_)
    try:
        schema = _head.decode(payload).schema
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError("CORRUPT", f"not a JSON message: {error}") from None
    if schema != wanted:
        raise CodecError("WRONG_SCHEMA", f"schema {schema!r}, wanted {wanted!r}")
    decoder = _decoders.get(type_) or _decoders.setdefault(type_, msgspec.json.Decoder(type_))
    try:
        message: T = decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise CodecError("BAD_FIELD", str(error)) from None
    return message


@cache
def _schema_of(type_: type[msgspec.Struct]) -> str:
    fields = {field.name: field.default for field in msgspec.structs.fields(type_)}
    return str(fields["schema"])
