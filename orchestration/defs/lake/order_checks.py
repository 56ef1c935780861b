"""The conservation audit as asset checks of the three tables of the order path."""

from collections.abc import Iterator

import dagster as dg

from orchestration.audit import audit, until
from orchestration.catalog import table_key
from orchestration.home import Home
from orchestration.report import result
from trading.schemas import FILLS_V1, JOURNAL_V1, ORDERS_JOURNAL, POSITIONS_V1

TABLES = {table.name: table for table in (JOURNAL_V1, FILLS_V1, POSITIONS_V1)}
_ABOUT = {
    (JOURNAL_V1.name, "sequence"): "Records of a partition are numbered from 1 without a gap.",
    (JOURNAL_V1.name, "hash_chain"): "Every record matches its hash and continues the one before.",
    (JOURNAL_V1.name, "intents"): "Intents = acknowledged + rejected + in doubt; nothing moves without an intent.",
    (FILLS_V1.name, "executions"): "Every execution of the journal is a row, once.",
    (POSITIONS_V1.name, "positions"): "The newest position = the sum of fills.",
    (POSITIONS_V1.name, "cash"): "The newest cash = cash in - cost - fees.",
}


@dg.multi_asset_check(
    name="audit_orders",
    specs=[
        dg.AssetCheckSpec(check, asset=table_key(TABLES[name]), description=text)
        for (name, check), text in _ABOUT.items()
    ],
)
def audit_orders(home: Home) -> Iterator[dg.AssetCheckResult]:
    """Compare the tables up to the offset that all of them have."""
    lake = home.lake()
    taken = [lake.state(table).taken for table in TABLES.values()]
    partitions = {app for each in taken for app in each}
    prefix = f"{ORDERS_JOURNAL.name}-"
    ends = {int(app.removeprefix(prefix)): min(each.get(app, 0) for each in taken) for app in partitions}
    rows = [until(lake.whole(table), ends) for table in TABLES.values()]
    for name, findings in audit(*rows).items():
        yield from (result(finding, table_key(TABLES[name])) for finding in findings)


@dg.definitions
def order_checks() -> dg.Definitions:
    """Return the audit."""
    return dg.Definitions(asset_checks=[audit_orders])
