from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.checks import Finding
from orchestration.commands.failure import CommandError
from orchestration.gate import components as module
from orchestration.gate.components import NEEDED_ROLES, components, guarded
from orchestration.gate.site import Key
from streaming.settings import Settings
from tests.orchestration.gate.scripted import ScriptedSite

PAGE: dict[str, Any] = {
    "roles": [*NEEDED_ROLES],
    "broker": "log",
    "topics": {"orders.journal": {"0": {"begin": 0, "end": 3}}, "orders.commands": {"0": {"begin": 0, "end": 0}}},
    "flows": {"orders": {"0": {"owned": True}}},
}


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READY_S", 0.0)


def verdicts(home: Path, page: dict[str, Any], *, late_s: float = 0.0, open_to_all: bool = False) -> set[str]:
    def script(_method: str, path: str, key: Key | None, _body: Any) -> tuple[int, Any]:
        if path == "/status":
            return 200, page
        if path == "/v2/clock":
            return 200, {"timestamp": (datetime.now(UTC) - timedelta(seconds=late_s)).isoformat()}
        return 200 if key or open_to_all or path == "/health/ready" else 401, {}

    found = components(ScriptedSite(home, script), Settings(home=home))
    assert [each.name for each in found] == ["config", "roles", "broker", "lake", "api", "dagster", "clock"]
    return {each.name for each in found if not each.passed}


def test_a_sound_platform_passes(tmp_path: Path) -> None:
    assert verdicts(tmp_path, PAGE) == set()


def test_each_fault_is_found(tmp_path: Path) -> None:
    assert verdicts(tmp_path, PAGE | {"roles": ["orders"]}) == {"roles"}
    assert verdicts(tmp_path, PAGE | {"flows": {"orders": {"0": {"owned": False}}}}) == {"broker"}
    assert verdicts(tmp_path, PAGE | {"topics": {}}) == {"broker"}
    assert verdicts(tmp_path, PAGE, late_s=60.0) == {"clock"}
    assert verdicts(tmp_path, PAGE, open_to_all=True) == {"api"}
    (tmp_path / "lake").rmdir()
    (tmp_path / "lake").write_text("a file is in the way")
    assert verdicts(tmp_path, PAGE) == {"lake"}


def test_a_check_that_raises_has_failed_with_its_reason() -> None:
    def refused() -> Finding:
        raise CommandError("X", "why")

    def broken() -> Finding:
        raise KeyError("roles")

    assert guarded("a", refused) == Finding("a", False, "X: why")
    assert guarded("b", broken) == Finding("b", False, "KeyError: 'roles'")
