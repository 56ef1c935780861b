"""Importing does nothing, and a process loads only what it needs. Each case runs in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, product, within

# Modules that only exist to be run.
RUN_ONLY = ("orchestration.__main__",)
PROBE = Path(__file__).with_name("import_probe.py")
RESEARCH = {"pandas", "feast", "mlflow", "sklearn", "dagster", "polars", "matplotlib", "duckdb"}
IO_LIBRARIES = {"faust", "dagster", "fastapi", "deltalake", "aiokafka", "structlog", "pydantic", "uvicorn"}


def probe(names: list[str], root: Path = ROOT) -> dict[str, list[str]]:
    """Import the modules in a fresh process; return what it loaded and what the imports did."""
    argv = [sys.executable, str(PROBE), str(root)]
    done = subprocess.run(
        argv, input=json.dumps(names), capture_output=True, text=True, timeout=240, check=False, cwd=root
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def names_of(*prefixes: str) -> list[str]:
    return [module.name for module in product() if within(module.name, prefixes) and module.name not in RUN_ONLY]


def test_a_streaming_worker_loads_no_research_library() -> None:
    names = [name for name in names_of("streaming") if not within(name, ("streaming.bench",))]
    assert RESEARCH.isdisjoint(probe(names)["loaded"])


def test_the_trading_core_loads_no_library_that_talks() -> None:
    assert IO_LIBRARIES.isdisjoint(probe(names_of("trading"))["loaded"])


def test_orchestration_loads_no_faust() -> None:
    assert {"faust", "mode"}.isdisjoint(probe(names_of("orchestration"))["loaded"])


@pytest.mark.parametrize("package", ["trading", "streaming", "orchestration"])
def test_importing_every_module_does_nothing(package: str) -> None:
    assert probe(names_of(package))["did"] == []


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("import os\nx = os.environ.get('HOME')", "read the environment"),
        ("import os\nx = os.getenv('HOME')", "read the environment"),
        ("import socket\ns = socket.socket()", "socket"),
        ("import subprocess\nsubprocess.Popen(['true']).wait()", "subprocess"),
        ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()", "thread"),
        ("open('written', 'w').close()", "wrote written"),
        ("print('hello')", "printed"),
        ("", ""),
    ],
)
def test_a_planted_effect_is_found(tmp_path: Path, text: str, finding: str) -> None:
    (tmp_path / "planted.py").write_text(text)
    did = probe(["planted"], tmp_path)["did"]
    assert any(finding in line for line in did) if finding else did == [], did
