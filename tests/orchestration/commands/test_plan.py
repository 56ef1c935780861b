"""What `trade up` decides before it starts anything."""

import socket
from pathlib import Path

import pytest

from orchestration.commands.failure import CommandError
from orchestration.commands.plan import Plan, make, prepare_dagster_home
from streaming.settings import DagsterSettings, HttpSettings, Settings, UpSettings


def decide(home: Path, *, dagster: bool, http: int = 0, web: int = 0, up: int = 0) -> Plan:
    settings = Settings(
        home=home, http=HttpSettings(port=http), dagster=DagsterSettings(port=web), up=UpSettings(port=up)
    )
    return make(settings, None, "sim", "log://", dagster)


def test_port_0_becomes_a_real_port_that_the_worker_is_told(tmp_path: Path) -> None:
    plan = decide(tmp_path, dagster=False)
    (worker,) = plan.workers
    assert worker.http[1] > 0
    assert worker.command.env["TRADE_HTTP__PORT"] == str(worker.http[1])
    assert worker.command.env["TRADE_HOME"] == str(tmp_path)
    assert plan.dagster == ()
    assert set(plan.addresses) == {"status", "health", "metrics", "up"}


def test_on_kafka_the_orders_have_a_process_of_their_own_in_the_same_home(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, http=HttpSettings(port=0), up=UpSettings(port=0, market_port=0))
    plan = make(settings, tmp_path / "trade.toml", "sim", "kafka://127.0.0.1:9092", with_dagster=False)
    orders, market = (worker.command for worker in plan.workers)
    assert orders.argv[3:] == ("--roles", "orders", "--name", "orders", "--config", str(tmp_path / "trade.toml"))
    assert market.argv[3:] == ("--roles", "beside", "--config", str(tmp_path / "trade.toml"))
    assert orders.env["TRADE_HOME"] == market.env["TRADE_HOME"] == str(tmp_path)
    assert [worker.env["TRADE_HTTP__PORT"] for worker in (orders, market)] == [str(port) for _, port in plan.http]
    assert orders.log != market.log
    assert plan.addresses["status"] == f"http://127.0.0.1:{plan.http[0][1]}/status"
    assert plan.addresses["market"] == f"http://127.0.0.1:{plan.http[1][1]}/status"


def test_kafka_is_told_of_a_worker_that_died(tmp_path: Path) -> None:
    assert decide(tmp_path, dagster=False).evict is None
    up = UpSettings(port=0, market_port=0)
    settings = Settings(home=tmp_path, http=HttpSettings(port=0), dagster=DagsterSettings(port=0), up=up)
    for dagster in (False, True):
        evict = make(settings, None, "sim", "kafka://127.0.0.1:9092", dagster).evict
        assert evict is not None
        assert evict.argv[1:] == ("-m", "streaming.transport.departed", "kafka://127.0.0.1:9092")


def test_dagster_listens_on_loopback_and_shares_the_home(tmp_path: Path) -> None:
    plan = decide(tmp_path, dagster=True)
    web, daemon = plan.dagster
    assert web.argv[web.argv.index("--host") + 1] == "127.0.0.1"
    assert web.env["DAGSTER_HOME"] == daemon.env["DAGSTER_HOME"] == str(tmp_path / "dagster")
    assert plan.addresses["dagster"].partition("?")[0].endswith("/asset-groups")


@pytest.mark.parametrize("key", ["http", "web", "up"])
def test_a_taken_port_is_refused_by_its_setting(tmp_path: Path, key: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"port {port} .*{'dagster' if key == 'web' else key}.port"):
            decide(tmp_path, dagster=True, **{key: port})


def test_the_shipped_instance_settings_are_written_whole_and_kept_new(tmp_path: Path) -> None:
    file = prepare_dagster_home(tmp_path) / "dagster.yaml"
    shipped = file.read_text()
    assert "telemetry:\n  enabled: false" in shipped
    file.write_text("old")
    prepare_dagster_home(tmp_path)
    assert file.read_text() == shipped
    assert [entry.name for entry in file.parent.iterdir()] == ["dagster.yaml"]
