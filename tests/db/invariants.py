"""The laws of the market for tests: whoever writes calls `assert_invariants(connection)` at its end."""

from __future__ import annotations

from db.evidence import Connection
from db.verify import Report, verify


async def assert_invariants(connection: Connection) -> Report:
    """Verify as the program does; return how much there was to check."""
    report = await verify(connection, lambda _: None)
    assert report.is_clean, "\n".join(map(str, report.breaks))
    return report
