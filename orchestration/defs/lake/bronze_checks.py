"""Checks of the tables that the sinks write, run with their job; `watch_streams` reports them in between."""

from collections.abc import Iterator

import dagster as dg

from orchestration.bronze import findings
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
        found = [*findings(home.lake(), table), *([home.freshness()] if table is TICKS_V1 else [])]
        yield from (result(finding, key, warn=finding.name == "freshness") for finding in found)

    return check


@dg.definitions
def bronze_checks() -> dg.Definitions:
    """Return one group of checks for each bronze table."""
    return dg.Definitions(asset_checks=[_checks_of(table) for table in by_layer("bronze")])
