"""The past: a book and balances as they were after a sequence, a ticket, or at a time.

Journal and ledger are insert-only and numbered without gaps, so what they say about the past never changes. A ticket
that moved the book or the balance itself is a place between two rows; of another one it is the end of its transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from db.orders import BookRecord, Level
from db.read import Reader, Snapshot
from domain import errors, money
from domain.book import OrderSide
from domain.ledger import Balance
from domain.money import Asset, CertificateType

# A row of the ledger takes its time before it waits for its account, by less than a transaction may last: times of one
# account may change places within it.
SKEW_S = 10


@dataclass(frozen=True, slots=True)
class Moment:
    """Which past is meant: exactly one of them."""

    sequence: int | None = None
    ticket_id: str | None = None
    at: datetime | None = None

    def is_one(self) -> bool:
        return [self.sequence, self.ticket_id, self.at].count(None) == 2


# --------------------------------------------------------------------------------------------------------------- books

_NEWEST = "SELECT sequence FROM books WHERE certificate_type = :certificate_type"
# Events and trades of the ticket itself; else the newest event of a transaction that is not younger.
_SEQUENCE_OF_TICKET = """
SELECT coalesce(
    greatest((SELECT max(e.sequence) FROM book_events e
              WHERE e.ticket_id = t.ticket_id AND e.certificate_type = :certificate_type),
             (SELECT max(d.sequence) FROM cash_market_trades d
              WHERE d.ticket_id = t.ticket_id AND d.certificate_type = :certificate_type)),
    (SELECT max(e.sequence) FROM ticket_logs b
     JOIN book_events e ON e.ticket_id = b.ticket_id AND e.certificate_type = :certificate_type
     WHERE b.txid = (SELECT b.txid FROM ticket_logs b
                     JOIN book_events e ON e.ticket_id = b.ticket_id AND e.certificate_type = :certificate_type
                     WHERE b.txid <= t.txid ORDER BY b.txid DESC LIMIT 1)),
    0) AS sequence
FROM ticket_logs t WHERE t.ticket_id = :ticket_id
"""
# Times of events never fall as their sequence rises, as both are taken under the market lock: halve until found.
_SEQUENCE_AT = """
WITH RECURSIVE halved(lo, hi) AS (
    SELECT 0::bigint, sequence FROM books WHERE certificate_type = :certificate_type
    UNION ALL
    SELECT CASE WHEN e.created_at <= CAST(:at AS timestamptz) THEN e.sequence ELSE h.lo END,
           CASE WHEN e.created_at <= CAST(:at AS timestamptz) THEN h.hi ELSE e.sequence - 1 END
    FROM halved h JOIN book_events e
    ON e.certificate_type = :certificate_type AND e.sequence = (h.lo + h.hi + 1) / 2 WHERE h.lo < h.hi
)
SELECT lo AS sequence FROM halved WHERE lo = hi
"""
# From the start: the last word on each level counts, as quantities are absolute.
_FORWARDS = """
    SELECT DISTINCT ON (change->>0, (change->>1)::numeric)
           change->>0 AS side, (change->>1)::numeric AS price, (change->>2)::numeric AS quantity,
           (change->>3)::integer AS orders
    FROM book_events CROSS JOIN LATERAL jsonb_array_elements(level_changes) WITH ORDINALITY AS listed(change, place)
    WHERE certificate_type = :certificate_type AND sequence <= :sequence
    ORDER BY change->>0, (change->>1)::numeric, sequence DESC, place DESC
