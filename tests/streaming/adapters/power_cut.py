"""A disk that remembers what was synced, and can show what would be left after a power cut."""

from pathlib import Path

from streaming.adapters.lake import Disk


class PowerCutDisk(Disk):
    """Keeps the content of each file and the names in each folder as they were at their last sync."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._content: dict[Path, bytes] = {}
        self._names: dict[Path, set[str]] = {}

    def sync(self, path: Path) -> None:
        """Sync, and remember."""
        super().sync(path)
        if path.is_dir():
            self._names[path] = {child.name for child in path.iterdir()}
        else:
            self._content[path] = path.read_bytes()

    def leave(self, target: Path, *, names_are_early: bool) -> None:
        """Write what is left under `target`. Names may reach the disk before a sync; content then is empty."""
        self._leave(self._root, target, names_are_early)

    def _leave(self, folder: Path, target: Path, names_are_early: bool) -> None:
        target.mkdir(parents=True)
        names = {child.name for child in folder.iterdir()} if names_are_early else self._names.get(folder, set())
        for name in names:
            path = folder / name
            if path.is_dir():
                self._leave(path, target / name, names_are_early)
            elif path in self._content or path.exists():
                (target / name).write_bytes(self._content.get(path, b""))
