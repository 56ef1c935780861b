"""The audit passes a sound journal and finds each planted fault."""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pytest

from orchestration.audit import audit, until
from streaming.adapters.lake import arrow_schema
from streaming.columns import PlainRow, from_rows
from streaming.journal_rows import Fills, Journal, JournalRows, Positions
from streaming.transport.client import Record
from tests.streaming.journal_records import FILLS, records
from tests.trading.orders.builders import TABLE
from trading.orders.journal import read_record
from trading.schemas import FILLS_V1, JOURNAL_V1, POSITIONS_V1, Table

Tables = list[pa.Table]


def table_of(table: Table, made: JournalRows, payloads: Sequence[bytes], partition: int = 0) -> pa.Table:
    rows: list[PlainRow] = []
    for offset, payload in enumerate(payloads):
        message = Record("orders.journal", partition, offset, b"a", payload)
        rows += made.rows(message, read_record(payload), False, TABLE)
    return from_rows(arrow_schema(table), rows)


def tables() -> Tables:
    """Return journal, fills and positions of a short journal."""
    told, _ = records()
    made: list[tuple[Table, JournalRows]] = [(JOURNAL_V1, Journal()), (FILLS_V1, Fills()), (POSITIONS_V1, Positions())]
    return [table_of(table, rows, told) for table, rows in made]


def failed(found: Tables) -> set[str]:
    return {finding.name for findings in audit(*found).values() for finding in findings if not finding.passed}


def change(table: pa.Table, column: str, place: int, value: object) -> pa.Table:
    rows = table.to_pylist()
    rows[place][column] = value
    return pa.Table.from_pylist(rows, schema=table.schema)


def test_a_sound_journal_passes() -> None:
    found = audit(*tables())
    assert failed(tables()) == set()
    figures = {finding.name: finding.figures for findings in found.values() for finding in findings}
    assert figures["intents"] == {"intents": 2, "acknowledged": 2, "rejected": 0, "in_doubt": 0, "strangers": 0}
    assert figures["executions"]["rows"] == FILLS
    assert failed([table.slice(0, 0) for table in tables()]) == set()


def test_tables_compare_up_to_what_all_of_them_have() -> None:
    journal, fills, positions = tables()
    early = [until(journal, {0: 7}), until(fills, {0: 7}), until(positions, {0: 7})]
    assert [table.num_rows for table in early] == [7, 1, 2]
    assert failed(early) == set()
    assert until(journal, {1: 7}).num_rows == 0


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        (lambda j, f, p: [pa.concat_tables([j.slice(0, 8), j.slice(9)]), f, p], {"sequence", "hash_chain"}),
        (lambda j, f, p: [change(j, "payload", 3, j["payload"][4].as_py()), f, p], {"hash_chain"}),
        (lambda j, f, p: [j, f.slice(1), p], {"executions", "positions", "cash"}),
        (lambda j, f, p: [j, pa.concat_tables([f, f.slice(0, 1)]), p], {"executions", "positions", "cash"}),
        (lambda j, f, p: [j, change(f, "trade_id", 0, "t2"), p], {"executions"}),
        (lambda j, f, p: [j, change(f, "cost", 0, 1), p], {"cash"}),
        (lambda j, f, p: [j, f, change(p, "qty", p.num_rows - 1, 7)], {"positions"}),
        (lambda j, f, p: [j, f, change(p, "cash", p.num_rows - 1, 7)], {"cash"}),
    ],
)
def test_each_planted_fault_is_found(fault: Callable[..., Tables], names: set[str]) -> None:
    found = failed(fault(*tables()))
    assert names <= found


def test_a_move_without_an_intent_is_found() -> None:
    journal, fills, positions = tables()
    stale = change(journal, "stale", 4, True)
    messages = [f.message for f in audit(stale, fills, positions)["journal_v1"] if f.name == "intents" and not f.passed]
    assert "never accepted" in messages[0]
