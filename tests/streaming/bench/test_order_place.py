from pathlib import Path

import pytest

from streaming.api.keys import KEYS_FILE
from streaming.bench.order_client import Pool, request
from streaming.bench.order_place import PlaceError, account_names, platform


async def test_a_platform_is_ready_and_ends_with_the_block(tmp_path: Path) -> None:
    async with platform(tmp_path, "log://", account_names(1)) as place:
        address = place.orders
        assert place.beside == ()
        pool = Pool(address, 1)
        await pool.start()
        assert (await pool.call(request("GET", "/health/ready", {}), 30.0)).status == 200
        await pool.stop()
    assert (tmp_path / KEYS_FILE).exists()
    with pytest.raises(OSError, match="onnect"):
        await Pool(address, 1).start()


async def test_a_worker_that_ends_is_told_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match="TRADE_BROKER"):
        async with platform(tmp_path, "redis://x", ["a"]):
            pass


def test_names_of_accounts_are_new_each_time() -> None:
    assert len({*account_names(3), *account_names(3)}) == 6
