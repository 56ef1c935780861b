"""`trade status`: the status of the running platform, or what it left when it stopped."""

import json
from pathlib import Path

import typer

from orchestration.commands import overview
from orchestration.commands.configuration import read
from orchestration.commands.failure import EXIT_FAILED
from orchestration.commands.view import figures


def run(config: Path | None, as_json: bool) -> int:
    """Print the status; return 0 if a worker answers and is well, else 1."""
    settings = read(config)
    home = settings.home.absolute()
    addresses = overview.running(home) or [(settings.http.host, settings.http.port)]
    host, port = addresses[0]
    page = overview.fetch(addresses) if port else None
    live = page is not None
    page = page or overview.last(home)
    if as_json:
        typer.echo(
            json.dumps({"running": live, "address": f"http://{host}:{port}", "page": page.raw if page else None})
        )
    elif page is None:
        typer.echo(f"nothing runs at http://{host}:{port}, and {home} has no status of an earlier run; try `trade up`")
    else:
        typer.echo(f"running at http://{host}:{port}" if live else "not running; the last run ended like this:")
        for name, value in figures(page).items():
            typer.echo(f"  {name:<18} {value}")
    return 0 if live and page is not None and page.error is None else EXIT_FAILED
