"""A person sees the asset graph: the real webserver on a small lake, its page in headless Chromium."""

import importlib.resources
import os
import shutil
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from orchestration.materialize import materialize_days
from tests.orchestration.lakes import DAY, fill, status
from tests.orchestration.pages import left_behind
from tests.ports import free_ports

START_S = 90.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=2800,2200",
    "--virtual-time-budget=20000",
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    left_behind(home, status(fill(home)))
    (home / "dagster").mkdir()
    shipped = importlib.resources.files("orchestration").joinpath("dagster.yaml").read_bytes()
    (home / "dagster" / "dagster.yaml").write_bytes(shipped)
    materialize_days(home, [DAY])
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "dagster_webserver", "-m", "orchestration.definitions", "-h", "127.0.0.1"]
    env = os.environ | {"DAGSTER_HOME": str(home / "dagster"), "TRADE_HOME": str(home)}
    with (home / "webserver.log").open("wb") as log:
        server = subprocess.Popen([*command, "-p", str(port)], env=env, stdout=log, stderr=log)
        try:
            _await(f"http://127.0.0.1:{port}/server_info", server, home / "webserver.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def _await(address: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()[-2_000:]
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"no answer in {START_S:.0f} s: {log.read_text()[-2_000:]}")


def _chromium(profile: Path, *args: str) -> bytes:
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *args]
    done = subprocess.run(command, capture_output=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout


def _colours(png: bytes) -> int:
    """Count the distinct rows of pixels of a PNG, as a measure of how much there is to see."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    place, data = 8, b""
    width, _, depth, kind = struct.unpack(">IIBB", png[16:26])
    while place < len(png):
        length, name = struct.unpack(">I4s", png[place : place + 8])
        data += png[place + 8 : place + 8 + length] if name == b"IDAT" else b""
        place += length + 12
    line = 1 + width * {2: 3, 6: 4}[kind] * depth // 8
    pixels = zlib.decompress(data)
    return len({pixels[at : at + line] for at in range(0, len(pixels), line)})


# The page opens with the groups closed; the address can open them.
GROUPS = ",".join(f"global@global:{name}" for name in ("streams", "lake"))


def test_the_asset_graph_is_there_to_see(url: str, tmp_path: Path) -> None:
    target = Path(os.environ.get("SCREENSHOT", tmp_path / "graph.png"))
    page = f"{url}/asset-groups?expanded={quote(GROUPS)}"
    _chromium(tmp_path / "profile", f"--screenshot={target}", page)
    dom = _chromium(tmp_path / "profile", "--dump-dom", page).decode()
    for name in ("streams", "lake", "ticks_raw", "clean_bars_v1", "compaction"):
        assert name in dom
    png = target.read_bytes()
    assert len(png) > 20_000
    assert _colours(png) > 100, "the page is blank"
