"""What tests of the door share."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.db.invariants import assert_invariants
from tests.world import Api


@pytest.fixture
async def lawful(api: Api) -> AsyncIterator[None]:
    """Check every law of the market after a test."""
    yield
    connection = await asyncpg.connect(api.database_url)
    try:
        await assert_invariants(connection)
    finally:
        await connection.close()
