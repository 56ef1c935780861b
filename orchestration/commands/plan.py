"""What `trade up` will start: folders, addresses and the commands of the children, decided before anything runs."""

import importlib.resources
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestration.commands.failure import port_in_use
from orchestration.commands.overview import Address
from orchestration.processes import Command
from streaming.settings import Settings

# Groups are closed in the graph unless the address opens them.
OPEN_GROUPS = "expanded=global@global:streams,global@global:lake"
ORDERS, MARKET = "orders", "market"


@dataclass(frozen=True, slots=True)
class Worker:
    """A streaming process and where it answers."""

    command: Command
    http: Address


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything decided: the workers, Dagster's two processes (none if switched off) and where they answer.

    The first worker has the orders and their API; a second one, on Kafka, has what works beside them.
    """

    settings: Settings
    home: Path
    workers: tuple[Worker, ...]
    dagster: tuple[Command, ...]
    up: Address
    dagster_url: str | None
    # What tells Kafka of a worker that died, so that others need not wait until its session ends.
    evict: Command | None = None

    @property
    def http(self) -> tuple[Address, ...]:
        """Return where the workers answer, that of the order API first."""
        return tuple(worker.http for worker in self.workers)

    @property
    def addresses(self) -> dict[str, str]:
        """Return name -> URL of what a person may open."""
        base, *beside = (f"http://{worker.http[0]}:{worker.http[1]}" for worker in self.workers)
        pages = {"status": f"{base}/status", "health": f"{base}/health/ready", "metrics": f"{base}/metrics"}
        for other in beside:
            pages[MARKET] = f"{other}/status"
        pages["up"] = f"http://{self.up[0]}:{self.up[1]}/health/ready"
        return {"dagster": f"{self.dagster_url}/asset-groups?{OPEN_GROUPS}"} | pages if self.dagster_url else pages


def make(settings: Settings, config: Path | None, feed: str, broker: str, with_dagster: bool) -> Plan:
    """Decide the ports and the commands; refuse ports that are taken."""
    home = settings.home.absolute()
    up = (settings.up.host, _free_port(settings.up.host, settings.up.port, "up.port"))
    env = {
        "TRADE_HOME": str(home),
        "TRADE_FEED__SOURCE": feed,
        "TRADE_BROKER": broker,
        "DAGSTER_HOME": str(home / "dagster"),
        "PYTHONUNBUFFERED": "1",
    }
    workers, evict = _workers(settings, config, env), None
    if len(workers) > 1:
        departed = (sys.executable, "-m", "streaming.transport.departed", broker)
        evict = Command("evict", departed, env, _log(home, "evict"))
    env["TRADE_HTTP__PORT"] = str(workers[0].http[1])
    if not with_dagster:
        return Plan(settings, home, workers, (), up, None, evict)
    host = settings.dagster.host
    port = _free_port(host, settings.dagster.port, "dagster.port")
    code = ("-m", "orchestration.definitions")
    program = (sys.executable, "-m", "orchestration.dagster_process")
    web = (*program, "web", *code, "--host", host, "--port", str(port), "--log-format", "json")
    daemon = (*program, "daemon", "run", *code, "--log-format", "json")
    dagster = (
        Command("dagster-webserver", web, env, _log(home, "dagster-webserver")),
        Command("dagster-daemon", daemon, env, _log(home, "dagster-daemon")),
    )
    return Plan(settings, home, workers, dagster, up, f"http://{host}:{port}", evict)


def _workers(settings: Settings, config: Path | None, env: Mapping[str, str]) -> tuple[Worker, ...]:
    """Return one process for everything, or on Kafka one for the orders, so that nothing holds up their answers."""
    more = ("--config", str(config)) if config else ()

    def worker(name: str, key: str, port: int, *options: str) -> Worker:
        http = (settings.http.host, _free_port(settings.http.host, port, key))
        argv = (sys.executable, "-m", "streaming.worker", *options, *more)
        variables = {**env, "TRADE_HTTP__PORT": str(http[1])}
        return Worker(Command(name, argv, variables, _log(settings.home.absolute(), name)), http)

    first = ("http.port", settings.http.port)
    if env["TRADE_BROKER"].startswith("log:"):
        return (worker("worker", *first, "--roles", "all"),)
    return (
        worker(ORDERS, *first, "--roles", ORDERS, "--name", ORDERS),
        worker(MARKET, "up.market_port", settings.up.market_port, "--roles", "beside"),
    )


def prepare_dagster_home(home: Path) -> Path:
    """Write the instance settings that this version ships into `{home}/dagster`; return that folder."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    shipped = importlib.resources.files("orchestration").joinpath("dagster.yaml").read_bytes()
    target = folder / "dagster.yaml"
    if not target.exists() or target.read_bytes() != shipped:
        part = target.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(shipped)
        part.replace(target)
    return folder


def _log(home: Path, name: str) -> Path:
    return home / "logs" / f"{name}.log"


def _free_port(host: str, port: int, key: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise port_in_use(host, port, key) from None
        return int(probe.getsockname()[1])
