"""Findings, charts and tables in the forms that Dagster shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from orchestration.checks import Finding


def result(finding: Finding, key: dg.AssetKey | None = None, *, warn: bool = False) -> dg.AssetCheckResult:
    """Return a finding as the result of a check."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=finding.name,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=finding.message,
        metadata=dict(finding.figures),
    )


def evaluation(finding: Finding, key: dg.AssetKey, *, warn: bool = True) -> dg.AssetCheckEvaluation:
    """Return a finding as the event of a check that ran outside of a run."""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=finding.name,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=finding.message,
        metadata=dict(finding.figures),
    )


def table(records: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue | dg.TextMetadataValue:
    """Return rows as a table; an empty one as a word, because a table needs columns."""
    if not records:
        return dg.MetadataValue.text("no rows")
    return dg.MetadataValue.table([dg.TableRecord({k: _cell(v) for k, v in row.items()}) for row in records])


def _cell(value: Any) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
