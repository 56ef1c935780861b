"""The app factory sets every switch that keeps Faust's traps closed, and never takes Faust's own driver."""

from pathlib import Path
from typing import Any

import pytest
from faust.contrib.asgi import faust_app_running
from faust.types.enums import ProcessingGuarantee
from mode.supervisors import CrashingSupervisor

from streaming import topics
from streaming.app import QuietMonitor, RoleApp, make_app
from streaming.flow import FlowContext
from streaming.settings import Settings
from streaming.transport.connect import connect
from streaming.transport.log import Transport as LogTransport
from tests.streaming.poll import until
from tests.streaming.probe_flow import FLOW, TOPIC
from tests.streaming.worker_process import lines


def test_the_switches(tmp_path: Path) -> None:
    app = make_app("normalize", Settings(home=tmp_path))
    conf: Any = app.conf
    assert conf.id == "normalize"
    assert conf.processing_guarantee is ProcessingGuarantee.AT_LEAST_ONCE
    assert conf.agent_supervisor is CrashingSupervisor
    assert (conf.table_standby_replicas, conf.stream_wait_empty, conf.stream_buffer_maxsize) == (0, False, 65_536)
    assert (conf.broker_commit_interval, conf.broker_max_poll_records) == (1.0, 1_000)
    assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (10.0, 0.25)
    assert conf.consumer_auto_offset_reset == "earliest"
    assert (conf.key_serializer, conf.value_serializer) == ("raw", "raw")
    assert conf.topic_disable_leader
    assert not conf.topic_allow_declare
    assert not conf.web_enabled
    assert conf.autodiscover is False
    assert isinstance(app.monitor, QuietMonitor)


@pytest.mark.parametrize(
    ("broker", "module"), [("log://", "streaming.transport.log"), ("kafka://k1:9092", "streaming.transport.kafka")]
)
def test_the_transport_is_ours_on_both_brokers(tmp_path: Path, broker: str, module: str) -> None:
    pytest.importorskip(module, reason="this transport is not part of the build")
    app = make_app("normalize", Settings(home=tmp_path, broker=broker))
    assert type(app.transport).__module__ == module
    assert type(app.producer_transport).__module__ == module


def test_nothing_is_made_before_the_start(tmp_path: Path) -> None:
    make_app("normalize", Settings(home=tmp_path / "none"))
    assert not (tmp_path / "none").exists()


async def test_no_topic_is_created_by_an_app(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    client = connect(settings.broker_url)
    await client.start()
    await topics.create(client, settings, [TOPIC])
    before = sorted(path.name for path in (tmp_path / "log" / "topics").iterdir())
    async with faust_app_running(make_app("probe", settings)):
        pass
    assert sorted(path.name for path in (tmp_path / "log" / "topics").iterdir()) == before
    await client.stop()


async def test_a_role_consumes_commits_and_stops(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    client = connect(settings.broker_url)
    await client.start()
    await topics.create(client, settings, [TOPIC])
    await client.append(TOPIC, 0, [(None, b"a"), (None, b"b")])
    role = RoleApp(FLOW, FlowContext(settings, tmp_path, client))
    assert not role.ready
    await role.start()
    await until(lambda: role.ready)
    assert role.guard.partitions == {0}
    await role.guard.drain({0: 2})
    await role.commit()
    assert role.failure is None
    await role.stop()
    assert await client.committed("probe", TOPIC, 0) == 2
    assert lines(tmp_path) == ["0 a", "1 b"]
    assert isinstance(make_app("x", settings).transport, LogTransport)
    await client.stop()
