"""The OpenAPI document tells what the server does: schemathesis drives every operation from it and finds no breach."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from streaming.api.app import OPERATIONS, TITLE
from streaming.api.openapi import document
from tests.api_rig import Rig, Served, headers_of

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
)
EXAMPLES = 12
LIMIT_S = 40


def test_every_operation_is_in_the_document_once() -> None:
    page = document(OPERATIONS, TITLE, "1")
    found = [(method.upper(), path) for path, methods in page["paths"].items() for method in methods]
    assert sorted(found) == sorted((operation.method, operation.path) for operation in OPERATIONS)
    ids = [method["operationId"] for methods in page["paths"].values() for method in methods.values()]
    assert len(set(ids)) == len(ids)


def test_a_query_never_asks_for_null() -> None:
    page = document(OPERATIONS, TITLE, "1")
    for methods in page["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                assert '"null"' not in json.dumps(parameter["schema"])


@pytest.mark.timeout(3 * LIMIT_S)
def test_schemathesis_finds_no_breach(tmp_path: Path) -> None:
    rig = Rig(tmp_path, key_rate=100_000, key_burst=100_000, stranger_rate=10_000, stranger_burst=10_000)
    with Served(rig) as served:
        served.do(rig.fund("a", "b"))
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://{served.address}/openapi.json"]
        for name, value in headers_of("admin").items():
            command += ["--header", f"{name}: {value}"]
        command += ["--checks", ",".join(CHECKS), "--max-examples", str(EXAMPLES), "--seed", "7"]
        command += ["--max-time", str(LIMIT_S), "--phases", "examples,coverage,fuzzing", "--no-color"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=2 * LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
