"""Errors for people: a stable code, what was wrong, what to do, and the exit code."""

from pathlib import Path

EXIT_FAILED = 1
EXIT_CONFIG = 78
# Of a worker: what its feed reads has to change before another start can help.
EXIT_FEED = 65


class CommandError(Exception):
    """A command that cannot go on. Shown as one line, without a trace."""

    def __init__(self, code: str, message: str, hint: str = "", exit_code: int = EXIT_FAILED) -> None:
        super().__init__(f"{code}: {message}{f' - {hint}' if hint else ''}")
        self.code = code
        self.exit_code = exit_code


def port_in_use(host: str, port: int, key: str) -> CommandError:
    """Say which port is taken and which setting moves us to another one."""
    variable = "TRADE_" + key.upper().replace(".", "__")
    message = f"port {port} on {host} is taken by another program"
    hint = f"stop it, or set {key} in trade.toml (or {variable}); 0 picks a free port"
    return CommandError("PORT_IN_USE", message, hint)


def home_unusable(home: Path, error: OSError) -> CommandError:
    """Say that there can be no data folder here."""
    message = f"home: cannot write to {home}: {error.strerror}"
    return CommandError("CONFIG_REFUSED", message, "set TRADE_HOME to a folder of yours", exit_code=EXIT_CONFIG)


def home_in_use(home: Path) -> CommandError:
    """Say that another `trade up` holds the data folder."""
    message = f"another `trade up` is running on {home}"
    return CommandError("HOME_IN_USE", message, "stop it, or set TRADE_HOME to another folder")
