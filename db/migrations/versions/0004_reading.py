"""What reading needs: indexes for every filter, words of payloads, counts, and how far both are folded.

Revision ID: 0004
Create Date: 2026-11-25
"""

from __future__ import annotations

from db.migrate import run_sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run 0004_reading.sql with the group roles named after this database."""
    run_sql(__file__)
