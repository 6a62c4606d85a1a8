"""The write path as it would be without an audit trail: no numbers, stories, payloads, digests or rows of tickets.

For a process of a bench only: it takes parts out of the modules it loaded. Orders, trades, ledger, balances, journal
and their locks stay. Rows carry one and the same ticket id, which nothing refers to any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.types import ASGIApp

import db.batch
import db.tables
from api.app import serve_app
from db.batch import UNTOLD
from db.transaction import Transaction
from db.unit import Units
from domain.tickets import Draft

SCHEMA = (
    "DROP TABLE ticket_payload_search, ticket_payloads; DROP TABLE ticket_logs CASCADE;"
    " DROP INDEX orders_ticket, cash_market_trades_ticket, trade_settlements_ticket, book_events_ticket,"
    " asset_transactions_ticket"
)


class _NoStories:
    """Stands in for `domain.stories` at the desk."""

    def __getattr__(self, name: str) -> Any:
        return _no_state if name.endswith("_state") else _no_story


def _no_story(*_: object, **__: object) -> Any:
    return UNTOLD


def _no_state(*_: object) -> dict[str, Any]:
    return {}


async def _draw(self: Transaction, count: int) -> list[tuple[int, int]]:
    return [(2026, 1)] * count


async def _write_tickets(
    self: Units, transaction: Transaction, drafts: Sequence[Draft], keyed: Sequence[Draft] = ()
) -> None:
    await transaction.flush()


def take_out() -> None:
    """Leave the audit trail out of this process."""
    parts: dict[Any, dict[str, Any]] = {
        db.tables: {"EFFECTS": ()},
        db.batch: {"stories": _NoStories(), "as_json": lambda outcome: None},
        Transaction: {"draw": _draw},
        Units: {"write_tickets": _write_tickets},
    }
    for owner, names in parts.items():
        for name, part in names.items():
            assert hasattr(owner, name), f"{owner} has no {name} any more"
            setattr(owner, name, part)


def app() -> ASGIApp:
    """Return the application without its audit trail: uvicorn's factory."""
    take_out()
    return serve_app()
