"""The journal that the recovery bench makes is one that an owner can recover, snapshot and tail."""

from pathlib import Path

from streaming import topics
from streaming.bench.recovery import ACCOUNTS, LAKE, build, history, is_kept
from streaming.owner.recovery import fold_journal, recover
from streaming.settings import Settings
from streaming.transport.connect import connect
from trading.commands import SubmitOrder
from trading.orders.snapshot import state_hash
from trading.schemas import ORDERS_JOURNAL

RECORDS, TAIL = 600, 100


def test_the_history_has_as_many_commands_as_asked() -> None:
    commands = list(history(["a", "b"], 100))
    assert len(commands) == 100
    assert len({c.client_order_id for c in commands if isinstance(c, SubmitOrder)}) > 20


async def test_snapshot_and_tail_of_it_give_the_state_of_its_genesis(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    client = connect(settings.broker_url)
    await client.start()
    await topics.create(client, settings)
    await build(client, 1, 4, RECORDS, TAIL, 3.0)
    end = await client.end_offset(ORDERS_JOURNAL.name, 1)
    found, genesis = await recover(client, 1, end), await fold_journal(client, 1, end)
    await client.stop()
    assert TAIL <= found.folded < 2 * TAIL
    assert genesis.folded == end > RECORDS
    assert len(found.state.accounts) == ACCOUNTS
    assert 0 < len(found.state.orders) < RECORDS / 4
    assert state_hash(found.state) == state_hash(genesis.state)


def test_the_journal_is_kept_when_the_lake_has_nearly_all_of_it() -> None:
    assert is_kept({"groups": {}})
    assert is_kept({"groups": {LAKE: {"lag": 10}}})
    assert not is_kept({"groups": {LAKE: {"lag": 100_000}}})
