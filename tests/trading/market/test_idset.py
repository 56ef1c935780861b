from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.market import idset
from trading.market.batches import Array
from trading.market.idset import IdSet, Table
from trading.market.words import Columns, Words

KEYS = st.tuples(st.integers(0, 3), st.integers(-40, 400))
BATCHES = st.lists(st.dictionaries(KEYS, st.integers(1, 2**64 - 1), min_size=1, max_size=40), max_size=30)


def columns(words: dict[tuple[int, int], int]) -> tuple[Array, Array, Array]:
    """Return words as a capture has them."""
    keys = sorted(words)
    return (
        np.array([owner for owner, _ in keys], np.int32),
        np.array([page for _, page in keys], np.int64),
        np.array([words[key] for key in keys], np.uint64),
    )


def listed(found: Columns) -> list[list[int]]:
    """Return columns as lists."""
    return [column.tolist() for column in found]


@pytest.fixture(params=[1, 7, idset.MOVED_SLOTS])
def pace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Let tables move in small steps, so that most calls meet two of them."""
    monkeypatch.setattr(idset, "MOVED_SLOTS", request.param)
    monkeypatch.setattr(idset, "MOVED_PER_WORD", 0)
    return int(request.param)


@pytest.mark.usefixtures("pace")
@settings(max_examples=60, deadline=None)
@given(BATCHES)
def test_it_holds_what_was_merged_whether_or_not_a_table_is_being_moved(
    batches: list[dict[tuple[int, int], int]],
) -> None:
    held, wanted = IdSet(slots=8), dict[tuple[int, int], int]()
    for batch in batches:
        owner, page, bits = columns(batch)
        before = held.merge(owner, page, bits)
        assert before is not None
        assert before.tolist() == [wanted.get(key, 0) for key in sorted(batch)]
        wanted |= {key: wanted.get(key, 0) | word for key, word in batch.items()}
        assert held.words == len(wanted)
        assert listed(held.capture().columns()) == listed(columns(wanted))


@pytest.mark.usefixtures("pace")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["merge", "capture", "load"]), st.randoms()), max_size=40))
def test_a_capture_is_of_its_moment_whenever_it_is_read(calls: list[tuple[str, Random]]) -> None:
    held, wanted = IdSet(slots=8), dict[tuple[int, int], int]()
    captured: list[tuple[Words, dict[tuple[int, int], int]]] = []
    for call, chance in calls:
        if call == "merge":
            batch = {(chance.randrange(3), chance.randrange(60)): chance.randrange(1, 2**64) for _ in range(9)}
            held.merge(*columns(batch))
            wanted = wanted | {key: wanted.get(key, 0) | word for key, word in batch.items()}
        elif call == "capture":
            captured.append((held.capture(), wanted))
        else:
            moved = held.capture().columns()
            held = IdSet(slots=8)
            held.load(*moved)
        if captured and chance.random() < 0.3:
            words, expected = captured.pop(chance.randrange(len(captured)))
            assert listed(words.columns()) == listed(columns(expected))
    for words, expected in captured:
        assert listed(words.columns()) == listed(columns(expected))


def test_only_the_first_capture_copies_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    held = IdSet(slots=8)
    held.merge(*columns({(0, page): 1 for page in range(100)}))
    held.capture()
    held.merge(*columns({(0, page): 2 for page in range(99, 102)}))
    monkeypatch.setattr(Table, "words", None)
    later = held.capture()
    assert held.capture() is later
    assert later.columns()[2].tolist() == [1] * 99 + [3, 2, 2]


def test_a_growing_set_moves_only_some_words_in_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    claimed: list[int] = []
    claim = Table.claim

    def counted(table: Table, owner: Array, page: Array) -> Array:
        claimed.append(len(owner))
        return claim(table, owner, page)

    monkeypatch.setattr(Table, "claim", counted)
    held, bits = IdSet(), np.ones(40, np.uint64)
    for number in range(2_000):
        held.merge(np.zeros(40, np.int64), np.arange(40) + 40 * number, bits)
    assert held.words == 80_000
    assert max(claimed) <= idset.MOVED_SLOTS


def test_a_capture_loads_and_does_not_depend_on_the_order_of_arrival() -> None:
    chance = np.random.default_rng(1)
    keys = np.unique(chance.integers(0, 2**40, 20_000))
    one, other = IdSet(), IdSet(slots=64)
    bits = np.ones(1, np.uint64)
    for key in np.array_split(keys, 7):
        one.merge(key % 5, key, np.broadcast_to(bits, len(key)))
    for key in np.array_split(keys[::-1], 11):
        other.merge(key % 5, key, np.broadcast_to(bits, len(key)))
    assert one.words == other.words == len(keys)
    loaded = IdSet()
    loaded.load(*one.capture().columns())
    assert listed(one.capture().columns()) == listed(other.capture().columns()) == listed(loaded.capture().columns())
