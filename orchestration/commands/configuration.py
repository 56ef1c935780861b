"""The settings of a command: `--config` (or ./trade.toml), the environment, then what the command line says."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orchestration.commands.failure import EXIT_CONFIG, CommandError
from streaming.settings import ConfigError, Settings, load

DEFAULT_FILE = Path("trade.toml")
_REPLAY = "replay:"


def read(config: Path | None = None, overrides: Mapping[str, str] | None = None) -> Settings:
    """Return the settings; `overrides` are `TRADE_*` variables. A mistake is a `CommandError` with exit code 78."""
    path = config_file(config)
    try:
        with _variables(overrides or {}):
            return load(path)
    except ConfigError as error:
        raise CommandError("CONFIG_REFUSED", str(error), exit_code=EXIT_CONFIG) from None


def config_file(config: Path | None) -> Path | None:
    """Return the file to read: the one named, else ./trade.toml if there is one."""
    if config is not None:
        return config.absolute()
    return DEFAULT_FILE.absolute() if DEFAULT_FILE.exists() else None


def feed_source(source: str) -> str:
    """Return the feed with its file or folder made absolute, its options kept; refuse what does not exist."""
    if not source.startswith(_REPLAY):
        return source
    text, mark, options = source.removeprefix(_REPLAY).partition("?")
    path = Path(text).expanduser().resolve()
    if not path.exists():
        raise CommandError("CONFIG_REFUSED", f"feed.source: no such file or folder: {path}", exit_code=EXIT_CONFIG)
    return f"{_REPLAY}{path}{mark}{options}"


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
