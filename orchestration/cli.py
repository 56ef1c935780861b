"""The command line `trade`. Each command imports what it needs when it runs, so that `--help` answers at once."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.failure import CommandError

app = typer.Typer(
    name="trade",
    help="A trading platform for one desk: market data in, orders out, every step visible in Dagster.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
Config = Annotated[Path | None, typer.Option(help="Settings file; ./trade.toml if there is one.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


class Bench(StrEnum):
    """The benchmark programs."""

    TICKS = "ticks"
    BARS = "bars"
    SINK = "sink"
    TRANSPORT = "transport"
    NORMALIZE = "normalize"
    BACKTEST = "backtest"


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"trade {version('trade2026')}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    pass


@app.command()
def up(
    feed: Annotated[str | None, typer.Option(help="sim, or replay:FILE (Parquet or CSV of ticks).")] = None,
    for_s: Annotated[float | None, typer.Option("--for", min=0.1, help="Stop after S seconds, or drained.")] = None,
    report: Annotated[Path | None, typer.Option(help="With --for: write counts that reconcile to this file.")] = None,
    config: Config = None,
    broker: Annotated[str | None, typer.Option(help="log:// (one process) or kafka://HOST:PORT.")] = None,
    dagster: Annotated[bool | None, typer.Option(help="Start Dagster; by default yes, and no with --for.")] = None,
    as_json: Json = False,
) -> None:
    """Start the platform here and stop it cleanly on Ctrl-C."""
    from orchestration.commands import start

    raise typer.Exit(start.run(start.Options(feed, for_s, report, config, broker, dagster, as_json)))


@app.command()
def worker(
    roles: Annotated[list[str] | None, typer.Argument(help="Roles to run; all of them if none is named.")] = None,
    config: Config = None,
) -> None:
    """Run streaming roles in this process, without Dagster."""
    from orchestration.commands import programs

    programs.worker(roles or [], config)


@app.command()
def status(config: Config = None, as_json: Json = False) -> None:
    """Show what the running platform does, or how the last run ended."""
    from orchestration.commands import status as command

    raise typer.Exit(command.run(config, as_json))


@app.command(context_settings=PASS_THROUGH)
def bench(name: Bench, context: typer.Context) -> None:
    """Run a benchmark; further arguments go to it (try --help after the name)."""
    from orchestration.commands import programs

    programs.bench(name.value, context.args)


def main() -> None:
    """Run the command line; a failure is one line on stderr and an exit code."""
    try:
        app(prog_name="trade")
    except CommandError as failure:
        typer.echo(str(failure), err=True)
        sys.exit(failure.exit_code)
