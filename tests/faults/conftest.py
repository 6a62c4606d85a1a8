"""API processes for each file of faults; each test ends with the program `carbondesk verify`, which finds nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from api.settings import Settings
from tests.faults.market import Market, market_of
from tests.sizes import PROCESSES, SECONDS_MAX


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let these tests run as long as their size needs."""
    for item in items:
        if "faults" in item.path.parts:
            item.add_marker(pytest.mark.timeout(SECONDS_MAX))


@pytest.fixture(scope="module")
async def market(settings: Settings) -> AsyncIterator[Market]:
    """Serve the database of a test file by several processes."""
    async with market_of(settings, PROCESSES) as running:
        yield running


@pytest.fixture(autouse=True)
async def _verify_is_clean_afterwards(request: pytest.FixtureRequest, market: Market) -> AsyncIterator[None]:
    print(f"seed {request.module.SEED}")  # noqa: T201 - pytest shows it when a test fails
    yield
    await market.is_left_quiet()
    await market.verify()
