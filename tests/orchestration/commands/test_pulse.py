"""The pages of the supervisor: what is up, what is ready and why not, memory and restarts of each child."""

import http.client
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from orchestration.commands.pulse import Pulse, Sight
from tests.orchestration.poll import until

ME = os.getpid()


@contextmanager
def pulsing(sights: Sequence[Sight], **reasons: Sequence[str]) -> Iterator[Pulse]:
    probes = {name: (lambda told=told: told) for name, told in reasons.items()}
    pulse = Pulse("127.0.0.1", 0, lambda: sights, probes)
    pulse.start()
    try:
        until(lambda: all(pulse.reasons(name) == list(told) for name, told in reasons.items()), "every child was asked")
        yield pulse
    finally:
        pulse.stop()


def get(pulse: Pulse, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", pulse.port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_all_is_well() -> None:
    with pulsing([Sight("worker", ME, 0), Sight("web", ME, 2)], worker=(), web=()) as pulse:
        assert get(pulse, "/health/live") == (200, '{"status": "live"}')
        assert get(pulse, "/health/ready") == (200, '{"status": "ready"}')
        status, page = get(pulse, "/metrics")
        told = json.loads(get(pulse, "/status")[1])["processes"]
    assert status == 200
    for line in (
        'trade_process_up{process="worker"} 1.0',
        'trade_process_ready{process="web"} 1.0',
        'trade_process_restarts_total{process="web"} 2.0',
        "# TYPE trade_process_restarts_total counter",
    ):
        assert line in page.splitlines()
    memory = next(line for line in page.splitlines() if line.startswith('trade_process_resident_bytes{process="web"}'))
    assert float(memory.split()[1]) > 1 << 20
    assert told[1] == {"name": "web", "pid": ME, "restarts": 2, "reasons": []}


def test_a_child_that_is_down_or_not_ready_is_named_with_the_reason() -> None:
    sights = [Sight("worker", None, 6), Sight("web", ME, 0), Sight("daemon", ME, 0)]
    with pulsing(sights, worker=(), web=["trade is loading"]) as pulse:
        status, body = get(pulse, "/health/ready")
        page = get(pulse, "/metrics")[1].splitlines()
        assert get(pulse, "/health/live")[0] == 200
    assert (status, json.loads(body)["code"]) == (503, "NOT_READY")
    assert json.loads(body)["reasons"] == ["worker: it does not run", "web: trade is loading"]
    assert 'trade_process_up{process="worker"} 0.0' in page
    assert 'trade_process_ready{process="web"} 0.0' in page
    assert 'trade_process_ready{process="daemon"} 1.0' in page


def test_a_process_that_has_just_ended_uses_nothing() -> None:
    with pulsing([Sight("worker", 2**22 - 1, 0)]) as pulse:
        assert 'trade_process_resident_bytes{process="worker"} 0.0' in get(pulse, "/metrics")[1].splitlines()


def test_another_page_is_refused_as_json() -> None:
    with pulsing([]) as pulse:
        status, body = get(pulse, "/nothing")
    assert (status, json.loads(body)["code"]) == (404, "NOT_FOUND")
