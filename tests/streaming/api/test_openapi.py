"""The OpenAPI document tells what the server does: schemathesis drives every operation from it and finds no breach."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from streaming.api.app import OPERATIONS, TITLE
from streaming.api.openapi import document
from tests.api_rig import Rig, Served, headers_of
from tests.conftest import ROOT
from tests.streaming.api.http import ORDER
from trading.events import OrderAccepted
from trading.orders.journal import read_record

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
NEGATIVE = ("negative_data_rejection", "missing_required_header", "unsupported_method", "ignored_auth")
# Not use_after_free: an order that was cancelled can still be read.
STATEFUL = ("ensure_resource_availability",)
UNLIMITED: dict[str, Any] = {
    "key_rate": 100_000,
    "key_burst": 100_000,
    "stranger_rate": 10_000,
    "stranger_burst": 10_000,
}
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


def test_an_order_leads_to_everything_that_takes_its_id() -> None:
    page = document(OPERATIONS, TITLE, "1")
    links = page["paths"]["/v2/orders"]["post"]["responses"]["200"]["links"]
    assert links.keys() == {"orders_get", "orders_replace", "orders_cancel", "evidence_why"}
    assert links["orders_get"]["parameters"] == {"order_id": "$response.body#/id"}


def fuzz(served: Served, home: Path, *options: str, **variables: str) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://{served.address}/openapi.json"]
    for name, value in headers_of("admin").items():
        command += ["--header", f"{name}: {value}"]
    command += ["--max-examples", str(EXAMPLES), "--seed", "7", "--no-color", *options]
    env = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, timeout=2 * LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]


@pytest.mark.timeout(3 * LIMIT_S)
def test_schemathesis_finds_no_breach(tmp_path: Path) -> None:
    with Served(Rig(tmp_path, **UNLIMITED)) as served:
        served.do(served.rig.fund("a", "b"))
        phases = ("--phases", "examples,coverage,fuzzing", "--max-time", str(LIMIT_S))
        fuzz(served, tmp_path, "--checks", ",".join(CHECKS), *phases)


@pytest.mark.timeout(3 * LIMIT_S)
def test_schemathesis_finds_no_breach_where_orders_live_and_end(tmp_path: Path) -> None:
    with Served(Rig(tmp_path, **UNLIMITED)) as served:
        rig, ids = served.rig, {}
        served.do(rig.fund("a", "b", repeat_count=1_000, message_rate=100_000, message_burst=100_000))
        for name in ("open", "done", "canceled"):
            ids[name] = submitted(served, name)
            served.do(rig.ack(ids[name]))
        served.do(rig.fill(ids["done"], "0.5", "49000"))
        served.do(rig.canceled(ids["canceled"]))
        before = accepted(rig)
        fuzz(
            served,
            tmp_path,
            *("--checks", ",".join((*STATEFUL, *(check for check in CHECKS if check not in NEGATIVE)))),
            *("--phases", "fuzzing,stateful", "--mode", "positive", "--max-time", str(LIMIT_S)),
            # What stops the desk would leave nothing to look at.
            *("--exclude-path-regex", "^/v1/(kill|mode|limits)$", "--exclude-operation-id", "configuration_change"),
            FUZZ_ORDERS=",".join(ids.values()),
            SCHEMATHESIS_HOOKS="tests.streaming.api.fuzz_hooks",
        )
        assert accepted(rig) > before + EXAMPLES


def submitted(served: Served, name: str) -> str:
    answer = httpx.post(
        f"http://{served.address}/v2/orders", json=ORDER | {"client_order_id": name}, headers=headers_of("a")
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def accepted(rig: Rig) -> int:
    records = [read_record(payload) for journal in rig.desk.journal for payload in journal]
    return sum(isinstance(event, OrderAccepted) for record in records for event in record.events)
