"""What makes a table of the sinks trustworthy, from its logs alone: columns, offset ranges, and rows in them."""

from orchestration import checks
from orchestration.checks import Finding
from orchestration.lake_io import LakeIO
from trading.schemas import Table


def findings(lake: LakeIO, table: Table) -> list[Finding]:
    """Return the findings schema, offsets and counts; a foreign table fails all three."""
    foreign = lake.foreign(table)
    if foreign is not None:
        return [Finding(name, False, foreign) for name in ("schema", "offsets", "counts")]
    state = lake.state(table)
    return [
        Finding("schema", True, "columns and types as declared"),
        checks.tiled(len(state.ranges), state.faults),
        checks.counted(state.rows, state.rows_in_ranges),
    ]
