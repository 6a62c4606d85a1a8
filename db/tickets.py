"""Tickets in the database: written in bulk inside the transaction of their deeds, read by keyset."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from db import tables
from db.unit import Transaction
from domain import tickets
from domain.tickets import Draft, Payload, canonical, plain

SALT_BYTES = 32


async def store(transaction: Transaction, drafts: Sequence[Draft]) -> None:
    """Write tickets and payloads, two statements for any number; the last thing a transaction does.

    Locks: none but the key-shares of its foreign keys.
    """
    salts = os.urandom(SALT_BYTES * len(drafts))
    now_ns = time.monotonic_ns()
    logs, payloads = [], []
    for index, draft in enumerate(drafts):
        ticket = tickets.write_up(draft, transaction.now, now_ns)
        story = draft.story
        payload = Payload(
            salt=salts[index * SALT_BYTES : (index + 1) * SALT_BYTES],
            request=plain(draft.attempt.request) if draft.is_root else None,
            response=plain(draft.response),
            before=plain(story.before),
            after=plain(story.after),
        )
        digest = tickets.digest(ticket, payload, transaction.effects.get(ticket.ticket_id, []))
        logs.append(_log_row(ticket, digest))
        payloads.append(
            (
                ticket.year,
                ticket.number,
                payload.salt,
                *(
                    None if part is None else canonical(part)
                    for part in (payload.request, payload.response, payload.before, payload.after)
                ),
            )
        )
    await transaction.insert(tables.ticket_logs, logs)
    await transaction.insert(tables.ticket_payloads, payloads)


def _log_row(ticket: tickets.Ticket, digest: bytes) -> tuple[object, ...]:
    """Return the row in the order of `tables.ticket_logs`."""
    return (
        ticket.year,
        ticket.number,
        ticket.ticket_id,
        ticket.timestamp,
        ticket.action_type,
        ticket.status,
        ticket.summary,
        ticket.error_code,
        ticket.error_message,
        ticket.user_id,
        ticket.market_maker_id,
        ticket.entity_type,
        ticket.entity_id,
        ticket.ip_address,
        ticket.user_agent,
        ticket.session_id,
        ticket.duration_ms,
        tables.text_array(ticket.related_ticket_ids),
        tables.text_array(ticket.tags),
        ticket.attempt_id,
        digest,
    )
