"""The script that brings a Kafka node: what is missing is told apart from what has failed."""

import os
from base64 import urlsafe_b64decode
from pathlib import Path
from types import ModuleType
from uuid import UUID

import pytest

from tests.kafka_node import load_script

FAKE_MVN = """#!/bin/sh
echo tried >> "$0.log"
for word in "$@"; do case "$word" in -DoutputDirectory=*) folder="${word#-DoutputDirectory=}";; esac; done
[ "$(wc -l < "$0.log")" -ge %d ] || { echo "no answer"; exit 1; }
mkdir -p "$folder" && touch "$folder/kafka_2.13-4.4.0.jar"
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the script with an empty folder for its jars."""
    loaded = load_script()
    monkeypatch.setattr(loaded, "LIBS", tmp_path / "libs")
    return loaded


def maven(folder: Path, monkeypatch: pytest.MonkeyPatch, *, works_at: int) -> Path:
    """Put a Maven on the path that answers from the given call on; return where it counts its calls."""
    program = folder / "bin" / "mvn"
    program.parent.mkdir()
    program.write_text(FAKE_MVN % works_at)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program.with_name("mvn.log")


def test_a_fetch_that_fails_is_tried_again(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = maven(tmp_path, monkeypatch, works_at=2)
    script.fetch()
    script.fetch()
    assert [path.name for path in (tmp_path / "libs").iterdir()] == ["kafka_2.13-4.4.0.jar"]
    assert len(calls.read_text().splitlines()) == 2


def test_a_fetch_that_never_works_is_a_failure_and_leaves_nothing(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = maven(tmp_path, monkeypatch, works_at=99)
    with pytest.raises(script.NodeError, match="no answer") as failure:
        script.fetch()
    assert not isinstance(failure.value, script.MissingToolError)
    assert len(calls.read_text().splitlines()) == script.FETCH_TRIES
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_no_cluster_id_looks_like_an_option(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "jdk" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'version \"17\"' >&2\necho $@ > {tmp_path}/told\n")
    program.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    monkeypatch.setattr(script.uuid, "uuid4", lambda: UUID(bytes=b"\xf8" * 16))
    script.prepare(tmp_path / "data", 1, 2)
    words = (tmp_path / "told").read_text().split()
    cluster = words[words.index("-t") + 1]
    assert not cluster.startswith("-")
    assert len(urlsafe_b64decode(cluster + "==")) == 16


def test_a_missing_tool_is_named(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(script.MissingToolError, match="no java found"):
        script.java()
    with pytest.raises(script.MissingToolError, match="no mvn found"):
        script.fetch()
