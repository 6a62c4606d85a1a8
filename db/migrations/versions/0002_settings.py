"""The settings of the market: one row.

Revision ID: 0002
Create Date: 2026-11-22
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the row that the market lock's readers join."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        "CREATE TABLE settings ("
        " is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),"
        " price_band_percent numeric CHECK (price_band_percent > 0 AND price_band_percent <= 100"
        "                                   AND scale(price_band_percent) <= 2),"
        " public_market_data boolean NOT NULL DEFAULT true)"
    )
    op.execute("INSERT INTO settings DEFAULT VALUES")
    database = op.get_bind().exec_driver_sql("SELECT current_database()").scalar_one()
    op.execute(f'GRANT SELECT ON settings TO "{database}_app", "{database}_sealer", "{database}_analyst"')
    op.execute(f'GRANT UPDATE (price_band_percent, public_market_data) ON settings TO "{database}_app"')
