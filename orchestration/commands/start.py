"""`trade up` from its options to its exit code: settings, plan, run, and the report of a run with an end."""

from dataclasses import dataclass
from pathlib import Path

from orchestration.commands import configuration, overview, plan, up, view
from orchestration.commands.failure import EXIT_CONFIG, CommandError


@dataclass(frozen=True, slots=True)
class Options:
    """What the person asked for; None means as configured."""

    feed: str | None = None
    for_s: float | None = None
    report: Path | None = None
    config: Path | None = None
    broker: str | None = None
    dagster: bool | None = None
    as_json: bool = False


def run(options: Options) -> int:
    """Run the platform; return the exit code."""
    if options.report is not None and options.for_s is None:
        raise CommandError("CONFIG_REFUSED", "--report needs --for", "for example --for 60", exit_code=EXIT_CONFIG)
    asked = {"TRADE_FEED__SOURCE": options.feed, "TRADE_BROKER": options.broker}
    settings = configuration.read(options.config, {name: value for name, value in asked.items() if value is not None})
    if options.for_s is not None:
        # Nobody watches a run with an end, and another platform may have the ports.
        settings = settings.model_copy(update={"up": settings.up.model_copy(update={"port": 0, "market_port": 0})})
    home = settings.home.absolute()
    source = configuration.feed_source(settings.feed.source)
    with_dagster = options.for_s is None if options.dagster is None else options.dagster
    with up.holding(home):
        decided = plan.make(settings, configuration.config_file(options.config), source, settings.broker, with_dagster)
        if options.for_s is None:
            with overview.announced(home, decided.http, decided.addresses):
                return up.run(decided, view.choose(options.as_json, plain=False), None).exit_code
        return _run_with_an_end(home, decided, options, options.for_s)


def _run_with_an_end(home: Path, decided: plan.Plan, options: Options, for_s: float) -> int:
    from orchestration.commands import settle

    plan.prepare_dagster_home(home)
    before = settle.rows_by_day(home)
    with overview.announced(home, decided.http, decided.addresses):
        outcome = up.run(decided, view.choose(options.as_json, plain=True), for_s)
    if outcome.exit_code == EXIT_CONFIG:
        return EXIT_CONFIG
    return settle.settle(decided.settings, outcome, before, options.report, options.as_json)
