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
Account = Annotated[str | None, typer.Option(help="Account; the first one if none is named.")]


class Bench(StrEnum):
    """The benchmark programs."""

    TICKS = "ticks"
    BARS = "bars"
    SINK = "sink"
    TRANSPORT = "transport"
    NORMALIZE = "normalize"
    CORE = "core"
    RISK = "risk"
    BACKTEST = "backtest"
    ORDERS = "orders"
    RECOVERY = "recovery"
    TAKEOVER = "takeover"


class Trader(StrEnum):
    """The strategies."""

    SMA = "sma"
    REVERSION = "reversion"


class Side(StrEnum):
    """The sides of an order."""

    BUY = "buy"
    SELL = "sell"


class Lifetime(StrEnum):
    """How long an order stands."""

    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class Shown(StrEnum):
    """Which orders to list."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


class Fills(StrEnum):
    """The fill conventions of a backtest."""

    NEXT_OPEN = "next-open"
    SAME_CLOSE = "same-close"
    BID_ASK = "bid-ask"


class Interval(StrEnum):
    """The lengths of bars."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    H1 = "1h"
    D1 = "1d"


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
    roles: Annotated[list[str] | None, typer.Argument(help="Roles to run; market data if none is named.")] = None,
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


@app.command()
def order(
    side: Annotated[Side, typer.Argument(help="buy or sell.")],
    symbol: Annotated[str, typer.Argument(help="For example BTC/USD.")],
    qty: Annotated[str, typer.Argument(help="In whole units, such as 0.01.")],
    limit: Annotated[str | None, typer.Option(help="Limit price; without one a market order.")] = None,
    stop: Annotated[str | None, typer.Option(help="Stop price.")] = None,
    tif: Annotated[Lifetime, typer.Option(help="How long it stands.")] = Lifetime.GTC,
    client_id: Annotated[str | None, typer.Option("--id", help="Your own id; the same one is one order.")] = None,
    account: Account = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Send one order to the running platform."""
    from orchestration.commands import desk

    kind = {(False, False): "market", (True, False): "limit", (False, True): "stop", (True, True): "stop_limit"}
    wish = {
        "symbol": symbol,
        "qty": qty,
        "side": side.value,
        "type": kind[limit is not None, stop is not None],
        "time_in_force": tif.value,
        "limit_price": limit,
        "stop_price": stop,
        "client_order_id": client_id,
    }
    raise typer.Exit(desk.order(desk.Where(config, account, as_json), wish))


@app.command()
def orders(
    status: Annotated[Shown, typer.Option(help="Which ones.")] = Shown.OPEN,
    account: Account = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show the newest orders of an account."""
    from orchestration.commands import desk

    raise typer.Exit(desk.orders(desk.Where(config, account, as_json), status.value))


@app.command()
def why(
    order: Annotated[str, typer.Argument(metavar="ID", help="Id of the order, or the one its client gave it.")],
    account: Account = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tell the whole story of an order: what the gate saw, each journal record and its hash, fills."""
    from orchestration.commands import desk

    raise typer.Exit(desk.why(desk.Where(config, account, as_json), order))


@app.command()
def kill(
    reason: Annotated[str, typer.Option(help="Goes on record.")] = "",
    keep_open: Annotated[bool, typer.Option("--keep-open", help="Do not cancel what is open.")] = False,
    lift: Annotated[bool, typer.Option("--lift", help="Lift it, with the second administrator's key.")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Pull the kill switch: no new order passes, and open ones are cancelled."""
    from orchestration.commands import desk

    raise typer.Exit(desk.kill(desk.Where(config, None, as_json), reason, cancel_open=not keep_open, lift=lift))


@app.command()
def backtest(
    strategy: Annotated[Trader, typer.Argument(help="The strategy to run.")],
    data: Annotated[str, typer.Option(help="Parquet file of bars or trades, or lake for its clean bars.")],
    quotes: Annotated[str | None, typer.Option(help="bid-ask on trades: Parquet file of quotes to fill at.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Which symbol, where the data holds more than one.")] = None,
    interval: Annotated[Interval, typer.Option(help="Bars to make of trades, or to read from the lake.")] = Interval.M1,
    fills: Annotated[Fills, typer.Option(help="Where a market order of a bar's close trades.")] = Fills.NEXT_OPEN,
    fast: Annotated[int | None, typer.Option(help="sma: bars of the fast average.")] = None,
    slow: Annotated[int | None, typer.Option(help="sma: bars of the slow average.")] = None,
    window: Annotated[int | None, typer.Option(help="reversion: bars of the average.")] = None,
    entry_z: Annotated[
        float | None, typer.Option(min=0.01, max=1_000.0, help="reversion: entry in standard deviations.")
    ] = None,
    qty: Annotated[str | None, typer.Option(help="Size of a position in whole units.")] = None,
    short: Annotated[bool, typer.Option("--short", help="Take short positions too.")] = False,
    cash: Annotated[str, typer.Option(help="Cash at the start.")] = "1000000",
    fee_bps: Annotated[
        float, typer.Option(min=-10_000.0, max=10_000.0, help="Fee of a fill in basis points of its value.")
    ] = 10.0,
    participation: Annotated[float, typer.Option(min=0.0001, max=1.0, help="Share of the volume that is ours.")] = 1.0,
    half_spread: Annotated[int, typer.Option(min=0, help="bid-ask without quotes: half spread in ticks.")] = 1,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report to this file.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Run a strategy over recorded bars or trades, through the same risk gate and venue as live."""
    from orchestration.commands import backtest as command

    entry = None if entry_z is None else round(entry_z * 100)
    own = {
        "fast": fast,
        "slow": slow,
        "window": window,
        "entry_z_hundredths": entry,
        "qty": qty,
        "short": short or None,
    }
    options = command.Options(
        strategy=strategy.value,
        data=data,
        quotes=quotes,
        symbol=symbol,
        interval=interval.value,
        fills=fills.value,
        parameters=own | {"short": short or None},
        cash=cash,
        fee_bps=fee_bps,
        participation=participation,
        half_spread=half_spread,
        report=report,
        config=config,
        as_json=as_json,
    )
    raise typer.Exit(command.run(options))


@app.command()
def gate(
    url: Annotated[str | None, typer.Option(help="A running platform (its data folder is TRADE_HOME).")] = None,
    rate: Annotated[float, typer.Option(min=1.0, help="Requests a second of the load test.")] = 1_000.0,
    seconds: Annotated[float, typer.Option(min=0.5, help="Length of the load test; the bar is for 300.")] = 10.0,
    config: Config = None,
    broker: Annotated[str | None, typer.Option(help="Of a platform of its own: log:// or kafka://HOST:PORT.")] = None,
    as_json: Json = False,
) -> None:
    """Check every part, follow an order through all, load them, audit them: PROCEED (exit 0) or STOP (exit 1)."""
    from orchestration.commands import gate as command

    raise typer.Exit(command.run(command.Options(url, rate, seconds, config, broker, as_json)))


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
