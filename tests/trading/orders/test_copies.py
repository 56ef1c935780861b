"""A copy is equal in everything, shares nothing that changes, and goes its own way."""

from collections.abc import Iterator
from typing import Any

from tests.trading.orders.builders import desk
from tests.trading.orders.test_snapshot import history
from trading.orders.copies import copy_of
from trading.orders.journal import fold, read_record
from trading.orders.snapshot import all_rows, restore, state_hash, watermark
from trading.orders.state import OrderRow, State
from trading.risk.limits import Limits

# What an account is worth is derived from the market anew.
VALUATION = {"quote", "value", "gross", "spread"}


def parts(thing: Any) -> dict[str, Any]:
    """Return the fields of one of our own objects."""
    names: tuple[str, ...] = getattr(thing, "__struct_fields__", ()) or getattr(thing, "__slots__", ())
    return {name: getattr(thing, name) for name in names if not name.startswith("_") and name not in VALUATION}


def plain(thing: Any) -> Any:
    """Return the content as builtins, in its order."""
    if isinstance(thing, dict):
        return [(key, plain(value)) for key, value in thing.items()]
    if isinstance(thing, set):
        return sorted(thing)
    if isinstance(thing, list | tuple) or type(thing).__name__ == "deque":
        return [plain(item) for item in thing]
    fields = parts(thing)
    return plain(fields) if fields else thing


def changeable(thing: Any) -> Iterator[int]:
    """Yield the identity of everything that may change within."""
    if isinstance(thing, Limits):
        return
    if isinstance(thing, dict | list | set) or type(thing).__name__ == "deque":
        yield id(thing)
        for item in thing.values() if isinstance(thing, dict) else thing:
            yield from changeable(item)
    elif isinstance(thing, tuple):
        for item in thing:
            yield from changeable(item)
    elif fields := parts(thing):
        if isinstance(thing, OrderRow) or not hasattr(thing, "__struct_config__"):
            yield id(thing)
        for value in fields.values():
            yield from changeable(value)


def test_a_copy_is_equal_and_shares_nothing_that_changes() -> None:
    records, _ = history()
    state = desk()
    for payload in records:
        fold(state, read_record(payload))
        made = copy_of(state)
        assert plain(made) == plain(state)
        assert not set(changeable(made)) & set(changeable(state))
        assert all(made.orders[row.id] is row for account in made.accounts.values() for row in account.open.values())


def test_a_copy_goes_its_own_way() -> None:
    records, final = history()
    state = desk()
    for place, payload in enumerate(records):
        before, made = state_hash(state), copy_of(state)
        for later in records[place:]:
            fold(made, read_record(later))
        assert (state_hash(made), state_hash(state)) == (final, before)
        fold(state, read_record(payload))


def test_a_copy_of_what_was_restored_is_as_if_restored_again() -> None:
    records, _ = history()
    state = desk()
    for payload in records:
        fold(state, read_record(payload))
    rows = [*all_rows(state), watermark(state, 7)]
    one, two = restore(rows)[0], restore(rows)[0]
    assert plain(copy_of(one)) == plain(two)
    assert plain(copy_of(State())) == plain(State())
