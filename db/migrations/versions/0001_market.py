"""The whole market: people, certificates, book, ledger, tickets, and the rights of each role.

Revision ID: 0001
Create Date: 2026-11-22
"""

from __future__ import annotations

from db.migrate import run_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run 0001_market.sql with the group roles named after this database."""
    run_sql(__file__)
