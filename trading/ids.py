"""Identifiers. Every id that is not given by a client or a venue is a pure function of its inputs."""

from hashlib import blake2b

SEPARATOR = "\x1f"


def digest(*parts: str | int) -> str:
    """Return a 128-bit hex id of the parts, in order. The same parts give the same id on every machine."""
    return blake2b(SEPARATOR.join(map(str, parts)).encode(), digest_size=16).hexdigest()


def digest_int(text: str) -> int:
    """Return a positive 63-bit integer id for a venue's textual id that is not a number."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def instrument_id(symbol: str, venue: str) -> str:
    """Return the instrument id `SYMBOL.VENUE`."""
    return f"{symbol}.{venue}"
