"""Each code has one status; errors are JSON in the shape of their routes."""

import json

import pytest

from streaming.api.errors import ApiError, field_of, headers_of, of_desk, of_refusal, render, status_of
from streaming.owner.desk import NotOwner, WriteLost
from tests.trading.orders.builders import XYZ
from trading.events import Breach, OrderRefused
from trading.risk.checks import RULES


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("BUYING_POWER", 403),
        ("MESSAGE_RATE", 429),
        ("ORDER_UNKNOWN", 404),
        ("ID_REUSED", 409),
        ("QTY_NOT_POSITIVE", 422),
        ("ORDER_NOT_CANCELABLE", 422),
    ],
)
def test_a_code_has_one_status(code: str, status: int) -> None:
    assert status_of(code) == status


def test_every_rule_of_the_gate_has_a_status_that_is_no_server_error() -> None:
    assert all(status_of(rule.__name__.upper()) < 500 for rule in RULES)


def test_alpacas_shape_and_ours() -> None:
    error = ApiError(422, "QTY_NOT_POSITIVE", "qty must be above zero", "qty")
    assert json.loads(render(error, "r-1", alpaca=True)) == {
        "code": 42210000,
        "message": "qty must be above zero",
        "reason": "QTY_NOT_POSITIVE",
        "request_id": "r-1",
        "field": "qty",
    }
    assert json.loads(render(error, "r-1", alpaca=False)) == {
        "code": "QTY_NOT_POSITIVE",
        "message": "qty must be above zero",
        "request_id": "r-1",
        "field": "qty",
    }


def test_a_refusal_names_every_broken_rule_in_decimals() -> None:
    breaches = (
        Breach("MAX_ORDER_QTY", 100, 200, 100),
        Breach("BUYING_POWER", 5 * 10**9, 10**10, 3),
        Breach("PRICE_COLLAR", 11_000, 12_000),
    )
    event = OrderRefused("a", 1, "0" * 32, "c", "MAX_ORDER_QTY", "too large", breaches, 3)
    error = of_refusal(event, XYZ)
    assert (error.status, error.code) == (403, "MAX_ORDER_QTY")
    assert error.message == "insufficient balance for USD: too large"
    assert [b["limit"] for b in error.more["breaches"]] == ["100", "5", "110"]
    assert error.more["largest"] == "3"


def test_a_desk_that_cannot_answer_says_when_to_come_again() -> None:
    error = of_desk(NotOwner(1, "owned elsewhere", "http://127.0.0.1:9"))
    assert (error.status, error.code, headers_of(error)) == (503, "NOT_OWNER", {"Retry-After": "1"})
    assert "http://127.0.0.1:9" in error.message
    assert of_desk(WriteLost(1, "lost")).code == "WRITE_LOST"


def test_codes_know_their_fields() -> None:
    assert [field_of(code) for code in ("LIMIT_PRICE_MISSING", "TIF_NOT_ALLOWED", "KILL_SWITCH")] == [
        "limit_price",
        "time_in_force",
        "",
    ]
