"""Logs and metrics of a process. Structured JSON logs with the role they belong to; neither ever blocks the caller.

Counters and gauges are read from the status page when they are scraped; only latencies are observed one by one.
"""

import logging
import logging.handlers
import queue
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TextIO

import structlog
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

LOG_QUEUE_RECORDS = 10_000
SECRET_WORDS = ("secret", "password", "token", "api_key", "apikey", "authorization", "private")
REDACTED = "***"
BUCKETS_S = (
    *(0.00001, 0.000025, 0.00005),
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
HISTOGRAMS = {
    "append_seconds": "Time of one append to the broker, acknowledged.",
    "commit_seconds": "Time of one commit to the lake, durable.",
    "decision_seconds": "Time of one decision on an order: the risk gate, the change of the state, the sealed record.",
    "durable_seconds": "From an order command to its durable record.",
    "feed_to_bar_seconds": "From the planned time of a tick to the acknowledgement of its bars.",
    "process_seconds": "Time of one batch of records in a processor.",
}
QUIET_LOGGERS = ("faust", "mode", "aiokafka", "kafka", "asyncio", "uvicorn", "websockets", "deltalake")

# What a processor counts: its key in stats(), the metric, and the labels that go with it.
_COUNTERS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("ticks_in", "trade_ticks", "Ticks by what became of them.", {"stage": "in"}),
    ("ticks_out", "trade_ticks", "", {"stage": "out"}),
    ("rejected", "trade_ticks", "", {"stage": "rejected"}),
    ("duplicates", "trade_ticks", "", {"stage": "duplicate"}),
    ("late", "trade_ticks", "", {"stage": "late"}),
    ("frames", "trade_frames", "Raw frames.", {"stage": "in"}),
    ("bad_frames", "trade_frames", "", {"stage": "bad"}),
    ("bars", "trade_bars", "Bars written, revisions included.", {"kind": "closed"}),
    ("revisions", "trade_bars", "", {"kind": "revision"}),
    ("rows", "trade_rows", "Rows written to the lake.", {}),
    ("commits", "trade_commits", "Commits to the lake.", {}),
    ("retries", "trade_retries", "Repeated durable effects.", {}),
    ("commands", "trade_commands", "Commands by what became of them.", {"outcome": "decided"}),
    ("repeated", "trade_commands", "", {"outcome": "repeated"}),
    ("records", "trade_journal_records", "Records put to the journal.", {}),
    ("take_overs", "trade_take_overs", "Times that a partition was taken over.", {}),
    ("lost", "trade_partitions_lost", "Times that a partition was lost by a refused or failed write.", {}),
    ("skipped", "trade_stale_records", "Journal records of an owner that was fenced off.", {}),
    ("snapshots", "trade_snapshots", "Snapshots of a partition.", {}),
    ("audits", "trade_audits", "Runs of the conservation audit.", {}),
    ("sent", "trade_venue_requests", "Requests to venues by what became of them.", {"outcome": "sent"}),
    ("denied", "trade_venue_requests", "", {"outcome": "denied"}),
    ("unknown", "trade_venue_requests", "", {"outcome": "unknown"}),
    ("cancel_alls", "trade_cancel_alls", "Times that everything was cancelled because the venue was gone.", {}),
    ("dead_letters", "trade_sink_dead_letters", "Records that a sink could not take.", {}),
)
_GAUGES = (
    ("pending_rows", "trade_pending_rows", "Rows that wait for their commit."),
    ("last_commit_ms", "trade_last_commit_ms", "Duration of the last commit to the lake."),
    ("version", "trade_table_version", "Version of the Delta table."),
    ("queued", "trade_queued_records", "Records that wait for their processor."),
    ("owned", "trade_partition_owned", "1 while the partition takes commands."),
    ("killed", "trade_kill_switch", "1 while the kill switch is pulled."),
    ("in_doubt", "trade_orders_in_doubt", "Orders whose outcome at the venue is unknown."),
    ("audit_differences", "trade_audit_differences", "What did not add up in the last conservation audit."),
    ("take_over_ms", "trade_take_over_ms", "Duration of the last take-over."),
    ("snapshot_stall_ms", "trade_snapshot_stall_ms", "How long the last snapshot held up the partition."),
)
_STATES = ("starting", "ready", "draining", "quiet", "stopped", "failed")


