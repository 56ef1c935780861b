import json
from pathlib import Path

import pytest

from orchestration.commands.failure import CommandError
from orchestration.gate.site import Answer, Key, Site, read_keys, until
from tests.orchestration.fake_worker import PAGE, serve
from tests.orchestration.gate.scripted import KEYS
from tests.orchestration.pages import served


def test_answers_are_json_and_silence_is_status_0(tmp_path: Path, free_port: int) -> None:
    site = Site("127.0.0.1", free_port, tmp_path, KEYS)
    assert (site.call("GET", "/status").code, site.status()) == ("NO_ANSWER", {})
    serve(free_port, PAGE)
    assert site.call("GET", "/metrics", site.admin) == (200, json.dumps(PAGE))
    assert site.url == f"http://127.0.0.1:{free_port}"


def test_the_status_is_that_of_all_processes(tmp_path: Path) -> None:
    orders, market = {"state": "ready", "roles": ["orders"]}, {"state": "ready", "roles": ["route"]}
    with served(orders) as port, served(market) as beside:
        site = Site("127.0.0.1", port, tmp_path, KEYS, (("127.0.0.1", beside),))
        assert site.status()["roles"] == ["orders", "route"]


def test_the_gate_trades_with_the_last_account_and_audits_as_admin(tmp_path: Path) -> None:
    site = Site("127.0.0.1", 1, tmp_path, KEYS)
    assert (site.trader.account, site.admin.key_id) == ("second", "PKADMIN01")


def test_keys_are_read_from_the_home(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="KEYS_UNREADABLE"):
        read_keys(tmp_path)
    row = {"key_id": "PK1", "secret": "s", "account": "a", "scopes": ["trade"], "actor": "a"}
    (tmp_path / "keys.json").write_text(json.dumps({"version": 1, "keys": [row]}))
    with pytest.raises(CommandError, match="KEYS_INCOMPLETE"):
        read_keys(tmp_path)
    (tmp_path / "keys.json").write_text(json.dumps({"version": 1, "keys": [row, row | {"scopes": ["admin"]}]}))
    assert read_keys(tmp_path) == (Key("PK1", "s", "a", ("trade",)), Key("PK1", "s", "a", ("admin",)))


def test_codes_of_both_shapes() -> None:
    assert Answer(403, {"code": 40310000, "reason": "MAX_VAR"}).code == "MAX_VAR"
    assert (Answer(404, {"code": "X"}).code, Answer(502, "text").code) == ("X", "502")


def test_a_condition_is_awaited_for_a_bounded_time() -> None:
    answers = iter([False, True])
    assert until(lambda: next(answers), 10.0)
    assert not until(lambda: False, 0.0)
