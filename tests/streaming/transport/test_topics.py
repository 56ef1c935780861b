"""The table of topics: names, counts, durability."""

from pathlib import Path

import pytest

from streaming.transport.client import BrokerError, TopicSpec
from streaming.transport.topics import TopicTable


def with_folder(table: TopicTable, folder: Path, spec: TopicSpec) -> None:
    """Add a topic whose folder exists."""
    (folder / "topics" / spec.name).mkdir(parents=True)
    table.add(spec)


def test_topics_survive(tmp_path: Path) -> None:
    table = TopicTable(tmp_path)
    specs = [TopicSpec("a", 1), TopicSpec("b", 3, compacted=True, retention_bytes=7)]
    for spec in specs:
        with_folder(table, tmp_path, spec)
    again = TopicTable(tmp_path)
    again.load()
    assert list(again.all()) == specs
    assert again.missing([*specs, TopicSpec("c", 1), TopicSpec("c", 1)]) == [TopicSpec("c", 1)]


@pytest.mark.parametrize("name", ["", "__offsets", "a/b", "..", ".", "a b", "x" * 250, "\u00e4"])
def test_names_that_could_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BrokerError) as refusal:
        TopicTable(tmp_path).missing([TopicSpec(name, 1)])
    assert refusal.value.code == "TOPIC_INVALID"


def test_no_partitions_and_other_counts_are_refused(tmp_path: Path) -> None:
    table = TopicTable(tmp_path)
    with pytest.raises(BrokerError) as refusal:
        table.missing([TopicSpec("a", 0)])
    assert refusal.value.code == "TOPIC_INVALID"
    with pytest.raises(BrokerError) as refusal:
        table.missing([TopicSpec("a", 1), TopicSpec("a", 2)])
    assert refusal.value.code == "TOPIC_MISMATCH"


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "topics.json").write_text("[{")
    with pytest.raises(BrokerError, match=r"topics\.json") as refusal:
        TopicTable(tmp_path).load()
    assert refusal.value.code == "LOG_CORRUPT"
