"""The life of an order as a table. Names are Alpaca's, plus `unknown`: sent, and nothing certain came back."""

from typing import get_args

from trading.events import Status

STATUSES: tuple[Status, ...] = get_args(Status)
TERMINAL: frozenset[Status] = frozenset({"filled", "canceled", "replaced", "expired", "rejected"})
WORKING: frozenset[Status] = frozenset({"new", "held", "partially_filled"})
WAITING: frozenset[Status] = frozenset({"pending_new", "pending_cancel", "pending_replace"})

_ENDS: frozenset[Status] = frozenset({"filled", "canceled", "expired", "rejected"})
# A status that may follow itself: more fills, a late acknowledgement, or a repeated doubt.
ALLOWED: dict[Status, frozenset[Status]] = {
    "pending_new": frozenset({"new", "held", "partially_filled", "pending_cancel", "unknown", *_ENDS}),
    "new": frozenset({"held", "partially_filled", "pending_cancel", "pending_replace", *_ENDS}),
    "held": frozenset({"new", "partially_filled", "pending_cancel", "pending_replace", *_ENDS}),
    "partially_filled": frozenset({"partially_filled", "pending_cancel", "pending_replace", *_ENDS}),
    # Real world: a cancel may be refused, overtaken by a fill, or cross the acknowledgement of the order itself.
    "pending_cancel": frozenset(
        {"pending_cancel", "new", "held", "partially_filled", "pending_replace", "replaced", "unknown", *_ENDS}
    ),
    "pending_replace": frozenset(
        {"pending_replace", "new", "held", "partially_filled", "pending_cancel", "replaced", "unknown", *_ENDS}
    ),
    "unknown": frozenset(
        {"unknown", "new", "held", "partially_filled", "pending_cancel", "pending_replace", "replaced", *_ENDS}
    ),
    "filled": frozenset(),
    "canceled": frozenset(),
    "replaced": frozenset(),
    "expired": frozenset(),
    "rejected": frozenset(),
}
# Real world: an execution that was on its way when the order ended. It is applied, marked late, and moves nothing.
LATE_FILL: frozenset[Status] = TERMINAL


class IllegalMoveError(AssertionError):
    """An event would take an order where the table does not lead: the journal or the code is wrong, so stop."""


def can_move(old: Status, new: Status) -> bool:
    """Say whether an order may go from one status to another."""
    return new in ALLOWED[old]


def require_move(order: str, old: Status, new: Status) -> None:
    """Raise `IllegalMoveError` unless the table allows it."""
    if new not in ALLOWED[old]:
        raise IllegalMoveError(f"order {order}: {old} -> {new}")
