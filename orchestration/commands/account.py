"""A child's end in one line: what it was, why, and where to read more."""

import json
import signal
from pathlib import Path

from orchestration.processes import Child

TAIL_BYTES = 64 << 10
LINE_CHARS = 300
_LOUD = frozenset({"error", "critical", "fatal"})


def last_words(child: Child, code: int) -> str:
    """Return one line about a child that ended: how, the last error in its log, and the log's name."""
    how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
    why = last_error(child.command.log, child.log_start)
    return f"{child.command.name} {how}{f': {why}' if why else ''} (log: {child.command.log})"


def last_error(log: Path, start: int) -> str:
    """Return the last error that was logged from byte `start` on, else the last line; empty if there is none."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(start, end - TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    except OSError:
        return ""
    lines = [line for line in lines if line]
    loud = next((text for line in reversed(lines) if (text := _loud(line))), None)
    text = loud or (lines[-1] if lines else "")
    return text if len(text) <= LINE_CHARS else text[: LINE_CHARS - 1] + "…"


def _loud(line: str) -> str | None:
    """Return `code: message` of a JSON log line of level error or above."""
    if not line.startswith("{"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if str(entry.get("level", "")).lower() not in _LOUD:
        return None
    message = str(entry.get("message") or entry.get("event") or entry.get("error") or line)
    code = entry.get("code")
    return f"{code}: {message}" if code and str(code) not in message else message


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
