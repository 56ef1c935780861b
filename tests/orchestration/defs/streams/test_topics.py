"""The topics are external, and each hangs on its cause."""

import dagster as dg

from orchestration.defs.streams.topics import topics
from trading.schemas import ORDERS_COMMANDS, ORDERS_JOURNAL, TOPICS

SHOWN = (*TOPICS, ORDERS_COMMANDS, ORDERS_JOURNAL)


def test_each_topic_is_an_external_asset_with_its_cause() -> None:
    specs = {spec.key.path[-1]: spec for spec in topics().resolve_all_asset_specs()}
    assert set(specs) == {"feed", *(topic.name.replace(".", "_") for topic in SHOWN)}
    causes = {name: [dep.asset_key.path[-1] for dep in spec.deps] for name, spec in specs.items()}
    assert causes.pop("feed") == []
    assert causes.pop("ticks_raw") == ["feed"]
    assert causes.pop("orders_commands") == ["bars"]
    assert causes.pop("orders_journal") == ["orders_commands"]
    assert set(map(tuple, causes.values())) == {("ticks_raw",)}
    for topic in SHOWN:
        assert specs[topic.name.replace(".", "_")].metadata["schema"] == topic.schema
    assert not topics().resolve_asset_graph().materializable_asset_keys
    assert isinstance(specs["feed"], dg.AssetSpec)
