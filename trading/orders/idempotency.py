"""Ids that are pure functions of their inputs, and the memory that makes a repeated command harmless."""

from hashlib import blake2b

from trading.events import OrderAccepted
from trading.ids import digest
from trading.risk.context import Draft

DIGEST_BYTES = 8
GONE = b"gone"
# The answer to these depends on the moment, not on the order: it is not remembered, so the same id may try again.
TRANSIENT = frozenset(
    {
        "LIMITS_MISSING",
        "MESSAGE_RATE",
        "PRICE_MISSING",
        "PRICE_STALE",
        "RISK_FAILED",
        "RISK_PARAMETERS_MISSING",
        "SESSION_UNKNOWN",
    }
)


def order_id(account: str, client_order_id: str) -> str:
    """Return our order id, 32 hex digits: the same for each repetition of a command."""
    data = f"order\x1f{account}\x1f{client_order_id}".encode()
    return blake2b(data, digest_size=16).hexdigest()


def request_id(order: str, verb: str, n: int = 0) -> str:
    """Return the id under which a venue is asked; a resend after a crash carries the same one."""
    return f"{order}-{verb}-{n}" if n else f"{order}-{verb}"


def trade_key(venue: str, trade_id: str) -> str:
    """Return what identifies an execution in an account."""
    return f"{venue}\x1f{trade_id}"


def draft_digest(draft: Draft, asked_expire_ts_ns: int | None, replaces: str) -> str:
    """Return the digest of a command's body, amounts compared as numbers."""
    side = "buy" if draft.side > 0 else "sell"
    return _digest(
        draft.instrument,
        side,
        draft.qty,
        draft.type,
        draft.tif,
        draft.limit_price,
        draft.stop_price,
        asked_expire_ts_ns,
        draft.strategy,
        replaces,
    )


def intent_digest(intent: OrderAccepted) -> str:
    """Return the same digest for an order that was accepted."""
    return _digest(
        intent.instrument,
        intent.side,
        intent.qty,
        intent.type,
        intent.tif,
        intent.limit_price,
        intent.stop_price,
        intent.asked_expire_ts_ns,
        intent.strategy,
        intent.replaces,
    )


def remember(digest_hex: str, outcome: bytes) -> bytes:
    """Return the small value that stays for ever."""
    return bytes.fromhex(digest_hex) + outcome


def recall(known: bytes) -> tuple[str, str]:
    """Return (digest of the body, outcome) of a remembered command: `gone`, or the code of the refusal."""
    return known[:DIGEST_BYTES].hex(), known[DIGEST_BYTES:].decode()


def _digest(*parts: str | int | None) -> str:
    return digest(*("" if part is None else part for part in parts))[: 2 * DIGEST_BYTES]
