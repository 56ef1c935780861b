import pytest

from orchestration.commands.failure import CommandError
from orchestration.gate import place


def test_a_platform_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "ROLES", ("nonsense",))
    with pytest.raises(CommandError, match=r"GATE_PLATFORM_FAILED.*unknown role"), place.platform("log://", None):
        pass
