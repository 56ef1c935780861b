"""The configuration follows limits and mode; a trader makes it tighter, an administrator looser."""

from pathlib import Path
from typing import Any

from tests.streaming.api.http import ORDER, Http, api

PATH = "/v2/account/configurations"


async def told(http: Http, key: str = "a", **body: Any) -> tuple[int, str]:
    answer = await http.ask("PATCH", PATH, key, json=body)
    return answer.status_code, answer.json().get("reason", "")


async def refusal(http: Http, **order: str) -> str:
    answer = await http.ask("POST", "/v2/orders", json=ORDER | order)
    return str(answer.json().get("reason", answer.status_code))


async def test_sending_what_is_in_force_changes_nothing(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        shown = await http.get(PATH)
        before = list(map(len, http.rig.desk.journal))
        answer = await http.ask("PATCH", PATH, json=shown)
        assert (answer.status_code, answer.json()) == (200, shown)
        assert list(map(len, http.rig.desk.journal)) == before


async def test_a_trader_suspends_and_an_administrator_resumes(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        assert await told(http, suspend_trade=True) == (200, "")
        assert (await http.get(PATH))["suspend_trade"] is True
        account = await http.get("/v2/account")
        assert (account["trade_suspended_by_user"], account["trading_blocked"]) == (True, True)
        assert await refusal(http) == "TRADING_HALTED"
        await http.order("b")
        assert await told(http, suspend_trade=False) == (403, "SCOPE_MISSING")
        assert await told(http, "admin", suspend_trade=False) == (200, "")
        await http.order()


async def test_limits_get_a_new_version_and_are_not_loosened_by_a_trader(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        assert await told(http, no_shorting=True, max_margin_multiplier="1") == (200, "")
        shown = await http.get(PATH)
        assert (shown["no_shorting"], shown["max_margin_multiplier"]) == (True, "1")
        page = await http.get("/v1/limits")
        assert (page["version"], page["limits"]["margin_bps"], page["limits"]["short_allowed"]) == (2, 10_000, False)
        assert page["versions"][0]["reason"] == "configuration"
        assert await refusal(http, side="sell", limit_price="50000") == "SHORT_RESTRICTED"
        assert await told(http, no_shorting=False) == (403, "SCOPE_MISSING")
        assert await told(http, max_margin_multiplier="2") == (403, "SCOPE_MISSING")
        assert await told(http, "admin", no_shorting=False, max_margin_multiplier="2") == (200, "")
        assert (await http.get("/v1/limits"))["version"] == 3


async def test_the_kill_switch_is_not_lifted_here(tmp_path: Path) -> None:
    async with api(tmp_path) as http:
        await http.ask("POST", "/v1/kill", "admin", json={})
        assert await told(http, suspend_trade=True) == (200, "")
        assert await told(http, "admin", suspend_trade=False) == (409, "KILL_SWITCH")
