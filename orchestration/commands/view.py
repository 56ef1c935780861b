"""How `trade up` shows itself: a live table on a terminal, plain lines elsewhere, JSON lines for programs."""

import json
import sys
from collections.abc import Mapping
from typing import Any, Protocol

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from orchestration.commands.page import Page

PLAIN_EVERY = 10


class View(Protocol):
    """Where `trade up` reports to."""

    def note(self, text: str, **facts: Any) -> None:
        """Say one thing that happened."""

    def addresses(self, pages: Mapping[str, str]) -> None:
        """Say where to look."""

    def refresh(self, page: Page | None) -> None:
        """Show the status."""

    def close(self) -> None:
        """Give the terminal back."""


class PlainView:
    """One line for each event and one for each few seconds of status."""

    def __init__(self) -> None:
        self._turn = 0

    def note(self, text: str, **_: Any) -> None:
        """Print the text."""
        typer.echo(text)

    def addresses(self, pages: Mapping[str, str]) -> None:
        """Print one address a line."""
        for name, url in pages.items():
            typer.echo(f"{name:<8} {url}")

    def refresh(self, page: Page | None) -> None:
        """Print the status as one line, every few seconds."""
        self._turn += 1
        if page is None or self._turn % PLAIN_EVERY:
            return
        parts = [f"{name} {value}" for name, value in figures(page).items()]
        typer.echo("  ".join(parts))

    def close(self) -> None:
        """Do nothing: lines stay."""


class JsonView:
    """One JSON object a line: notes, addresses, status pages."""

    def note(self, text: str, **facts: Any) -> None:
        """Print {"event": "note"}."""
        typer.echo(json.dumps({"event": "note", "text": text} | facts))

    def addresses(self, pages: Mapping[str, str]) -> None:
        """Print {"event": "addresses"}."""
        typer.echo(json.dumps({"event": "addresses", "pages": dict(pages)}))

    def refresh(self, page: Page | None) -> None:
        """Print {"event": "status"} with the worker's page."""
        if page is not None:
            typer.echo(json.dumps({"event": "status", "page": page.raw}))

    def close(self) -> None:
        """Do nothing."""


class LiveView:
    """A table that is drawn again each second, with the events above it."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()

    def note(self, text: str, **_: Any) -> None:
        """Print above the table."""
        self._live.console.print(text, markup=False, highlight=False)

    def addresses(self, pages: Mapping[str, str]) -> None:
        """Print above the table, as links."""
        for name, url in pages.items():
            self._live.console.print(f"[bold]{name:<8}[/] [link={url}]{url}[/link]", highlight=False)

    def refresh(self, page: Page | None) -> None:
        """Draw the table."""
        rows = figures(page) if page is not None else {"state": "starting"}
        table = Table(show_header=False, title="trade up - Ctrl-C stops cleanly", title_justify="left", min_width=48)
        table.add_column(style="cyan", no_wrap=True)
        table.add_column()
        for name, value in rows.items():
            table.add_row(name, value)
        share = page.fraction if page is not None else None
        bar = [ProgressBar(total=1.0, completed=share, width=60)] if share is not None else []
        self._live.update(Group(table, *bar), refresh=True)

    def close(self) -> None:
        """Leave the last table on the screen."""
        self._live.stop()


def choose(as_json: bool, plain: bool) -> View:
    """Return the view for this terminal."""
    if as_json:
        return JsonView()
    if plain or not sys.stdout.isatty():
        return PlainView()
    return LiveView(Console())


def figures(page: Page) -> dict[str, str]:
    """Return what people look at, name -> text."""
    feed = page.feed
    done = f", {page.fraction:.1%} delivered" if page.fraction is not None else ""
    rows = {
        "state": page.state if page.error is None else f"{page.state}: {page.error}",
        "feed": f"{feed.get('name', '-')} ({feed.get('venue', '-')}){done}",
        "ticks": f"{page.ticks:,}",
        "ticks/s": f"{float(page.raw.get('ticks_per_s') or 0):,.0f}",
    }
    rows |= {f"lag {name}": f"{lag:,}" for name, lag in page.lags.items()}
    rows |= {f"rows {name.removeprefix('sink-')}": f"{count:,}" for name, count in page.table_rows.items()}
    return rows | {"dead letters": f"{page.dead_letters:,}"}
