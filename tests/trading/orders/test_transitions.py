"""Every pair of statuses, legal and illegal, against a table written out a second time."""

import itertools
from typing import Any

import pytest

from trading.orders.transitions import (
    ALLOWED,
    STATUSES,
    TERMINAL,
    WAITING,
    WORKING,
    IllegalMoveError,
    can_move,
    require_move,
)

ENDS = "filled canceled expired rejected"
LEGAL = {
    "pending_new": f"new held partially_filled pending_cancel unknown {ENDS}",
    "new": f"held partially_filled pending_cancel pending_replace {ENDS}",
    "held": f"new partially_filled pending_cancel pending_replace {ENDS}",
    "partially_filled": f"partially_filled pending_cancel pending_replace {ENDS}",
    "pending_cancel": f"pending_cancel new held partially_filled pending_replace replaced unknown {ENDS}",
    "pending_replace": f"pending_replace pending_cancel new held partially_filled replaced unknown {ENDS}",
    "unknown": f"unknown pending_cancel pending_replace new held partially_filled replaced {ENDS}",
}


@pytest.mark.parametrize(("old", "new"), list(itertools.product(STATUSES, STATUSES)))
def test_each_pair(old: Any, new: Any) -> None:
    legal = new in LEGAL.get(old, "").split()
    assert can_move(old, new) is legal
    if legal:
        require_move("o", old, new)
    else:
        with pytest.raises(IllegalMoveError, match=f"{old} -> {new}"):
            require_move("o", old, new)


def test_the_table_is_whole() -> None:
    assert set(ALLOWED) == set(STATUSES)
    assert {status for status in STATUSES if not ALLOWED[status]} == TERMINAL
    assert not WAITING & WORKING
    assert not (WAITING | WORKING) & TERMINAL
