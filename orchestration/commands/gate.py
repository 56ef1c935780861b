"""`trade gate`: check the parts, follow an order through them, load them, audit them; say PROCEED or STOP."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer

from orchestration.checks import Finding
from orchestration.commands import configuration, overview
from orchestration.commands.failure import EXIT_CONFIG, EXIT_FAILED, CommandError
from orchestration.gate import latency, place
from orchestration.gate.components import components, guarded
from orchestration.gate.flow import trading_flow
from orchestration.gate.load import journal_audit, lake_audit, load
from orchestration.gate.site import Site, read_keys
from streaming.settings import Settings

PROCEED, STOP = "PROCEED", "STOP"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    url: str | None = None
    rate: float = 1_000.0
    seconds: float = 10.0
    config: Path | None = None
    broker: str | None = None
    as_json: bool = False


@dataclass
class Report:
    """What was found, stage by stage."""

    stages: dict[str, list[Finding]]

    @property
    def verdict(self) -> str:
        """Return PROCEED if there are findings and all have passed."""
        findings = [finding for stage in self.stages.values() for finding in stage]
        return PROCEED if findings and all(finding.passed for finding in findings) else STOP

    def plain(self) -> dict[str, Any]:
        """Return the report as plain data."""
        stages = {name: [asdict(finding) for finding in findings] for name, findings in self.stages.items()}
        return {"verdict": self.verdict, "stages": stages}


def run(options: Options) -> int:
    """Run the gate; return 0 for PROCEED, 1 for STOP."""
    asked = {"TRADE_BROKER": options.broker} if options.broker is not None else {}
    settings = configuration.read(options.config, asked)
    began = time.monotonic()
    with _site(options, settings) as (site, own):
        report = judge(site, settings, options, own)
    whole = report.plain() | {"run_s": round(time.monotonic() - began, 1), "url": options.url}
    typer.echo(json.dumps(whole) if options.as_json else in_words(report))
    return 0 if report.verdict == PROCEED else EXIT_FAILED


def judge(site: Site, settings: Settings, options: Options, own: place.Own | None) -> Report:
    """Return all findings; a stage that fails ends the gate, for what comes after would prove nothing."""
    report = Report({"components": components(site, settings)})
    if report.verdict == STOP:
        return report
    report.stages["flow"] = trading_flow(site)
    if report.verdict == STOP:
        return report
    before = latency.scrape(site)
    report.stages["load"] = load(site, options.rate, options.seconds, keep=own is not None)
    report.stages["latency"] = latency.latencies(before, latency.scrape(site))
    report.stages["audit"] = [journal_audit(site), lake_audit(site)]
    if own is not None:
        report.stages["stop"] = [guarded("no_restart", lambda: _restarts(own.restarts())), _stopped(own)]
    return report


def _restarts(found: Mapping[str, int]) -> Finding:
    again = {name: count for name, count in found.items() if count}
    told = ", ".join(f"{name} {count} times" for name, count in again.items())
    message = f"crashed and started again: {told}" if again else f"{len(found)} process(es), none has crashed"
    return Finding("no_restart", not again, message, {"restarts": sum(found.values())})


def _stopped(own: place.Own) -> Finding:
    code = own.stop()
    return Finding("clean_stop", code == 0, f"the platform ended with exit code {code}")


def in_words(report: Report) -> str:
    """Return the report for people."""
    lines = []
    for stage, findings in report.stages.items():
        lines.append(stage)
        lines += [f"  {'pass' if each.passed else 'FAIL'}  {each.name:<13} {each.message}" for each in findings]
    failed = [each.name for findings in report.stages.values() for each in findings if not each.passed]
    reasons = f": {', '.join(failed)}" if failed else ""
    return "\n".join([*lines, report.verdict + reasons])


@contextmanager
def _site(options: Options, settings: Settings) -> Iterator[tuple[Site, place.Own | None]]:
    if options.url is None:
        with place.platform(settings.broker, configuration.config_file(options.config)) as own:
            yield own.site, own
        return
    parts = urlsplit(options.url)
    if parts.scheme != "http" or not parts.hostname:
        raise CommandError("CONFIG_REFUSED", f"--url: want http://HOST:PORT, not {options.url}", exit_code=EXIT_CONFIG)
    home = settings.home.absolute()
    address, known = (parts.hostname, parts.port or 80), overview.running(home)
    beside = tuple(each for each in known if each != address) if address in known else ()
    yield Site(*address, home, read_keys(home), beside), None
