"""Half of what the processes can do, before 200 watchers, for a while: nothing grows, slows down or is left open.

The long one is `make bench NAME=soak ARGS="--minutes 30"`; both are bench/soak.py.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from api.settings import Settings
from bench.soak import CLIENTS, WATCHERS, Target, soak, together
from tests.conftest import owner_of
from tests.faults.history import patience
from tests.faults.market import Market
from tests.sizes import SOAK_S
from tests.world import environment

SEED = 1  # of the load
GROWTH_MAX, SLOWDOWN_MAX = 1.05, 2.0
PLENTY = {"EUR": "1000000000", "CEA": "10000000"}


@pytest.fixture(scope="module")
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"address_sockets_max": 1_000})


async def test_a_market_under_half_its_load_stays_as_it_is(market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    traders = await market.traders(2 * CLIENTS, **PLENTY)
    before = await market.root_tickets()
    async with owner_of(market.api.database_url) as owner:
        target = Target(
            ports=[urlsplit(served.url).port or 0 for served in market.served],
            pids=[served.child.pid or 0 for served in market.served],
            tokens=[(one.token, other.token) for one, other in zip(traders[::2], traders[1::2], strict=True)],
            environment=environment(market.settings),
            owner=owner,
        )
        soaked = await soak(target, SOAK_S, WATCHERS)
    with capsys.disabled():
        print(f"\n[soak: {soaked}]", end=" ")  # noqa: T201 - figures for the log
    assert not any(one["faults"] for one in soaked.answered)
    assert not any(soaked.left.values()), soaked.left
    assert soaked.growth <= GROWTH_MAX, soaked.rss
    assert soaked.slowdown <= SLOWDOWN_MAX * patience(), soaked.windows
    assert soaked.messages >= WATCHERS * SOAK_S / 2
    answered = together(soaked.answered)
    roots = (await market.root_tickets()).items() - before.items()
    assert len(roots) == answered["answers"]
    assert sum(code is not None for _, code in roots) == sum(answered["refusals"].values())
    assert await market.one_value("SELECT count(*) FROM orders") == answered["placed"]
    assert await market.one_value("SELECT count(*) FROM cash_market_trades") == answered["trades"]
