import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.market import idset
from trading.market.batches import Array
from trading.market.idset import IdSet, Table, in_order

KEYS = st.tuples(st.integers(0, 3), st.integers(-40, 400))
BATCHES = st.lists(st.dictionaries(KEYS, st.integers(1, 2**64 - 1), min_size=1, max_size=40), max_size=30)


def columns(words: dict[tuple[int, int], int]) -> tuple[Array, Array, Array]:
    """Return words as a dump has them."""
    keys = sorted(words)
    return (
        np.array([owner for owner, _ in keys], np.int32),
        np.array([page for _, page in keys], np.int64),
        np.array([words[key] for key in keys], np.uint64),
    )


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
        for found, expected in zip(held.dump(), columns(wanted), strict=True):
            assert found.tolist() == expected.tolist()


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


@pytest.mark.parametrize("highest", [1, 2**47, 2**48 - 1, 2**48, 2**57])
@pytest.mark.parametrize("owners", [1, 2**15 - 1, 2**15, 2**31 - 1])
def test_words_are_in_order_of_owner_and_page(highest: int, owners: int) -> None:
    chance = np.random.default_rng(1)
    page = chance.integers(-1 if highest == 1 else 0, highest, 500, endpoint=True)
    owner = chance.integers(0, owners, 500, endpoint=True).astype(np.int32)
    keys = sorted(set(zip(owner.tolist(), page.tolist(), strict=True)), key=lambda key: hash(key) % 1_009)
    columns = np.array([key[0] for key in keys], np.int32), np.array([key[1] for key in keys], np.int64)
    found = in_order(*columns, np.arange(len(keys)).astype(np.uint64))
    assert list(zip(found[0].tolist(), found[1].tolist(), strict=True)) == sorted(keys)
    assert [keys[n] for n in found[2].tolist()] == sorted(keys)


def test_a_dump_loads_and_does_not_depend_on_the_order_of_arrival() -> None:
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
    loaded.load(*one.dump())
    for left, right, third in zip(one.dump(), other.dump(), loaded.dump(), strict=True):
        assert np.array_equal(left, right)
        assert np.array_equal(left, third)
