"""Findings and tables in the forms that Dagster shows."""

from datetime import date

import dagster as dg

from orchestration.checks import Finding
from orchestration.report import evaluation, result, table

KEY = dg.AssetKey(["lake", "ticks_v1"])


def test_a_finding_keeps_its_words_and_figures() -> None:
    finding = Finding("gaps", False, "one is missing", {"missing": 1})
    shown = result(finding, KEY)
    assert (shown.check_name, shown.passed, shown.description) == ("gaps", False, "one is missing")
    assert shown.severity == dg.AssetCheckSeverity.ERROR
    assert result(finding, KEY, warn=True).severity == dg.AssetCheckSeverity.WARN
    event = evaluation(finding, KEY)
    assert (event.asset_key, event.metadata["missing"].value) == (KEY, 1)


def test_tables() -> None:
    shown = table([{"day": date(2024, 3, 5), "rows": 3, "low": None}])
    assert isinstance(shown, dg.TableMetadataValue)
    assert shown.records[0].data == {"day": "2024-03-05", "rows": 3, "low": None}
    assert isinstance(table([]), dg.TextMetadataValue)
