"""The kill switch and the trading modes in force. The strictest mode that covers an order wins."""

from typing import Literal

from trading.commands import Scope, TradingMode
from trading.events import AnyEvent, KillChanged, ModeChanged

SEVERITY: dict[TradingMode, int] = {"active": 0, "reducing": 1, "halted": 2}
CoveredBy = Literal["", "global", "account", "strategy", "instrument"]


class Controls:
    """The controls of one partition. `modes` holds what is not active, keyed by `mode_key`."""

    __slots__ = ("killed", "killed_by", "modes")

    def __init__(self) -> None:
        self.killed = False
        self.killed_by = ""
        self.modes: dict[str, TradingMode] = {}

    @property
    def quiet(self) -> bool:
        """Say whether nothing is stopped or limited."""
        return not (self.killed or self.modes)

    def apply(self, event: AnyEvent) -> None:
        """Follow the journal: take a change of the kill switch or of a mode, pass over everything else."""
        if isinstance(event, KillChanged):
            self.killed = event.on
            self.killed_by = event.actor if event.on else ""
        elif isinstance(event, ModeChanged):
            key = mode_key(event.scope, event.account, event.target)
            if event.new == "active":
                self.modes.pop(key, None)
            else:
                self.modes[key] = event.new

    def mode_of(self, scope: Scope, account: str, target: str) -> TradingMode:
        """Return the mode that was set for exactly this scope."""
        return self.modes.get(mode_key(scope, account, target), "active")

    def covering(self, account: str, strategy: str, instrument: str) -> tuple[TradingMode, CoveredBy]:
        """Return the strictest mode that covers an order, and the scope that sets it."""
        found: tuple[TradingMode, CoveredBy] = ("active", "")
        covers: tuple[tuple[Scope, str, str], ...] = (
            ("global", "", ""),
            ("account", account, ""),
            ("strategy", account, strategy),
            ("strategy", "", strategy),
            ("instrument", account, instrument),
            ("instrument", "", instrument),
        )
        for scope, owner, target in covers:
            mode = self.modes.get(mode_key(scope, owner, target), "active")
            if SEVERITY[mode] > SEVERITY[found[0]]:
                found = (mode, scope)
        return found


def mode_key(scope: Scope, account: str, target: str) -> str:
    """Return the key of one control. A strategy or an instrument may be stopped in one account or, with "", in all."""
    if scope == "global":
        return "global"
    return f"account/{account}" if scope == "account" else f"{scope}/{account}/{target}"