class BoundedHandler(logging.handlers.QueueHandler):
    """Hands log lines to a writer thread; a full queue drops the line and counts it."""

    dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a line without waiting."""
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """Leave out what Faust's services say about their own start and stop."""
    return record.levelno > logging.INFO or not str(record.msg).startswith("[^")


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide the values of keys that name a secret, nested ones too."""
    return {key: _hidden(key, value) for key, value in event.items()}


def start_logging(stream: TextIO | None = None, level: str = "INFO") -> Callable[[], None]:
    """Send all logs as JSON lines to `stream` (stderr); return what stops the writer after the last line."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.ExceptionRenderer(),
        redact,
    ]
    final: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.JSONRenderer(default=str),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    lines: queue.Queue[Any] = queue.Queue(LOG_QUEUE_RECORDS)
    handler = BoundedHandler(lines)
    handler.addFilter(is_worth_a_line)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=final, foreign_pre_chain=shared))
    writer = logging.handlers.QueueListener(lines, logging.StreamHandler(stream or sys.stderr))
    root = logging.getLogger()
    before, root.handlers = root.handlers, [handler]
    root.setLevel(level)
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    writer.start()

    def stop() -> None:
        if writer._thread is not None:
            writer.stop()
        root.handlers = before

    return stop


class Metrics:
    """The metrics of one process, in a registry of its own."""

    def __init__(self, status: Callable[[], Mapping[str, Any]]) -> None:
        self._registry = CollectorRegistry()
        self._histograms = {
            name: Histogram(f"trade_{name}", text, ["role"], registry=self._registry, buckets=BUCKETS_S)
            for name, text in HISTOGRAMS.items()
        }
        ProcessCollector(registry=self._registry)
        self._registry.register(_StatusCollector(status))

    def observer(self, role: str) -> Callable[[str, float], None]:
        """Return the `observe(name, seconds)` of a role; a name that is not in `HISTOGRAMS` is a KeyError."""
        children = {name: histogram.labels(role) for name, histogram in self._histograms.items()}

        def observe(name: str, value: float) -> None:
            children[name].observe(value)

        return observe

    def render(self) -> bytes:
        """Return the page in the Prometheus text format."""
        return generate_latest(self._registry)


class _StatusCollector(Collector):
    """Turns the newest status page into metrics."""

    def __init__(self, status: Callable[[], Mapping[str, Any]]) -> None:
        self._status = status

    def describe(self) -> Iterable[Metric]:
        """Describe nothing ahead: the status may not exist yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield everything that the status page counts."""
        status = self._status()
        state = GaugeMetricFamily("trade_state", "State of the process; the current one is 1.", labels=["state"])
        for name in _STATES:
            state.add_metric([name], float(status.get("state") == name))
        yield state
        yield from _flow_metrics(status.get("flows", {}))
        yield from _offset_metrics(status)
        yield from _feed_metrics(status)
        for key, value in (status.get("disk") or {}).items():
            yield GaugeMetricFamily(f"trade_disk_{key}", "Of the disk that TRADE_HOME is on.", value=value)


