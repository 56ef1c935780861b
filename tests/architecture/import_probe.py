"""Run as a program: imports the modules named on stdin and prints, as JSON, what was loaded and what the imports did.

Effects of third-party libraries count only where they leave something behind: a thread, a socket, a file.
"""

import contextlib
import importlib
import io
import json
import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

SOCKETS = frozenset({"socket.connect", "socket.bind", "socket.__new__"})
# Libraries ask `uname` and the like while they load; that leaves nothing behind.
PROGRAMS = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"})
WRITING = os.O_WRONLY | os.O_RDWR


def main(root: str, names: list[str]) -> dict[str, list[str]]:
    """Import, watch, report."""
    did: list[str] = []
    watching = [True]

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if not watching[0]:
            return
        module = _ours(root) if event in SOCKETS | PROGRAMS else None
        if event in SOCKETS or module:
            did.append(f"{event} by {module or 'a library'}")
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            file = str(arguments[0])
            if file != os.devnull and "__pycache__" not in file and not file.endswith((".nbi", ".nbc")):
                did.append(f"wrote {file}")

    class Environment(type(os.environ)):  # type: ignore[misc]  # the class of os.environ has no public name
        def __getitem__(self, key: str) -> str:
            # Compiled libraries have no frame of their own; theirs are told by name.
            if watching[0] and not key.startswith("PYARROW_") and (module := _ours(root, depth=6)):
                did.append(f"{module} read the environment: {key}")
            return str(super().__getitem__(key))

    os.environ.__class__ = Environment
    sys.addaudithook(audit)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for name in names:
            before = threading.active_count()
            importlib.import_module(name)
            if threading.active_count() > before:
                did.append(f"{name} started a thread")
    watching[0] = False
    if printed.getvalue():
        did.append(f"printed {printed.getvalue()[:60]!r}")
    return {"did": did, "loaded": sorted({name.partition(".")[0] for name in sys.modules})}


def _ours(root: str, depth: int = 200) -> str | None:
    """Return the file of ours that is at work among the nearest `depth` frames; stop at a library's own module."""
    frame: FrameType | None = sys._getframe(2)
    for _ in range(depth):
        if frame is None:
            return None
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(root) and ".venv" not in file.parts and file != Path(__file__):
            return str(file.relative_to(root))
        if "site-packages" in file.parts:
            return None
        frame = frame.f_back
    return None


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    report = main(sys.argv[1], json.load(sys.stdin))
    sys.stdout.write(json.dumps(report))
