"""Sealing: the HMAC of its payload on each ticket, the tree of sealed tickets, and what retention archived.

Revision ID: 0003
Create Date: 2026-11-25
"""

from __future__ import annotations

import json
from typing import Any

from alembic import op
from sqlalchemy import Connection, text

from db.migrate import run_sql
from domain.tickets import Payload, hmac_of

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BATCH_ROWS = 2_000
PARTS = ("request_payload", "response_data", "before_state", "after_state")


def upgrade() -> None:
    """Run 0003_sealing.sql, then give each ticket there is the HMAC of its payload."""
    run_sql(__file__)
    connection = op.get_bind()
    # The only rewriting of tickets there ever was: their owner does it, before anything is sealed, and says so.
    op.execute("ALTER TABLE ticket_logs DISABLE TRIGGER append_only")
    if _fill(connection):
        op.execute(f"INSERT INTO rewrites (revision) VALUES ('{revision}')")  # noqa: S608 - our own constant
    # What is deferred must be checked before the table is altered again.
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    op.execute("ALTER TABLE ticket_logs ENABLE ALWAYS TRIGGER append_only")
    op.execute("ALTER TABLE ticket_logs ALTER COLUMN payload_hmac SET NOT NULL")


def _fill(connection: Connection) -> int:
    done, last = 0, (0, 0)
    while rows := connection.execute(
        text(
            f"SELECT year, number, salt, {', '.join(f'{part}::text' for part in PARTS)} FROM ticket_payloads"  # noqa: S608
            " WHERE (year, number) > (:year, :number) ORDER BY year, number LIMIT :most"
        ),
        {"year": last[0], "number": last[1], "most": BATCH_ROWS},
    ).all():
        connection.execute(
            text("UPDATE ticket_logs SET payload_hmac = :hmac WHERE year = :year AND number = :number"),
            [{"hmac": _hmac(row), "year": row[0], "number": row[1]} for row in rows],
        )
        done, last = done + len(rows), (rows[-1][0], rows[-1][1])
    return done


def _hmac(row: Any) -> bytes:
    return hmac_of(Payload(bytes(row[2]), *(None if part is None else json.loads(part) for part in row[3:])))