def _flow_metrics(flows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[Metric]:
    rows = [(role, number, stats) for role, lanes in flows.items() for number, stats in lanes.items()]
    families: dict[str, CounterMetricFamily] = {}
    for key, name, text, labels in _COUNTERS:
        names = ["role", "partition", *labels]
        family = families.setdefault(name, CounterMetricFamily(name, text or name, labels=names))
        for role, number, stats in rows:
            if isinstance(value := stats.get(key), int | float):
                family.add_metric([role, number, *labels.values()], value)
    yield from families.values()
    for key, name, text in _GAUGES:
        gauge = GaugeMetricFamily(name, text, labels=["role", "partition"])
        for role, number, stats in rows:
            if isinstance(value := stats.get(key), int | float):
                gauge.add_metric([role, number], value)
        yield gauge
    letters = CounterMetricFamily("trade_dead_letters", "Refused input by code.", labels=["role", "partition", "code"])
    waiting = GaugeMetricFamily(
        "trade_waiting", "1 while a durable effect is repeated.", labels=["role", "partition", "code"]
    )
    for role, number, stats in rows:
        for code, count in (stats.get("codes") or {}).items():
            letters.add_metric([role, number, str(code)], count)
        if wait := stats.get("waiting"):
            waiting.add_metric([role, number, str(wait["code"])], 1.0)
    yield letters
    yield waiting
    yield from _latency(rows)
    yield from _gateway(rows)


def _gateway(rows: Iterable[tuple[str, str, Mapping[str, Any]]]) -> Iterator[Metric]:
    connected = GaugeMetricFamily("trade_venue_connected", "1 while the venue answers.", labels=["role", "partition"])
    found = CounterMetricFamily(
        "trade_reconcile_differences",
        "Differences with the venue by what became of them.",
        labels=["role", "partition", "code", "outcome"],
    )
    for role, number, stats in rows:
        if "connected" in (venue := stats.get("venue") or {}):
            connected.add_metric([role, number], float(venue["connected"]))
        reconciled = stats.get("reconciled") or {}
        for outcome in ("mended", "open"):
            for code, count in (reconciled.get(outcome) or {}).items():
                found.add_metric([role, number, str(code), outcome], count)
    yield connected
    yield found


def _latency(rows: Iterable[tuple[str, str, Mapping[str, Any]]]) -> Iterator[Metric]:
    family = HistogramMetricFamily(
        "trade_latency_seconds", "Latency as a processor counts it itself.", labels=["role", "partition"]
    )
    for role, number, stats in rows:
        latency = stats.get("latency_ms")
        if not isinstance(latency, Mapping) or not latency.get("counts"):
            continue
        total, buckets = 0, []
        bounds = [str(bound / 1000) for bound in latency["bounds"]] + ["+Inf"]
        for bound, count in zip(bounds, latency["counts"], strict=False):
            total += count
            buckets.append((bound, float(total)))
        if buckets[-1][0] != "+Inf":
            buckets.append(("+Inf", float(total)))
        family.add_metric([role, number], buckets, latency.get("sum", 0.0) / 1000)
    yield family


def _offset_metrics(status: Mapping[str, Any]) -> Iterator[Metric]:
    lag = GaugeMetricFamily(
        "trade_lag_records", "Records that a consumer group has not let go.", labels=["group", "topic"]
    )
    for group, value in status.get("groups", {}).items():
        lag.add_metric([group, value["topic"]], value["lag"])
    yield lag
    end = GaugeMetricFamily(
        "trade_topic_end_offset", "Offset that the next record gets.", labels=["topic", "partition"]
    )
    for topic, partitions in status.get("topics", {}).items():
        for number, offsets in partitions.items():
            end.add_metric([topic, number], offsets["end"])
    yield end


def _feed_metrics(status: Mapping[str, Any]) -> Iterator[Metric]:
    feed = status.get("feed") or {}
    for key in ("frames", "ticks"):
        if key in feed:
            family = CounterMetricFamily(f"trade_feed_{key}", f"{key.capitalize()} from the feed.", labels=["feed"])
            family.add_metric([str(feed.get("name", ""))], feed[key])
            yield family
    if "drained" in feed:
        drained = GaugeMetricFamily("trade_feed_drained", "1 when a finite feed has ended.", labels=["feed"])
        drained.add_metric([str(feed.get("name", ""))], float(feed["drained"]))
        yield drained
    yield GaugeMetricFamily(
        "trade_ticks_per_second", "Ticks of the last seconds.", value=status.get("ticks_per_s") or 0.0
    )
    last = status.get("last_tick_ts_ns")
    if last:
        yield GaugeMetricFamily("trade_last_tick_timestamp_seconds", "Time of the newest tick.", value=last / 1e9)


def _hidden(key: object, value: Any) -> Any:
    if any(word in str(key).lower() for word in SECRET_WORDS):
        return REDACTED
    if isinstance(value, dict):
        return {inner: _hidden(inner, item) for inner, item in value.items()}
    return [_hidden("", item) for item in value] if isinstance(value, list) else value
