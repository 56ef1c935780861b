"""Events on the wire: tagged, defaults left out, amounts as integers of 64 bits."""

import msgspec
import pytest

from tests.trading.orders.builders import desk, fill, step, submit
from trading.events import Alert, AnyEvent, OrderAccepted, OrderFilled


def test_what_the_desk_decides_reads_back_the_same() -> None:
    state = desk()
    events = [*step(state, submit()), *step(state, fill(qty="12")), *step(state, submit("c2", qty="99999"))]
    encoded = msgspec.json.encode(events)
    assert msgspec.json.decode(encoded, type=list[AnyEvent]) == events
    assert {type(event) for event in events} >= {OrderAccepted, OrderFilled, Alert}


def test_the_golden_bytes_of_an_alert() -> None:
    assert msgspec.json.encode(Alert("a", 1, "LATE_FILL", "text")) == (
        b'{"kind":"alert","account":"a","ts_ns":1,"code":"LATE_FILL","message":"text"}'
    )


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        setattr(Alert("a", 1, "X", "y"), "co" + "de", "Z")
