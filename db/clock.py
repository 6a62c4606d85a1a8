"""The clock of the database beside ours: what is stored or compared has the database's, ours notices when they part."""

from __future__ import annotations

import time
from typing import Final

from db.unit import Pool

APART_S_MAX: Final = 60.0  # clocks that are kept by NTP differ by milliseconds: one of them has jumped


async def ahead_s(pool: Pool) -> float:
    """Return by how many seconds the database's clock is ahead of this machine's, negative if behind.

    Half the round trip is its error.
    """
    asked = time.time()
    row = await pool.fetchrow("SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
    assert row is not None, "a SELECT without FROM has one row"
    ahead: float = row["now"] - (asked + time.time()) / 2
    return ahead