"""
# From now: the orders that wait, those that traded or were cancelled since, and what they have traded since undone.
_BACKWARDS = """
    WITH later AS (
        SELECT party.order_id, sum(t.quantity) AS quantity FROM cash_market_trades t
        CROSS JOIN LATERAL (VALUES (t.buy_order_id), (t.sell_order_id)) AS party(order_id)
        WHERE t.certificate_type = :certificate_type AND t.sequence > :sequence GROUP BY party.order_id
    ), waiting AS (
        SELECT id FROM orders
        WHERE certificate_type = :certificate_type AND status IN ('OPEN', 'PARTIALLY_FILLED')
        UNION SELECT order_id FROM later
        UNION SELECT order_id FROM book_events
        WHERE certificate_type = :certificate_type AND sequence > :sequence AND kind = 'CANCELLED'
    )
    SELECT o.side, o.price, sum(o.quantity - o.filled_quantity + coalesce(later.quantity, 0)) AS quantity,
           count(*)::integer AS orders
    FROM waiting JOIN orders o USING (id) LEFT JOIN later ON later.order_id = o.id
    JOIN book_events e ON e.order_id = o.id AND e.kind = 'PLACED' AND e.rested > 0 AND e.sequence <= :sequence
    WHERE o.quantity - o.filled_quantity + coalesce(later.quantity, 0) > 0 GROUP BY o.side, o.price
"""
BACKWARDS_COST = 4  # an event that is undone takes as long as so many that are read from the start
# It was the newest book until the next event.
_BOOK = """
WITH told AS ({told})
SELECT (SELECT price FROM cash_market_trades
        WHERE certificate_type = :certificate_type AND sequence <= :sequence
        ORDER BY sequence DESC, position DESC LIMIT 1) AS last_price,
       coalesce((SELECT created_at FROM book_events
                 WHERE certificate_type = :certificate_type AND sequence = :sequence + 1), clock_timestamp()) AS at,
       told.*
FROM (SELECT) AS always LEFT JOIN told ON quantity > 0
ORDER BY side, CASE side WHEN 'BUY' THEN -told.price ELSE told.price END
"""


async def book(reader: Reader, certificate_type: CertificateType, moment: Moment) -> BookRecord:
    """Return a whole book as it was.

    Raises: InvalidInput (a sequence that the book has not reached, no such ticket).
    """
    async with reader.snapshot() as snapshot:
        (newest,) = await snapshot.sql(_NEWEST, certificate_type=certificate_type.value)
        sequence = await _sequence(snapshot, certificate_type, moment, newest["sequence"])
        is_near_now = (newest["sequence"] - sequence) * BACKWARDS_COST < sequence
        statement = _BOOK.replace("{told}", _BACKWARDS if is_near_now else _FORWARDS)
        rows = await snapshot.sql(statement, certificate_type=certificate_type.value, sequence=sequence)
    return BookRecord(
        certificate_type=certificate_type,
        sequence=sequence,
        last_price=None if rows[0]["last_price"] is None else money.eur(rows[0]["last_price"]),
        at=rows[0]["at"],
        levels=tuple(
            Level(OrderSide(row["side"]), money.eur(row["price"]), money.whole(row["quantity"]), row["orders"])
            for row in rows
            if row["side"] is not None
        ),
    )


async def _sequence(snapshot: Snapshot, certificate_type: CertificateType, moment: Moment, newest: int) -> int:
    named = {"certificate_type": certificate_type.value}
    if moment.ticket_id is not None:
        rows = await snapshot.sql(_SEQUENCE_OF_TICKET, ticket_id=moment.ticket_id, **named)
        if not rows:
            raise no_such_ticket(moment.ticket_id, "asOfTicket")
    elif moment.at is not None:
        rows = await snapshot.sql(_SEQUENCE_AT, at=moment.at, **named)
    else:
        assert moment.sequence is not None
        if not 0 <= moment.sequence <= newest:
            message = f"This book has the sequences 0 to {newest}."
            raise errors.InvalidInput(message, field="asOfSequence", requested=moment.sequence)
        return moment.sequence
    sequence: int = rows[0]["sequence"]
    return sequence


def no_such_ticket(ticket_id: str, field: str) -> errors.InvalidInput:
    """Return the refusal of a ticket that is not there, or not for who asks."""
    return errors.InvalidInput(f"There is no ticket {ticket_id} that you may see.", field=field)


# ------------------------------------------------------------------------------------------------------------ balances

_ACCOUNTS = """
FROM users u LEFT JOIN market_maker_clients m ON m.user_id = u.id
CROSS JOIN unnest(CAST(:assets AS text[])) WITH ORDINALITY AS a(asset, place)
LEFT JOIN LATERAL ({place}) AS p ON true
LEFT JOIN asset_transactions e ON e.holder_id = u.id AND e.asset = a.asset AND e.seq = p.seq
WHERE u.id = ANY(CAST(:holders AS uuid[]))
ORDER BY u.id, a.place
"""
_SELECT = """
SELECT u.id AS holder_id, m.id AS market_maker_id, a.asset, e.balance_after AS available, e.locked_after AS locked,
       e.seq
