"""A real single-node Apache Kafka for tests: own free ports, own data folder, stopped at the end of the session."""

import importlib.util
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.ports import free_ports

START_S = 60.0
STOP_S = 20.0
HEAP_MB = 384
SCRIPT = Path(__file__).resolve().parent.parent / "deploy" / "kafka" / "node.py"


def load_script() -> ModuleType:
    """Load the script that runs a node; it is no module of a package."""
    spec = importlib.util.spec_from_file_location("kafka_node_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class KafkaNode:
    """One broker process. Once it has started, `url` stays the same over restarts."""

    def __init__(self, data: Path) -> None:
        self._script = load_script()
        self._data = data
        self._process: subprocess.Popen[bytes] | None = None
        self._started = False
        self._choose_ports()

    def start(self) -> None:
        """Start the broker and wait until it listens; a first start that fails is tried again on other ports."""
        ended = self._start()
        if ended and not self._started:
            self._choose_ports()
            ended += self._start()
        if ended:
            pytest.fail(f"the Kafka node did not start: {ended}")
        self._started = True

    def _choose_ports(self) -> None:
        self._port, self._controller_port = free_ports(2)
        self.url = f"kafka://127.0.0.1:{self._port}"

    def _start(self) -> str:
        """Return the last words of a broker that did not come up, and nothing if it listens."""
        properties = self._script.prepare(self._data, self._port, self._controller_port)
        with (self._data / "node.log").open("ab") as output:
            self._process = subprocess.Popen(
                self._script.command(properties, HEAP_MB), stdout=output, stderr=output, cwd=self._data
            )
        deadline = time.monotonic() + START_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                return (self._data / "node.log").read_text()[-2000:]
            time.sleep(0.1)
        return ""

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def kill(self) -> None:
        """End the broker as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_S)
            self._process = None

    def pause(self) -> None:
        """Stop answering without closing a connection."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the broker cleanly."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None


@pytest.fixture(scope="session")
def kafka_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaNode]:
    """Run one Kafka node for the session; skip where there is no JDK 17 or no Maven to fetch it with."""
    node = KafkaNode(tmp_path_factory.mktemp("kafka"))
    try:
        node._script.java()
        node._script.fetch()
    except node._script.MissingToolError as error:
        pytest.skip(f"Apache Kafka cannot run here: {error}")
    node.start()
    yield node
    node.stop()


@pytest.fixture
def own_node(kafka_node: KafkaNode, tmp_path: Path) -> Iterator[KafkaNode]:
    """Yield a node with empty topics; the session's node says whether one can run here."""
    assert kafka_node.url
    folder = tmp_path / "kafka"
    folder.mkdir()
    node = KafkaNode(folder)
    node.start()
    yield node
    node.stop()
