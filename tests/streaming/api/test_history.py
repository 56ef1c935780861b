"""The read model equals the state it was folded from, survives restarts, and is made anew when it does not fit."""

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from streaming.api.history import History, Wanted
from tests.api_rig import FakeJournal, Rig
from tests.trading.orders.builders import S, submit
from trading.orders.idempotency import order_id
from trading.orders.state import OrderRow

SHOWN = (
    "status",
    "filled",
    "cost",
    "fee",
    "ended_ts_ns",
    "updated_ts_ns",
    "replaced_by",
    "inherited",
    "venue_order_id",
)


async def busy(rig: Rig) -> list[str]:
    """Let some orders live; return their ids."""
    await rig.fund("a", "b")
    for number in range(4):
        rig.desk.ts_ns += S
        await rig.tell(submit(f"c{number}", instrument="BTC-USD.SIM", qty="0.5", limit_price="49000"))
    orders = [order_id("a", f"c{number}") for number in range(4)]
    for order in orders[:3]:
        await rig.ack(order)
    await rig.fill(orders[0], "0.2", "48000")
    await rig.fill(orders[0], "0.3", "48500")
    await rig.canceled(orders[1])
    return orders


def wanted(account: str = "a", *, closed: bool = False, limit: int = 10) -> Wanted:
    return Wanted(account, closed, limit, newest_first=True)


def shown(row: OrderRow | None) -> dict[str, object]:
    assert row is not None
    return {name: getattr(row, name) for name in SHOWN}


async def test_it_says_what_the_state_says(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    orders = await busy(rig)
    await rig.history.catch_up()
    for order in orders:
        assert shown(rig.history.order(order)) == shown(rig.row(order))
    assert [row.id for row in rig.history.orders(wanted())] == orders[::-1]
    assert [row.id for row in rig.history.orders(wanted(closed=True))] == orders[1::-1]
    assert [row.id for row in rig.history.orders(wanted(limit=1))] == orders[:2:-1]
    assert rig.history.orders(wanted("b")) == []
    late = wanted()._replace(after_ns=rig.row(orders[1]).intent.ts_ns, side="buy", instruments=("BTC-USD.SIM",))
    assert [row.id for row in rig.history.orders(late)] == orders[:1:-1]
    assert rig.history.order("0" * 32) is None
    rig.history.close()


async def test_steps_limits_equity_and_cash(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    orders = await busy(rig)
    await rig.history.catch_up()
    places = rig.history.places(orders[0], "a")
    assert len(places) == 4
    assert rig.history.places(orders[0], "b") == []
    payload = await rig.history.payload(places[0])
    assert payload is not None
    assert msgspec.json.decode(payload)["events"][0]["order"] == orders[0]
    assert [row["version"] for row in rig.history.limits("a")] == [1]
    assert [equity for _, equity in rig.history.equity("a", 0, 2**62)] == [10**15]
    assert rig.history.equity_before("a", 2**62) == 10**15
    (measured_ns, _) = rig.history.equity("a", 0, 2**62)[0]
    assert rig.history.equity_before("a", measured_ns) is None
    assert rig.history.equity_before("a", measured_ns + 1) == 10**15
    assert rig.history.equity_before("c", 2**62) is None
    assert rig.history.cash_moved("a", 2**62) == 10**15
    rig.history.close()


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    orders = await busy(rig)
    await rig.history.catch_up()
    rig.history.close()
    await rig.fill(orders[2], "0.5", "47000")
    again = History(tmp_path / "history.sqlite", FakeJournal(rig.desk), rig.desk.partitions)
    assert again.order(orders[0]) is not None
    await again.catch_up()
    for order in orders:
        assert shown(again.order(order)) == shown(rig.row(order))
    again.close()


async def test_a_journal_that_does_not_continue_is_folded_anew(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    await busy(rig)
    await rig.history.catch_up()
    rig.history.close()
    other = Rig(tmp_path / "other")
    await other.fund("a")
    await other.tell(submit("only", instrument="BTC-USD.SIM", qty="1", limit_price="49000"))
    again = History(tmp_path / "history.sqlite", FakeJournal(other.desk), other.desk.partitions)
    await again.catch_up()
    assert [row.id for row in again.orders(wanted())] == [order_id("a", "only")]
    for history in (again, other.history):
        history.close()


async def test_a_chain_that_breaks_is_folded_anew(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    orders = await busy(rig)
    await rig.history.catch_up()
    other = Rig(tmp_path / "other")
    other.desk.ts_ns += S
    found = await busy(other)
    await other.fill(found[2], "0.5", "47000")
    rig.desk.journal = other.desk.journal
    await rig.history.catch_up()
    assert shown(rig.history.order(orders[2])) == shown(other.row(found[2]))
    for history in (rig.history, other.history):
        history.close()


async def test_a_journal_that_lost_its_end_and_grew_as_far_again_is_folded_anew(tmp_path: Path) -> None:
    rig, other = Rig(tmp_path), Rig(tmp_path / "other")
    orders = await busy(rig)
    assert await busy(other) == orders
    await rig.canceled(orders[2])
    await rig.history.catch_up()
    rig.history.close()
    await other.fill(orders[2], "0.5", "47000")
    again = History(tmp_path / "history.sqlite", FakeJournal(other.desk), other.desk.partitions)
    await again.catch_up()
    assert shown(again.order(orders[2])) == shown(other.row(orders[2]))
    for history in (again, other.history):
        history.close()


async def test_a_cancelled_reader_leaves_the_fold_whole(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    orders = await busy(rig)
    for _ in range(5):
        reading = asyncio.create_task(rig.history.catch_up())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    await rig.history.catch_up()
    for order in orders:
        assert shown(rig.history.order(order)) == shown(rig.row(order))
    await rig.history.settle()
    rig.history.close()


async def test_a_write_that_fails_is_made_again_and_doubles_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    orders = await busy(rig)
    with sqlite3.connect(tmp_path / "history.sqlite") as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON progress BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    with pytest.raises(sqlite3.Error, match="full"):
        await rig.history.catch_up()
    with sqlite3.connect(tmp_path / "history.sqlite") as other:
        other.execute("DROP TRIGGER full")
    other.close()
    await rig.history.catch_up()
    for order in orders:
        assert shown(rig.history.order(order)) == shown(rig.row(order))
    assert rig.history.cash_moved("a", 2**62) == 10**15
    rig.history.close()


async def test_a_file_that_is_not_ours_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"not a database" * 100)
    rig = Rig(tmp_path)
    orders = await busy(rig)
    await rig.history.catch_up()
    assert rig.history.order(orders[0]) is not None
    rig.history.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    again = History(path, FakeJournal(rig.desk), rig.desk.partitions)
    assert again.order(orders[0]) is None
    await again.catch_up(rig.desk.partition_of("a"))
    assert again.order(orders[0]) is not None
    again.close()
