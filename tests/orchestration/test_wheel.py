"""A wheel built from the repository works in an empty environment, with the versions of the lock file."""

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

UV = ROOT / ".tools" / "bin" / "uv"
TIMEOUT_S = 240
SHIPPED = (
    "orchestration/dagster.yaml",
    "orchestration/dg.toml",
    "orchestration/py.typed",
    "streaming/py.typed",
    "trading/py.typed",
)


def run(argv: list[str | Path], cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run a program without the variables of this environment."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TRADE_", "PYTHON", "VIRTUAL_ENV", "COVERAGE"))}
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done


def uv(arguments: list[str | Path], cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run uv on what it has in its cache; ask the index only for what is not there."""
    program = str(UV) if UV.exists() else shutil.which("uv")
    if program is None:
        pytest.skip("no uv: `make install` brings it")
    try:
        return run([program, "--offline", *arguments], cwd)
    except AssertionError:
        return run([program, *arguments], cwd)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel once."""
    folder = tmp_path_factory.mktemp("dist")
    uv(["build", "--wheel", "--quiet", "--out-dir", folder, ROOT], ROOT)
    (found,) = folder.glob("*.whl")
    return found


def test_the_data_files_are_inside(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert set(SHIPPED) <= names
    assert not [name for name in names if name.startswith(("tests/", "deploy/"))]


def test_trade_runs_from_an_empty_environment(wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = tmp_path / "env"
    python = environment / "bin" / "python"
    locked = tmp_path / "locked.txt"
    uv(["export", "--locked", "--no-dev", "--no-emit-project", "--quiet", "--output-file", locked], ROOT)
    uv(["venv", "--quiet", "--python", sys.executable, environment], tmp_path)
    uv(["pip", "install", "--quiet", "--python", python, "--requirement", locked, wheel], tmp_path)
    trade = environment / "bin" / "trade"
    assert "bench" in run([trade, "--help"], tmp_path).stdout
    began = time.perf_counter()
    run([trade, "--help"], tmp_path)
    help_s = time.perf_counter() - began
    assert run([trade, "--version"], tmp_path).stdout.startswith("trade ")
    assert "--roles" in run([python, "-m", "streaming.worker", "--help"], tmp_path).stdout
    run([python, "-c", "from orchestration.definitions import defs; defs()"], tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\ntrade --help from the wheel: {help_s:.2f} s\n")
