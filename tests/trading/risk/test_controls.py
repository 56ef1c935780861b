"""The strictest mode that covers an order wins, and the journal says which are in force."""

from trading.events import Alert, KillChanged, ModeChanged
from trading.risk.controls import Controls


def test_the_strictest_mode_wins() -> None:
    controls = Controls()
    assert controls.quiet
    controls.apply(ModeChanged("", 0, "global", "", "active", "reducing", "x"))
    controls.apply(ModeChanged("a", 0, "strategy", "s", "active", "halted", "x"))
    controls.apply(ModeChanged("", 0, "instrument", "I", "active", "halted", "x"))
    assert controls.covering("b", "s", "J") == ("reducing", "global")
    assert controls.covering("a", "s", "J") == ("halted", "strategy")
    assert controls.covering("b", "t", "I") == ("halted", "instrument")
    controls.apply(ModeChanged("a", 0, "strategy", "s", "halted", "active", "x"))
    assert controls.covering("a", "s", "J") == ("reducing", "global")


def test_the_kill_switch_follows_the_journal() -> None:
    controls = Controls()
    controls.apply(KillChanged("", 0, True, "ann"))
    controls.apply(Alert("", 0, "X", "y"))
    assert (controls.killed, controls.killed_by, controls.quiet) == (True, "ann", False)
    controls.apply(KillChanged("", 0, False, "bob"))
    assert (controls.killed, controls.killed_by) == (False, "")
