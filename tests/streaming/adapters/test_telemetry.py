"""Logs are JSON lines with secrets hidden, and never block; metrics come from the status page and from observations."""

import io
import json
import logging
import queue
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from streaming.adapters.telemetry import HISTOGRAMS, BoundedHandler, Metrics, start_logging

PAGE: dict[str, Any] = {
    "state": "ready",
    "feed": {"name": "sim", "frames": 4, "ticks": 40},
    "topics": {"ticks": {"0": {"begin": 0, "end": 12}}},
    "groups": {"sink-ticks": {"topic": "ticks", "committed": {"0": 9}, "lag": 3}},
    "flows": {
        "normalize": {
            "0": {
                "ticks_in": 10,
                "ticks_out": 7,
                "rejected": 2,
                "duplicates": 1,
                "codes": {"NAN": 2},
                "latency_ms": {"bounds": [1, 5], "counts": [3, 1, 2], "sum": 20.0},
            }
        },
        "sink-ticks": {"1": {"rows": 7, "pending_rows": 2, "waiting": {"code": "DISK_FULL"}, "retries": 5}},
    },
    "disk": {"free_bytes": 5, "total_bytes": 100},
    "ticks_per_s": 12.5,
    "last_tick_ts_ns": 2_000_000_000,
}


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    level = root.level
    yield stream
    root.setLevel(level)
    structlog.reset_defaults()


def read(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_time_level_event_and_what_is_bound(out: io.StringIO) -> None:
    stop = start_logging(out)
    with structlog.contextvars.bound_contextvars(role="normalize", partition=1):
        structlog.get_logger("x").warning("late", offset=7)
    stop()
    line = read(out)[0]
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "warning",
        "event": "late",
        "logger": "x",
        "role": "normalize",
        "partition": 1,
        "offset": 7,
    }


def test_secrets_are_hidden_nested_ones_too(out: io.StringIO) -> None:
    stop = start_logging(out)
    structlog.get_logger("x").info("e", api_key="K1", venue={"Password": "K2", "name": "n"}, list=[{"token": "K3"}])
    stop()
    assert not any(secret in out.getvalue() for secret in ("K1", "K2", "K3"))
    assert read(out)[0]["venue"] == {"Password": "***", "name": "n"}


def test_an_exception_is_one_line(out: io.StringIO) -> None:
    stop = start_logging(out)
    try:
        raise ValueError("boom")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    stop()
    assert "ValueError: boom" in read(out)[0]["exception"]


def test_libraries_log_as_json_and_quietly(out: io.StringIO) -> None:
    stop = start_logging(out)
    logging.getLogger("aiokafka.consumer").info("chatter")
    logging.getLogger("streaming.app").info("[^App]: Starting...")
    logging.getLogger("aiokafka.consumer").error("lost %s", "it")
    stop()
    assert [line["event"] for line in read(out)] == ["lost it"]


def test_a_full_queue_drops_and_counts() -> None:
    handler = BoundedHandler(queue.Queue(2))
    for _ in range(5):
        handler.handle(logging.makeLogRecord({"msg": "x"}))
    assert handler.dropped == 3


def test_the_status_becomes_metrics() -> None:
    text = Metrics(lambda: PAGE).render().decode()
    for line in (
        'trade_ticks_total{partition="0",role="normalize",stage="in"} 10.0',
        'trade_ticks_total{partition="0",role="normalize",stage="rejected"} 2.0',
        'trade_dead_letters_total{code="NAN",partition="0",role="normalize"} 2.0',
        'trade_rows_total{partition="1",role="sink-ticks"} 7.0',
        'trade_retries_total{partition="1",role="sink-ticks"} 5.0',
        'trade_waiting{code="DISK_FULL",partition="1",role="sink-ticks"} 1.0',
        'trade_lag_records{group="sink-ticks",topic="ticks"} 3.0',
        'trade_topic_end_offset{partition="0",topic="ticks"} 12.0',
        'trade_feed_ticks_total{feed="sim"} 40.0',
        "trade_ticks_per_second 12.5",
        "trade_last_tick_timestamp_seconds 2.0",
        "trade_disk_free_bytes 5.0",
        "trade_disk_total_bytes 100.0",
        'trade_state{state="ready"} 1.0',
        'trade_latency_seconds_bucket{le="0.001",partition="0",role="normalize"} 3.0',
        'trade_latency_seconds_bucket{le="+Inf",partition="0",role="normalize"} 6.0',
        'trade_latency_seconds_sum{partition="0",role="normalize"} 0.02',
        "process_resident_memory_bytes",
    ):
        assert line in text, line


def test_an_empty_status_renders() -> None:
    assert "trade_state" in Metrics(dict).render().decode()


def test_observations_have_buckets_from_a_tenth_of_a_millisecond() -> None:
    metrics = Metrics(dict)
    observe = metrics.observer("sink-ticks")
    for name in HISTOGRAMS:
        observe(name, 0.0002)
    text = metrics.render().decode()
    assert 'trade_commit_seconds_bucket{le="0.0001",role="sink-ticks"} 0.0' in text
    assert 'trade_commit_seconds_bucket{le="0.00025",role="sink-ticks"} 1.0' in text
    with pytest.raises(KeyError):
        observe("other", 1.0)


def test_the_audit_and_the_state_of_a_partition_are_metrics() -> None:
    stats = {"owned": True, "audit_differences": 2, "commands": 7, "repeated": 1, "lost": 3}
    page = Metrics(lambda: {"flows": {"orders": {"0": stats}}}).render().decode()
    assert 'trade_audit_differences{partition="0",role="orders"} 2.0' in page
    assert 'trade_partition_owned{partition="0",role="orders"} 1.0' in page
    assert 'trade_commands_total{outcome="repeated",partition="0",role="orders"} 1.0' in page
    assert 'trade_partitions_lost_total{partition="0",role="orders"} 3.0' in page


def test_the_gateway_its_doubts_and_the_kill_switch_are_metrics() -> None:
    reconciled = {"passes": 2, "open": {"ORDER_STRANGE": 1}, "mended": {"FILL_MISSING": 3}}
    route = {"sent": 5, "unknown": 1, "in_doubt": 2, "venue": {"connected": False}, "reconciled": reconciled}
    flows = {"route": {"0": route}, "orders": {"0": {"killed": True}}, "sink-fills": {"0": {"dead_letters": 4}}}
    page = Metrics(lambda: {"flows": flows}).render().decode()
    for line in (
        'trade_kill_switch{partition="0",role="orders"} 1.0',
        'trade_orders_in_doubt{partition="0",role="route"} 2.0',
        'trade_venue_connected{partition="0",role="route"} 0.0',
        'trade_venue_requests_total{outcome="unknown",partition="0",role="route"} 1.0',
        'trade_reconcile_differences_total{code="ORDER_STRANGE",outcome="open",partition="0",role="route"} 1.0',
        'trade_reconcile_differences_total{code="FILL_MISSING",outcome="mended",partition="0",role="route"} 3.0',
        'trade_sink_dead_letters_total{partition="0",role="sink-fills"} 4.0',
    ):
        assert line in page, line
