"""Bronze tables are external, and hang on the topics that fill them."""

from orchestration.defs.lake.bronze import bronze


def test_each_bronze_table_hangs_on_its_topic() -> None:
    specs = {spec.key.path[-1]: spec for spec in bronze().resolve_all_asset_specs()}
    causes = {name: [dep.asset_key.path[-1] for dep in spec.deps] for name, spec in specs.items()}
    causes = {name: deps for name, deps in causes.items() if deps}
    orders = {name: ["orders_journal"] for name in ("journal_v1", "fills_v1", "positions_v1")}
    assert causes == {"ticks_v1": ["ticks"], "bars_v1": ["bars"], "frames_v1": ["ticks_raw"]} | orders
    assert {name for name in causes if specs[name].freshness_policy is None} == set(orders)
