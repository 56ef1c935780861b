"""What a strategy asks for and what it is told that it has."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.orders import builders as b
from trading.commands import AnyCommand, SubmitOrder
from trading.events import AnyEvent, OrderAccepted
from trading.orders.idempotency import order_id
from trading.strategies import context as module
from trading.strategies.context import Context
from trading.strategies.rows import Bar

NAME = b.XYZ.id
BAR = Bar(NAME, b.T0 - 60, b.T0, 9_900, 10_000, 9_900, 9_950, 100)


def made() -> Context:
    context = Context("a", "s", b.TABLE)
    context.message = BAR
    return context


def asked(context: Context) -> SubmitOrder:
    command = context.commands[-1]
    assert isinstance(command, SubmitOrder)
    return command


@pytest.mark.parametrize(
    ("limit", "stop", "type_", "texts"),
    [
        (None, None, "market", (None, None)),
        (9_950, None, "limit", ("99.5", None)),
        (None, 9_900, "stop", (None, "99")),
        (9_950, 9_900, "stop_limit", ("99.5", "99")),
    ],
)
def test_an_order_is_a_command_in_words(limit: int | None, stop: int | None, type_: str, texts: object) -> None:
    context = made()
    cid = context.submit(NAME, -10, limit=limit, stop=stop, tif="day")
    command = asked(context)
    assert (command.client_order_id, command.side, command.qty, command.type) == (cid, "sell", "10", type_)
    assert (command.limit_price, command.stop_price) == texts
    assert (command.tif, command.strategy, command.account, command.ts_ns) == ("day", "s", "a", b.T0)


def test_an_id_follows_from_strategy_message_and_count() -> None:
    first, second = made(), made()
    ids = [first.submit(NAME, 1), first.submit(NAME, 1)]
    assert ids == [second.submit(NAME, 1), second.submit(NAME, 1)]
    assert len(set(ids)) == 2
    first.message = msgspec.structs.replace(BAR, start_ns=1)
    assert first.submit(NAME, 1) not in ids
    other = Context("a", "t", b.TABLE)
    other.message = BAR
    assert other.submit(NAME, 1) not in ids


def test_a_message_that_is_told_twice_does_not_order_twice() -> None:
    context = made()
    first = context.submit(NAME, 10)
    context.message = msgspec.structs.replace(BAR)
    assert context.submit(NAME, 10) == first
    assert context.net[NAME] == 10


def follow(context: Context, *events: AnyEvent) -> list[bool]:
    return [context.apply(event) for event in events]


def test_net_counts_an_order_from_the_asking_to_its_end() -> None:
    state, context = b.desk(), made()
    cid = context.submit(NAME, 10, limit=9_900)
    assert (context.net[NAME], context.position(NAME), context.is_open(cid)) == (10, 0, True)
    follow(context, *b.step(state, asked(context)))
    follow(context, *b.step(state, b.ack(order=order_id("a", cid))))
    assert follow(context, *b.step(state, b.fill(order=order_id("a", cid), qty="4"))) == [True]
    assert (context.net[NAME], context.position(NAME)) == (10, 4)
    context.cancel(cid)
    follow(context, *b.step(state, context.commands[-1]))
    assert context.net[NAME] == 10
    follow(context, *b.step(state, b.canceled(order=order_id("a", cid))))
    assert (context.net[NAME], context.position(NAME), context.is_open(cid)) == (4, 4, False)


def test_a_fill_after_the_end_counts_and_that_of_another_strategy_does_not() -> None:
    state, context = b.desk(), made()
    cid = context.submit(NAME, 10, limit=9_900)
    order = order_id("a", cid)
    for command in (asked(context), b.ack(order=order), b.canceled(order=order)):
        follow(context, *b.step(state, command))
    assert context.net[NAME] == 0
    assert True in follow(context, *b.step(state, b.fill(order=order)))
    assert (context.net[NAME], context.position(NAME)) == (10, 10)
    b.step(state, b.submit())
    assert follow(context, *b.step(state, b.fill("t9"))) == [False]
    assert context.position(NAME) == 10


def test_a_refused_order_is_not_held() -> None:
    state, context = b.desk(), made()
    cid = context.submit(NAME, 1_000_000)
    follow(context, *b.step(state, asked(context)))
    assert (context.net[NAME], context.is_open(cid)) == (0, False)


def test_after_a_restart_accepted_orders_of_the_strategy_are_known_again() -> None:
    state, before, after = b.desk(), made(), made()
    before.submit(NAME, 10, limit=9_900)
    (accepted,) = b.step(state, asked(before))
    assert isinstance(accepted, OrderAccepted)
    follow(after, accepted, accepted, *b.step(state, b.submit()))
    assert after.net == dict.fromkeys(b.NAMES, 0) | {NAME: 10}


def test_only_so_many_ended_orders_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENDED", 3)
    state, context = b.desk(), made()
    for _ in range(5):
        context.submit(NAME, 1_000_000)
        follow(context, *b.step(state, asked(context)))
    assert len(context._ended) == 3


KINDS = ("own", "other", "refused", "ack", "fill", "rest", "canceled")


def history(steps: list[tuple[str, int]]) -> list[AnyEvent]:
    """Return the events of a desk that is told this of its first orders; most steps come before or after their time."""
    state, events = b.desk(), list[AnyEvent]()
    for number, (kind, order) in enumerate(steps):
        cid = f"c{order}"
        commands: dict[str, AnyCommand] = {
            "own": b.submit(cid, strategy="s"),
            "other": b.submit(cid, strategy="t"),
            "refused": b.submit(cid, strategy="s", qty="1000000"),
            "ack": b.ack(cid),
            "fill": b.fill(f"t{number}", cid, qty="3"),
            "rest": b.fill(f"t{number}", cid, qty="7"),
            "canceled": b.canceled(cid),
        }
        events += b.step(state, commands[kind])
    return events


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 4)), max_size=40), st.data())
def test_a_context_that_recalls_goes_on_as_the_one_that_saw_everything(
    steps: list[tuple[str, int]], data: st.DataObject
) -> None:
    events = history(steps)
    place = data.draw(st.integers(0, len(events)))
    whole, first, second = made(), made(), made()
    answers = follow(whole, *events)
    said = follow(first, *events[:place])
    second.recall(first.memory())
    assert said + follow(second, *events[place:]) == answers
    assert second.memory() == whole.memory()


@pytest.mark.parametrize("memory", ["", "{}", '{"positions":{},"net":{"NONE.SIM":1},"open":{},"ended":[]}'])
def test_a_memory_of_something_else_is_refused(memory: str) -> None:
    context = made()
    before = context.memory()
    with pytest.raises(ValueError, match=r"read|instruments"):
        context.recall(memory)
    assert context.memory() == before