"""
# The last row of which no predecessor is later: rows of one account are committed in the order of their seq.
_PLACE_AT = """
    SELECT least(
        (SELECT max(t.seq) FROM asset_transactions t WHERE t.holder_id = u.id AND t.asset = a.asset
         AND t.created_at <= CAST(:at AS timestamptz) AND t.created_at > newest.at - make_interval(secs => :skew)),
        (SELECT min(t.seq) - 1 FROM asset_transactions t WHERE t.holder_id = u.id AND t.asset = a.asset
         AND t.created_at > CAST(:at AS timestamptz)
         AND t.created_at <= CAST(:at AS timestamptz) + make_interval(secs => :skew))) AS seq
    FROM (SELECT t.created_at AS at FROM asset_transactions t WHERE t.holder_id = u.id AND t.asset = a.asset
          AND t.created_at <= CAST(:at AS timestamptz) ORDER BY t.created_at DESC LIMIT 1) AS newest
"""
# The last row of the ticket itself; else the last one of a transaction that is not younger.
_PLACE_OF_TICKET = """
    SELECT coalesce(
        (SELECT max(t.seq) FROM asset_transactions t
         WHERE t.ticket_id = k.ticket_id AND t.holder_id = u.id AND t.asset = a.asset),
        (SELECT max(t.seq) FROM (
             SELECT t.created_at AS at FROM asset_transactions t JOIN ticket_logs l ON l.ticket_id = t.ticket_id
             WHERE t.holder_id = u.id AND t.asset = a.asset AND l.txid <= k.txid
             AND t.created_at <= k.timestamp + make_interval(secs => :skew)
             ORDER BY t.created_at DESC LIMIT 1) AS newest
         JOIN asset_transactions t ON t.holder_id = u.id AND t.asset = a.asset
             AND t.created_at > newest.at - make_interval(secs => :skew) AND t.created_at <= newest.at
         JOIN ticket_logs l ON l.ticket_id = t.ticket_id AND l.txid <= k.txid)) AS seq
    FROM ticket_logs k WHERE k.ticket_id = :ticket_id
"""


async def balances(reader: Reader, holder_ids: Sequence[UUID], moment: Moment) -> dict[UUID, list[Balance]]:
    """Return every balance of these holders as it was, assets in the order of Asset; one not touched yet is 0."""
    asked: dict[str, Any] = {"holders": list(holder_ids), "assets": [asset.value for asset in Asset], "skew": SKEW_S}
    if moment.ticket_id is not None:
        place, named = _PLACE_OF_TICKET, {"ticket_id": moment.ticket_id, **asked}
    else:
        assert moment.at is not None
        place, named = _PLACE_AT, {"at": moment.at, **asked}
    found: dict[UUID, list[Balance]] = {}
    for row in await reader.sql(_SELECT + _ACCOUNTS.replace("{place}", place), **named):
        asset, zero = Asset(row["asset"]), Decimal(0)
        found.setdefault(row["holder_id"], []).append(
            Balance(
                holder_id=row["holder_id"],
                market_maker_id=row["market_maker_id"],
                asset=asset,
                available=money.of_asset(asset, zero if row["available"] is None else row["available"]),
                locked=money.of_asset(asset, zero if row["locked"] is None else row["locked"]),
                seq=row["seq"] or 0,
            )
        )
    return found
