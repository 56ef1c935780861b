"""Checks of the tables that the sinks write: columns, offset ranges, rows, and how far behind the feed they are."""

from collections.abc import Iterator

import dagster as dg

from orchestration import checks
from orchestration.catalog import by_layer, table_key
from orchestration.home import Home
from orchestration.report import result
from trading.schemas import TICKS_V1, Table

_ABOUT = {
    "schema": "Columns and types are the declared ones.",
    "offsets": "The offset ranges of the commits tile each output partition: no gap, no overlap.",
    "counts": "Rows of the table = rows that the commits took from their offset ranges.",
}
_FRESHNESS = "The newest tick is not far behind the clock of the feed."


def _checks_of(table: Table) -> dg.AssetChecksDefinition:
    key = table_key(table)
    specs = [dg.AssetCheckSpec(name, asset=key, description=text) for name, text in _ABOUT.items()]
    if table is TICKS_V1:
        specs.append(dg.AssetCheckSpec("freshness", asset=key, description=_FRESHNESS))

    @dg.multi_asset_check(name=f"check_{table.name}", specs=specs)
    def check(home: Home) -> Iterator[dg.AssetCheckResult]:
        lake = home.lake()
        foreign = lake.foreign(table)
        if foreign is not None:
            yield from (result(checks.Finding(spec.name, False, foreign), key) for spec in specs)
            return
        state = lake.state(table)
        findings = [
            checks.Finding("schema", True, "columns and types as declared"),
            checks.tiled(len(state.ranges), state.faults),
            checks.counted(state.rows, state.rows_in_ranges),
        ]
        if table is TICKS_V1:
            findings.append(home.freshness())
        yield from (result(finding, key, warn=finding.name == "freshness") for finding in findings)

    return check


@dg.definitions
def bronze_checks() -> dg.Definitions:
    """Return one group of checks for each bronze table."""
    return dg.Definitions(asset_checks=[_checks_of(table) for table in by_layer("bronze")])
