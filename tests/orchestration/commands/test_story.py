"""The story of an order in words: amounts in units, a wrong hash in capitals, a refusal without risk inputs."""

from typing import Any

from orchestration.commands.story import order_line, story

STEP: dict[str, Any] = {
    "partition": 1,
    "offset": 7,
    "seq": 8,
    "generation": 6,
    "at": "2026-11-28T11:21:25Z",
    "cause": "http:1",
    "hash": "26409bf80073aa",
    "hash_is_right": True,
    "command": None,
    "events": [{"kind": "order_accepted", "order": "o", "account": "a", "side": "buy", "price_scale": 2}],
}
WHY: dict[str, Any] = {
    "order_id": "o",
    "client_order_id": "mine",
    "account": "a",
    "instrument": "BTC-USD.SIM",
    "outcome": "filled",
    "risk": {"price": 6116431, "equity": 1_000_000_000_000_000, "gross": 1, "limits_version": 1},
    "limits": {"max_order_qty": "1000", "unset": None},
    "breaches": [],
    "steps": [STEP],
}


def test_amounts_are_in_units() -> None:
    facts = dict(line.split() for line in story(WHY).splitlines() if line.startswith("  ") and len(line.split()) == 2)
    assert (facts["price"], facts["equity"], facts["gross"]) == ("61164.31", "1000000", "0.000000001")
    assert facts["max_order_qty"] == "1000"
    assert "unset" not in story(WHY)


def test_a_record_shows_its_place_its_hash_and_its_events() -> None:
    lines = story(WHY).splitlines()
    assert "journal 1:7 seq 8 generation 6  26409bf80073 hash right  because of http:1" in lines[-2]
    assert lines[-1].split() == ["order_accepted", "side=buy", "price_scale=2"]
    assert "HASH WRONG" in story(WHY | {"steps": [STEP | {"hash_is_right": False}]})
    assert "command venue=PAPER" in story(WHY | {"steps": [STEP | {"command": {"kind": "x", "venue": "PAPER"}}]})


def test_a_refused_order_has_a_story_too() -> None:
    rule = {"code": "MAX_ORDER_QTY", "message": "too large", "limit": "10", "value": "11", "largest": "10"}
    text = story(WHY | {"risk": None, "breaches": [rule], "instrument": "", "outcome": "MAX_ORDER_QTY"})
    assert "no instrument in account a: MAX_ORDER_QTY" in text
    assert "MAX_ORDER_QTY: too large; limit 10, value 11, passes up to 10" in text
    assert "what the gate saw" not in text


def test_an_order_is_one_line() -> None:
    order = {"id": "i", "status": "filled", "side": "buy", "qty": "1", "symbol": "BTC/USD", "type": "stop_limit"}
    more = {"time_in_force": "gtc", "client_order_id": "c", "limit_price": "5", "stop_price": "4"}
    fill = {"filled_qty": "1", "filled_avg_price": "4.5"}
    assert (
        order_line(order | more | fill)
        == "i  filled           buy 1 BTC/USD stop_limit at 5 stop 4 gtc, 1 filled at 4.5  (c)"
    )
