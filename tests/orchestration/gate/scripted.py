"""A platform that answers as a test says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestration.gate.site import Answer, Key, Site

KEYS = (
    Key("PKTRADER1", "secret-1", "first", ("read", "trade")),
    Key("PKTRADER2", "secret-2", "second", ("read", "trade")),
    Key("PKADMIN01", "secret-3", "first", ("admin", "read", "trade")),
)
Script = Callable[[str, str, Key | None, dict[str, Any] | None], tuple[int, Any]]


class ScriptedSite(Site):
    """A site whose answers come from a function of method, path, key and body."""

    __slots__ = ("script",)

    def __init__(self, home: Path, script: Script) -> None:
        super().__init__("127.0.0.1", 1, home, KEYS)
        object.__setattr__(self, "script", script)

    def call(self, method: str, path: str, key: Key | None = None, body: dict[str, Any] | None = None) -> Answer:
        """Ask the script."""
        script: Script = self.script  # type: ignore[attr-defined]  # set in __init__, past the frozen dataclass
        return Answer(*script(method, path, key, body))
