"""`trade backtest`: load recorded data, run a strategy through the real core, show the figures, write the report."""

import gc
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import typer

from orchestration.backtest_data import LAKE, DataError, Recorded, load
from orchestration.backtest_quotes import with_quotes
from orchestration.backtest_report import figures, lines, to_html
from orchestration.commands import configuration
from orchestration.commands.failure import EXIT_CONFIG, CommandError
from orchestration.commands.settle import open_lake
from streaming.adapters.lake import LakeError
from trading.amounts import AmountError
from trading.backtest.conventions import convention
from trading.backtest.engine import run_bars
from trading.backtest.result import Result
from trading.backtest.series import BacktestError
from trading.backtest.terms import Terms
from trading.backtest.ticks import run_ticks
from trading.routing.models import Models, Participation, PpmFee
from trading.strategies.catalog import StrategyError, make_strategy

Fills = Literal["next-open", "same-close", "bid-ask"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for. Absent parameters are the strategy's own; `half_spread` is in ticks."""

    strategy: str
    data: str
    quotes: str | None
    symbol: str | None
    interval: str
    fills: Fills
    parameters: Mapping[str, Any]
    cash: str
    fee_bps: float
    participation: float
    half_spread: int
    report: Path | None
    config: Path | None
    as_json: bool


def run(options: Options) -> int:
    """Run a backtest; return the exit code."""
    try:
        recorded = _recorded(options)
        result = _result(options, recorded)
    except (DataError, StrategyError, BacktestError, AmountError) as error:
        hint = getattr(error, "hint", "")
        raise CommandError(error.code, str(error), hint, exit_code=EXIT_CONFIG) from None
    except LakeError as error:
        raise CommandError(str(error.code), str(error)) from None
    title = f"{options.strategy} on {recorded.instrument.id}, {options.fills}"
    if options.report is not None:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(to_html(title, result, recorded.warnings))
    plain = {"strategy": options.strategy, "convention": options.fills} | figures(result)
    if options.as_json:
        typer.echo(json.dumps(plain | {"warnings": list(recorded.warnings)}))
        return 0
    for warning in recorded.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for name, text in lines(plain):
        typer.echo(f"{name:<16} {text:>24}")
    if options.report is not None:
        typer.echo(f"report: {options.report}")
    return 0


def _recorded(options: Options) -> Recorded:
    settings = configuration.read(options.config)
    lake = open_lake(settings.home) if options.data == LAKE else None
    return load(options.data, options.symbol, options.interval, settings.instrument_table(), lake)


def _result(options: Options, recorded: Recorded) -> Result:
    fee_ppm = round(options.fee_bps * 100)
    if options.quotes and (options.fills != "bid-ask" or recorded.trades is None):
        raise DataError("QUOTES_NOT_USED", "quotes fill orders of --fills bid-ask on trades only")
    half_spread = options.half_spread * recorded.instrument.tick
    terms = Terms(
        cash=options.cash,
        convention=convention(options.fills, half_spread),
        models=Models(
            fill=Participation(round(options.participation * 10_000)),
            fees=PpmFee(maker_ppm=fee_ppm, taker_ppm=fee_ppm),
        ),
        half_spread=half_spread,
    )
    given = {name: value for name, value in options.parameters.items() if value is not None}
    strategy = make_strategy(options.strategy, given | {"instrument": recorded.instrument.id})
    # As in the order worker: most objects of the core need no collector.
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    try:
        if options.fills == "bid-ask" and recorded.trades is not None:
            messages = with_quotes(recorded, options.quotes) if options.quotes else recorded.messages()
            return run_ticks(strategy, options.strategy, messages, recorded.instrument, terms)
        return run_bars(strategy, options.strategy, recorded.bars, recorded.instrument, terms)
    finally:
        gc.set_threshold(*before)
