"""The laws of the market as SQL: each statement returns the rows that break its law, none when it holds.

A column is named as it is printed; where a ticket can be named it comes first. Constraints and triggers say some of
this too, but an owner can switch them off: here they are not trusted. `db.verify` runs all this in one snapshot.

Same transaction. A row's `xmin` is the transaction that wrote it, and freezing leaves it readable: VACUUM FREEZE sets a
flag beside it. It has 32 bits and `ticket_logs.txid` has 64, so they are compared modulo 2^32. A row that was changed
carries the transaction of the change, so this finds rewritten rows too; what a migration rewrote says so in `rewrites`.
What a dump and restore wrote anew carries the
transactions of the restore: tickets below a DATA_RESTORED ticket are left out, and the report says how many.
"""

from __future__ import annotations

from dataclasses import dataclass

from db import stats


@dataclass(frozen=True, slots=True)
class Law:
    """A named law in one sentence, the tables that it looks through, and the statement that finds what breaks it."""

    name: str
    sentence: str
    tables: tuple[str, ...]
    sql: str


LEDGER, TRADES, EVENTS = "asset_transactions", "cash_market_trades", "book_events"

# ----------------------------------------------------------------------------------------------------------- the ledger

BALANCES = Law(
    "balances",
    "A balance is its last ledger row and the sum of all its rows.",
    ("balances", LEDGER),
    """
WITH sums AS (SELECT holder_id, asset, sum(available_delta) AS available, sum(locked_delta) AS locked, max(seq) AS seq
              FROM asset_transactions GROUP BY 1, 2)
SELECT l.ticket_id AS last_ticket, holder_id AS holder, asset, b.available, s.available AS sum_of_available,
       l.balance_after AS last_available, b.locked, s.locked AS sum_of_locked, l.locked_after AS last_locked,
       b.seq, s.seq AS last_seq
FROM sums s JOIN asset_transactions l USING (holder_id, asset, seq) FULL JOIN balances b USING (holder_id, asset)
WHERE (b.available, b.locked, b.seq)
      IS DISTINCT FROM (coalesce(s.available, 0), coalesce(s.locked, 0), coalesce(s.seq, 0))
   OR (s.seq IS NOT NULL AND (b.available, b.locked) IS DISTINCT FROM (l.balance_after, l.locked_after))""",
)

AMOUNTS = Law(
    "amounts",
    "No balance is negative, no number or off the scale of its asset.",
    ("balances",),
    """
SELECT holder_id AS holder, asset, available, locked FROM balances
WHERE NOT (available >= 0 AND locked >= 0 AND available <= 1e15 AND locked <= 1e15
           AND greatest(scale(available), scale(locked)) <= CASE asset WHEN 'EUR' THEN 2 ELSE 0 END)""",
)

RUNNING = Law(
    "running",
    "The rows of an account are numbered without a gap, and each figure is the one before plus the row's delta.",
    (LEDGER,),
    """
SELECT ticket_id AS ticket, holder_id AS holder, asset, seq, seq_before, balance_after, available_before,
       available_delta, locked_after, locked_before, locked_delta
FROM (SELECT *, lag(seq, 1, 0::bigint) OVER w AS seq_before, lag(balance_after::numeric, 1,
    0) OVER w AS available_before,
             lag(locked_after::numeric, 1, 0) OVER w AS locked_before
      FROM asset_transactions WINDOW w AS (PARTITION BY holder_id, asset ORDER BY seq)) AS r
WHERE seq <> seq_before + 1 OR balance_after <> available_before + available_delta
   OR locked_after <> locked_before + locked_delta""",
)

REASONS = Law(
    "reasons",
    "A ledger row moves available and locked as its reason says.",
    (LEDGER,),
    """
SELECT ticket_id AS ticket, holder_id AS holder, asset, seq, transaction_type, reason, amount, available_delta,
    locked_delta
FROM asset_transactions
WHERE (transaction_type, sign(amount), available_delta, locked_delta) IS DISTINCT FROM (
    CASE WHEN reason IN ('DEPOSIT',
        'WITHDRAWAL') THEN reason WHEN reason = 'LOCK' THEN 'TRADE_DEBIT' ELSE 'TRADE_CREDIT' END,
    CASE WHEN reason IN ('WITHDRAWAL', 'LOCK') THEN -1 ELSE 1 END,
    CASE WHEN reason = 'SETTLE_OUT' THEN 0 ELSE amount END,
    CASE WHEN reason IN ('LOCK', 'RELEASE', 'SETTLE_OUT') THEN -amount ELSE 0 END)""",
)

CONSERVATION = Law(
    "conservation",
    "What all holders have of an asset is what was deposited less what was withdrawn.",
    ("balances", LEDGER),
    """
SELECT asset, held, made FROM (SELECT asset, sum(available + locked) AS held FROM balances GROUP BY 1) AS b
FULL JOIN (SELECT asset, sum(available_delta) FILTER (WHERE reason IN ('DEPOSIT', 'WITHDRAWAL')) AS made
           FROM asset_transactions GROUP BY 1) AS l USING (asset)
WHERE coalesce(held, 0) <> coalesce(made, 0)""",
)

LEGS = Law(
    "legs",
    "A trade has exactly its four legs and the release of a better price, and creates nothing.",
    (TRADES, LEDGER),
    """
SELECT t.ticket_id AS ticket, t.id AS trade, t.quantity, t.cost, t.better, a.* FROM (
    SELECT t.id, t.ticket_id, t.certificate_type, t.quantity::numeric, t.quantity * t.price AS cost, t.buyer_id,
        t.seller_id,
           coalesce(t.quantity * (b.price - t.price), 0) AS better, t.buy_order_id, t.sell_order_id
    FROM cash_market_trades t JOIN orders b ON b.id = t.buy_order_id) AS t
JOIN LATERAL (SELECT
    count(*) AS rows,
    count(*) FILTER (WHERE reason = 'SETTLE_OUT' AND holder_id = t.seller_id AND asset = t.certificate_type
                     AND locked_delta = -t.quantity AND order_id = t.sell_order_id) AS given,
    count(*) FILTER (WHERE reason = 'SETTLE_IN' AND holder_id = t.buyer_id AND asset = t.certificate_type
                     AND available_delta = t.quantity AND order_id = t.buy_order_id) AS taken,
    count(*) FILTER (WHERE reason = 'SETTLE_OUT' AND holder_id = t.buyer_id AND asset = 'EUR'
                     AND locked_delta = -t.cost AND order_id = t.buy_order_id) AS paid,
    count(*) FILTER (WHERE reason = 'SETTLE_IN' AND holder_id = t.seller_id AND asset = 'EUR'
                     AND available_delta = t.cost AND order_id = t.sell_order_id) AS earned,
    count(*) FILTER (WHERE reason = 'RELEASE' AND holder_id = t.buyer_id AND asset = 'EUR'
                     AND available_delta = t.better AND order_id = t.buy_order_id) AS released,
    count(*) FILTER (WHERE l.ticket_id = t.ticket_id) AS told_by_its_ticket
    FROM asset_transactions l WHERE l.trade_id = t.id) AS a ON true
WHERE t.better < 0 OR (rows, given, taken, paid, earned, released, told_by_its_ticket)
    <> (4 + (t.better > 0)::int, 1, 1, 1, 1, (t.better > 0)::int, 4 + (t.better > 0)::int)""",
)

STRAYS = Law(
    "strays",
    "A ledger row of a trade or an order names one that exists, and only those name one.",
    (LEDGER,),
    """
SELECT l.ticket_id AS ticket, l.holder_id AS holder, l.asset, l.seq, l.reason, l.trade_id AS trade,
    l.order_id AS "order"
FROM asset_transactions l LEFT JOIN orders o ON o.id = l.order_id LEFT JOIN cash_market_trades t ON t.id = l.trade_id
WHERE (l.reason IN ('DEPOSIT', 'WITHDRAWAL')) IS DISTINCT FROM (o.id IS NULL)
   OR (l.trade_id IS NULL) IS DISTINCT FROM (t.id IS NULL)
   OR (l.reason IN ('SETTLE_IN', 'SETTLE_OUT') AND t.id IS NULL) OR o.user_id <> l.holder_id
   OR (l.reason IN ('DEPOSIT', 'WITHDRAWAL', 'LOCK') AND t.id IS NOT NULL)""",
)

DEPOSITS = Law(
    "deposits",
    "An approved deposit was credited once, in full, to its user; no other was.",
    ("deposits",),
    """
SELECT l.ticket_id AS ticket, d.id AS deposit, d.status, d.amount, count(l.id) AS credits, sum(l.amount) AS credited
FROM deposits d
LEFT JOIN ticket_logs t ON t.entity_id = d.id::text AND t.action_type = 'DEPOSIT_APPROVED' AND t.status = 'SUCCESS'
LEFT JOIN asset_transactions l ON l.ticket_id = t.ticket_id AND l.reason = 'DEPOSIT' AND l.asset = 'EUR'
      AND l.holder_id = d.user_id
GROUP BY 1, 2, 3, 4
HAVING (count(l.id), coalesce(sum(l.amount), 0))
    <> ((d.status = 'APPROVED')::int, CASE d.status WHEN 'APPROVED' THEN d.amount ELSE 0 END)""",
)

# ---------------------------------------------------------------------------------------------------- orders and trades

FILLS = Law(
    "fills",
    "What an order filled is the sum of its trades, from 0 to its quantity, and its status says so.",
    ("orders", TRADES),
    """
SELECT o.ticket_id AS ticket, o.id AS "order", o.status, o.cancel_reason, o.quantity, o.filled_quantity,
       coalesce(t.quantity, 0) AS traded, o.filled_notional, coalesce(t.notional, 0) AS traded_notional
FROM orders o LEFT JOIN (
    SELECT order_id, sum(quantity) AS quantity, sum(quantity * price) AS notional FROM (
        SELECT buy_order_id AS order_id, quantity, price FROM cash_market_trades
        UNION ALL SELECT sell_order_id, quantity, price
            FROM cash_market_trades) AS legs GROUP BY 1) AS t ON t.order_id = o.id
WHERE o.filled_quantity <> coalesce(t.quantity, 0) OR o.filled_notional <> coalesce(t.notional, 0)
   OR NOT (0 <= o.filled_quantity AND o.filled_quantity <= o.quantity)
   OR o.status <> CASE WHEN o.cancel_reason IS NOT NULL THEN 'CANCELLED' WHEN o.filled_quantity = 0 THEN 'OPEN'
                       WHEN o.filled_quantity < o.quantity THEN 'PARTIALLY_FILLED' ELSE 'FILLED' END
   OR (o.filled_quantity = o.quantity AND o.cancel_reason IS NOT NULL)
   OR (o.order_type = 'LIMIT') <> (o.price IS NOT NULL)
   OR ((o.order_type, o.time_in_force) <> ('LIMIT', 'GTC') AND o.status IN ('OPEN', 'PARTIALLY_FILLED'))""",
)

RESERVES = Law(
    "reserves",
    "An order locked what it could need, and what its rows leave locked is the reserve of what is still open.",
    ("orders", LEDGER),
    """
SELECT o.ticket_id AS ticket, o.id AS "order", o.status, o.needed, l.reserved, o.open AS reserve, l.locked
FROM (SELECT *, CASE WHEN side = 'SELL' THEN quantity ELSE coalesce(quantity * price, filled_notional) END AS needed,
             CASE WHEN status NOT IN ('OPEN', 'PARTIALLY_FILLED') THEN 0
                  ELSE (quantity - filled_quantity) * CASE side WHEN 'BUY' THEN price ELSE 1 END END AS open
      FROM orders) AS o
LEFT JOIN (SELECT order_id, sum(locked_delta) FILTER (WHERE reason = 'LOCK') AS reserved, sum(locked_delta) AS locked
           FROM (SELECT l.*, CASE o.side WHEN 'BUY' THEN 'EUR' ELSE o.certificate_type::text END AS pays
                 FROM asset_transactions l JOIN orders o ON o.id = l.order_id) AS l
           WHERE asset = pays GROUP BY 1) AS l ON l.order_id = o.id
WHERE (o.needed, o.open) IS DISTINCT FROM (l.reserved, l.locked)""",
)

LOCKED = Law(
    "locked",
    "What a holder has locked of an asset is the reserve of his open orders.",
    ("balances", "orders"),
    """
SELECT b.holder_id AS holder, asset, b.locked, o.reserve, o.tickets
FROM (SELECT user_id AS holder_id, CASE side WHEN 'BUY' THEN 'EUR' ELSE certificate_type END AS asset,
             sum((quantity - filled_quantity) * CASE side WHEN 'BUY' THEN price ELSE 1 END) AS reserve,
             min(ticket_id) || ' and ' || count(*) - 1 || ' more' AS tickets
      FROM orders WHERE status IN ('OPEN', 'PARTIALLY_FILLED') GROUP BY 1, 2) AS o
FULL JOIN (SELECT holder_id, asset::text AS asset, locked FROM balances) AS b USING (holder_id, asset)
WHERE coalesce(o.reserve, 0) IS DISTINCT FROM coalesce(b.locked, 0)""",
)

CROSSED = Law(
    "crossed",
    "The best bid of a book is below its best ask.",
    ("orders",),
    """
WITH best AS (
    SELECT DISTINCT ON (certificate_type, side) certificate_type, side, price, ticket_id FROM orders
    WHERE status IN ('OPEN', 'PARTIALLY_FILLED')
    ORDER BY certificate_type, side, CASE side WHEN 'BUY' THEN -price ELSE price END, priority)
SELECT b.ticket_id AS bid_ticket, s.ticket_id AS ask_ticket, certificate_type, b.price AS bid, s.price AS ask
FROM best b JOIN best s USING (certificate_type) WHERE b.side = 'BUY' AND s.side = 'SELL' AND b.price >= s.price""",
)

PRICES = Law(
    "prices",
    "A trade is between the limits of a buy and a sell of two holders, at the price of the one that rested.",
    (TRADES, "orders"),
    """
SELECT t.ticket_id AS ticket, t.id AS trade, t.price, b.price AS buy_limit, s.price AS sell_limit, t.taker_side
FROM cash_market_trades t LEFT JOIN orders b ON b.id = t.buy_order_id LEFT JOIN orders s ON s.id = t.sell_order_id
WHERE t.price > coalesce(b.price, t.price) OR t.price < coalesce(s.price, t.price) OR t.buyer_id = t.seller_id
   OR t.price IS DISTINCT FROM CASE t.taker_side WHEN 'BUY' THEN s.price ELSE b.price END
   OR (b.user_id, b.side, b.certificate_type) IS DISTINCT FROM (t.buyer_id, 'BUY', t.certificate_type)
   OR (s.user_id, s.side, s.certificate_type) IS DISTINCT FROM (t.seller_id, 'SELL', t.certificate_type)
   OR t.market_maker_id IS DISTINCT FROM s.market_maker_id""",
)

HOLDERS = Law(
    "holders",
    "A market maker only sells, for its own user, and who is inactive has no open order.",
    ("orders",),
    """
SELECT o.ticket_id AS ticket, o.id AS "order", o.side, o.status, u.is_active AS user_is_active,
    m.is_active AS maker_is_active
FROM orders o JOIN users u ON u.id = o.user_id LEFT JOIN market_maker_clients m ON m.id = o.market_maker_id
WHERE (o.market_maker_id IS NOT NULL AND (o.side <> 'SELL' OR m.user_id IS DISTINCT FROM o.user_id))
   OR (o.status IN ('OPEN', 'PARTIALLY_FILLED') AND NOT (u.is_active AND coalesce(m.is_active, true)))""",
)

# ---------------------------------------------------------------------------------------------------------- the journal

BOOKS = Law(
    "books",
    "The row of a book is its last event: sequence, priority and last price.",
    ("books", EVENTS),
    """
SELECT b.certificate_type, b.sequence, e.n AS events, e.last AS last_sequence, b.priority, e.placed,
    e.newest AS last_priority,
       b.last_price, t.price AS last_trade
FROM books b CROSS JOIN LATERAL (
    SELECT count(*) AS n, coalesce(max(sequence), 0) AS last, count(*) FILTER (WHERE kind = 'PLACED') AS placed,
           coalesce(max(priority) FILTER (WHERE kind = 'PLACED'), 0) AS newest
    FROM book_events e WHERE e.certificate_type = b.certificate_type) AS e
LEFT JOIN LATERAL (SELECT price FROM cash_market_trades t WHERE t.certificate_type = b.certificate_type
                   ORDER BY sequence DESC, position DESC LIMIT 1) AS t ON true
WHERE (b.sequence, b.sequence, b.priority, b.priority, b.last_price)
      IS DISTINCT FROM (e.n, e.last, e.placed, e.newest, t.price)""",
)

JOURNAL = Law(
    "journal",
    "An order was placed by one event and, if asked for later, cancelled by one, with its figures and its ticket.",
    ("orders", EVENTS),
    """
SELECT coalesce(o.ticket_id, e.ticket) AS ticket, coalesce(o.id, e.order_id) AS "order", o.status, o.cancel_reason,
    o.price,
       e.price AS event_price, o.quantity, e.quantity AS event_quantity, o.priority, e.priority AS event_priority,
       coalesce(e.placed, 0) AS placed, coalesce(e.cancelled, 0) AS cancelled
FROM orders o FULL JOIN (
    SELECT order_id, min(ticket_id) AS ticket, count(*) FILTER (WHERE kind = 'PLACED') AS placed,
           count(*) FILTER (WHERE kind = 'CANCELLED') AS cancelled,
           min(ticket_id) FILTER (WHERE kind = 'PLACED') AS placed_by,
               min(price) FILTER (WHERE kind = 'PLACED') AS price,
           min(quantity) FILTER (WHERE kind = 'PLACED') AS quantity, min(priority) AS priority,
           max(priority) AS priority_max, min(certificate_type) AS certificate_type
    FROM book_events GROUP BY 1) AS e ON e.order_id = o.id
WHERE (o.ticket_id, o.price, o.quantity, o.priority, o.priority, o.certificate_type, 1)
      IS DISTINCT FROM (e.placed_by, e.price, e.quantity, e.priority, e.priority_max, e.certificate_type, e.placed)
   OR e.cancelled <> (coalesce(o.cancel_reason, '') IN ('REQUESTED', 'DEACTIVATED'))::int""",
)

MATCHES = Law(
    "matches",
    "A trade belongs to the event that placed its taker, and the trades of an event are numbered from 0.",
    (TRADES, EVENTS),
    """
SELECT t.ticket_id AS ticket, t.id AS trade, t.certificate_type, t.sequence, t.position, t.nth, e.kind,
    e.order_id AS placed,
       t.taker
FROM (SELECT *, row_number() OVER (PARTITION BY certificate_type, sequence ORDER BY position) - 1 AS nth,
             CASE taker_side WHEN 'BUY' THEN buy_order_id ELSE sell_order_id END AS taker FROM cash_market_trades) AS t
LEFT JOIN book_events e USING (certificate_type, sequence)
WHERE (e.kind, e.order_id, t.position) IS DISTINCT FROM ('PLACED', t.taker, t.nth)""",
)

# -------------------------------------------------------------------------------------------- tickets and their effects

# What a SUCCESS ticket wrote, by its action: (action, effect, at least, at most); of what is not listed, nothing.
EFFECTS = Law(
    "effects",
    "A SUCCESS ticket has the rows that its action makes and no others; a FAILED ticket has none; no row lacks one.",
    ("ticket_logs", "orders", TRADES, EVENTS, LEDGER),
    """
WITH rule(action, effect, least, most) AS (VALUES
    ('PLACED', 'order', 1, 1), ('PLACED', 'PLACED', 1, 1), ('PLACED', 'LOCK', 1, 1), ('PLACED', 'RELEASE', 0, 1),
    ('CANCELLED', 'CANCELLED', 1, 1), ('CANCELLED', 'RELEASE', 1, 1),
    ('TRADE', 'trade', 1, 1), ('TRADE', 'SETTLE_OUT', 2, 2), ('TRADE', 'SETTLE_IN', 2, 2), ('TRADE', 'RELEASE', 0, 1),
    ('ASSET_DEPOSIT', 'DEPOSIT', 1, 1), ('ASSET_WITHDRAWAL', 'WITHDRAWAL', 1, 1), ('MM_CREATED', 'DEPOSIT', 0, 3),
    ('DEPOSIT_REQUESTED', 'deposit', 1, 1), ('DEPOSIT_APPROVED', 'DEPOSIT', 1, 1),
    ('TRADE_SETTLED', 'settlement', 1, 1), ('DATA_ARCHIVED', 'archive', 1, 1)),
done AS (
    SELECT ticket_id, effect, count(*) AS n FROM (
        SELECT ticket_id, CASE ticket_status WHEN 'SUCCESS' THEN 'order' ELSE ticket_status END AS effect FROM orders
        UNION ALL SELECT ticket_id, 'trade' FROM cash_market_trades
        UNION ALL SELECT ticket_id, kind FROM book_events UNION ALL SELECT ticket_id, reason FROM asset_transactions
        UNION ALL SELECT ticket_id, 'settlement' FROM trade_settlements UNION ALL SELECT ticket_id, 'deposit'
            FROM deposits UNION ALL SELECT ticket_id, 'archive' FROM payload_archives
    ) AS e GROUP BY 1, 2),
owed AS (
    SELECT t.ticket_id, r.effect, r.least, r.most FROM ticket_logs t JOIN rule r ON t.status = 'SUCCESS'
        AND r.action = CASE
        WHEN t.action_type IN ('ORDER_PLACED', 'MM_ORDER_PLACED') THEN 'PLACED'
        WHEN t.action_type IN ('TRADE_EXECUTED', 'MM_TRADE_EXECUTED') THEN 'TRADE'
        WHEN t.action_type = 'TRADE_SETTLED' AND t.entity_id IS NULL THEN NULL  -- of several: each has its own
        WHEN t.action_type NOT IN ('ORDER_CANCELLED', 'MM_ORDER_CANCELLED') THEN t.action_type
        WHEN t.entity_type = 'ORDER' THEN 'CANCELLED' END)
SELECT ticket_id AS ticket, t.action_type AS action, t.status, effect, coalesce(d.n, 0) AS found,
       coalesce(o.least, 0) AS least, coalesce(o.most, 0) AS most
FROM done d FULL JOIN owed o USING (ticket_id, effect) LEFT JOIN ticket_logs t USING (ticket_id)
WHERE coalesce(d.n, 0) NOT BETWEEN coalesce(o.least, 0) AND coalesce(o.most, 0)""",
)

ENTITIES = Law(
    "entities",
    "A ticket names the order, trade or ledger row that it made, and a trade's ticket the tickets of both orders.",
    ("ticket_logs", "orders", TRADES, EVENTS, LEDGER),
    """
SELECT t.ticket_id AS ticket, t.action_type AS action, e.id AS made, t.entity_id AS named,
    t.related_ticket_ids AS related,
       e.related AS expected
FROM (SELECT ticket_id, id, 'ORDER' AS kind, market_maker_id, NULL::text[] AS related FROM orders
      UNION ALL SELECT ticket_id, order_id, 'ORDER', NULL, NULL FROM book_events
      UNION ALL SELECT t.ticket_id, t.id, 'TRADE', t.market_maker_id, ARRAY[b.ticket_id::text, s.ticket_id::text]
                FROM cash_market_trades t JOIN orders b ON b.id = t.buy_order_id JOIN orders s ON s.id = t.sell_order_id
      UNION ALL SELECT l.ticket_id, l.id, 'ASSET_TRANSACTION', l.market_maker_id, NULL FROM asset_transactions l
                JOIN ticket_logs t USING (ticket_id) WHERE t.action_type IN ('ASSET_DEPOSIT', 'ASSET_WITHDRAWAL')
      UNION ALL SELECT ticket_id, id, 'DEPOSIT', NULL, NULL FROM deposits) AS e
JOIN ticket_logs t USING (ticket_id)
WHERE (t.entity_id, t.entity_type) IS DISTINCT FROM (e.id::text, e.kind)
   OR (e.related IS NOT NULL AND t.related_ticket_ids <> e.related)
   OR (e.market_maker_id IS NOT NULL AND t.market_maker_id IS DISTINCT FROM e.market_maker_id)
   OR (e.kind IN ('ORDER', 'TRADE') AND (t.action_type LIKE 'MM%') <> (t.market_maker_id IS NOT NULL))""",
)

FILLED = Law(
    "filled",
    "Each order that became full has one ticket that says so, and no other order has one.",
    ("orders", "ticket_logs"),
    """
SELECT coalesce(t.ticket, o.ticket_id) AS ticket, entity_id AS "order", o.status, coalesce(t.n, 0) AS tickets
FROM (SELECT id::text AS entity_id, ticket_id, status FROM orders) AS o
FULL JOIN (SELECT entity_id, min(ticket_id) AS ticket, count(*) AS n FROM ticket_logs
           WHERE action_type = 'ORDER_FILLED' GROUP BY 1) AS t USING (entity_id)
WHERE coalesce(t.n, 0) <> coalesce((o.status = 'FILLED')::int, 0)""",
)

WRITTEN_ONCE = Law(
    "written-once",
    "A ticket stands as the transaction that it names wrote it.",
    ("ticket_logs",),
    """
SELECT ticket_id AS ticket, txid, xmin AS written_by FROM ticket_logs t
WHERE xmin::text::bigint <> txid::text::bigint % 4294967296
  AND xmin::text::bigint NOT IN (SELECT txid::text::bigint % 4294967296 FROM rewrites)
  AND (year, number) > ALL (SELECT year, number FROM ticket_logs WHERE action_type = 'DATA_RESTORED'
      AND status = 'SUCCESS')""",
)

SAME_TRANSACTION = Law(
    "same-transaction",
    "Every row that never changes was written by the transaction of its ticket.",
    ("ticket_payloads", LEDGER, TRADES, EVENTS),
    """
SELECT t.ticket_id AS ticket, t.txid AS ticket_written_by, e.xid AS row_written_by, e.name AS "table", e.key
FROM (SELECT ticket_id, xmin AS xid, 'asset_transactions' AS name, id::text AS key FROM asset_transactions
      UNION ALL SELECT ticket_id, xmin, 'cash_market_trades', id::text FROM cash_market_trades
      UNION ALL SELECT ticket_id, xmin, 'trade_settlements', trade_id::text FROM trade_settlements
      UNION ALL SELECT ticket_id, xmin, 'book_events', certificate_type || ' ' || sequence FROM book_events
      UNION ALL SELECT ticket_id, xmin, 'payload_archives', id::text FROM payload_archives
      UNION ALL SELECT t.ticket_id, p.xmin, 'ticket_payloads', t.ticket_id FROM ticket_payloads p
                JOIN ticket_logs t USING (year, number)) AS e
JOIN ticket_logs t USING (ticket_id)
WHERE e.xid::text::bigint <> t.txid::text::bigint % 4294967296
  AND (t.year, t.number) > ALL (SELECT year, number FROM ticket_logs WHERE action_type = 'DATA_RESTORED'
      AND status = 'SUCCESS')""",
)

ERASED = Law(
    "erased",
    "A payload belongs to a ticket, and one that is gone was sealed and archived before.",
    ("ticket_payloads", "ticket_logs"),
    """
SELECT t.ticket_id AS ticket, p.year AS payload_year, p.number AS payload_number, t."timestamp"
FROM ticket_logs t FULL JOIN ticket_payloads p USING (year, number)
WHERE t.ticket_id IS NULL
   OR (p.salt IS NULL AND NOT EXISTS (
       SELECT FROM audit_leaves l JOIN payload_archives a ON l.leaf_index < a.tree_size AND t."timestamp" < a.before
       WHERE l.kind = 'ticket' AND l.year = t.year AND l.number = t.number))""",
)

RELATIONS = Law(
    "relations",
    "The tickets that a ticket is related to exist, and none is newer.",
    ("ticket_logs",),
    # Newer by clock and by transaction: a clock may be set back, and a transaction may wait behind one begun after it.
    """
SELECT t.ticket_id AS ticket, r.id AS related, t."timestamp", o."timestamp" AS related_timestamp
FROM ticket_logs t CROSS JOIN LATERAL unnest(t.related_ticket_ids) AS r(id) LEFT
    JOIN ticket_logs o ON o.ticket_id = r.id
WHERE o.ticket_id IS NULL OR (o."timestamp" > t."timestamp" AND o.txid > t.txid)
    OR o.ticket_id = t.ticket_id""",
)

ATTEMPTS = Law(
    "attempts",
    "A ticket fails with a code and as the only one of its attempt, and no two share an attempt.",
    ("ticket_logs",),
    """
SELECT ticket_id AS ticket, status, error_code, attempt_id AS attempt
FROM (SELECT *, count(attempt_id) OVER (PARTITION BY attempt_id) AS n FROM ticket_logs WHERE attempt_id IS NOT NULL
      UNION ALL SELECT *, 0 FROM ticket_logs WHERE attempt_id IS NULL) AS t
WHERE n > 1 OR (status = 'FAILED' AND attempt_id IS NULL) OR (status = 'FAILED') <> (error_code IS NOT NULL)""",
)

KEYS = Law(
    "keys",
    "An idempotency key stands for a ticket of its actor with that outcome.",
    ("idempotency",),
    """
SELECT i.ticket_id AS ticket, i.field, i.status, t.status AS ticket_status, i.actor_id AS actor,
    t.user_id AS ticket_actor
FROM idempotency i LEFT JOIN ticket_logs t USING (ticket_id) LEFT JOIN ticket_payloads p USING (year, number)
WHERE (i.status, i.actor_id) IS DISTINCT FROM (t.status, t.user_id) OR i.outcome <> p.response_data""",
)

# ---------------------------------------------------------------------------------------------------------- the numbers

YEARS = Law(
    "years",
    "A ticket's number is of the year of its timestamp, and its id is written from both.",
    ("ticket_logs",),
    """
SELECT ticket_id AS ticket, year, number, "timestamp" FROM ticket_logs
WHERE year <> extract(year FROM "timestamp" AT TIME ZONE 'UTC')
   OR ticket_id <> 'TKT-' || year || '-' || lpad(number::text, greatest(6, length(number::text)), '0')""",
)

LEASES = Law(
    "leases",
    "No number is leased twice.",
    ("ticket_leases",),
    """
SELECT id AS lease, year, lo, hi, hi_before FROM (
    SELECT *, max(hi) OVER (PARTITION BY year ORDER BY lo, id ROWS BETWEEN UNBOUNDED PRECEDING
        AND 1 PRECEDING) AS hi_before
    FROM ticket_leases) AS l
WHERE lo <= hi_before""",
)

LEASED = Law(
    "leased",
    "Every ticket's number stands in a lease.",
    ("ticket_logs", "ticket_leases"),
    """
SELECT t.ticket_id AS ticket, t.number, l.id AS lease_below, l.hi FROM ticket_logs t
LEFT JOIN LATERAL (SELECT id, hi FROM ticket_leases l WHERE l.year = t.year AND l.lo <= t.number
    ORDER BY l.lo DESC LIMIT 1)
    AS l ON true
WHERE t.number > coalesce(l.hi, 0)""",
)

VOIDS = Law(
    "voids",
    "A void lies in its closed lease and holds no ticket and no other void's number.",
    ("ticket_voids",),
    """
SELECT t.ticket_id AS ticket, v.year, v.lo, v.hi, v.hi_before, l.id AS lease, l.lo AS lease_lo, l.hi AS lease_hi,
    l.closed_at
FROM (SELECT *, max(hi) OVER (PARTITION BY year ORDER BY lo ROWS BETWEEN UNBOUNDED PRECEDING
    AND 1 PRECEDING) AS hi_before
      FROM ticket_voids) AS v
LEFT JOIN ticket_leases l ON l.id = v.lease_id
LEFT JOIN ticket_logs t ON t.year = v.year AND t.number BETWEEN v.lo AND v.hi
WHERE t.ticket_id IS NOT NULL OR v.lo <= v.hi_before OR v.hi < v.lo OR l.closed_at IS NULL
   OR (v.year, true, true) IS DISTINCT FROM (l.year, v.lo >= l.lo, v.hi <= l.hi)""",
)

NUMBERS = Law(
    "numbers",
    "Every number of a closed lease is a ticket or void.",
    ("ticket_leases", "ticket_logs", "ticket_voids"),
    """
SELECT 'TKT-' || l.year || '-' || lpad(n.first::text, greatest(6, length(n.first::text)), '0') AS ticket, l.id AS lease,
       l.lo, l.hi, t.n AS tickets, v.n AS void
FROM ticket_leases l
CROSS JOIN LATERAL (SELECT count(*) AS n FROM ticket_logs t WHERE t.year = l.year AND t.number BETWEEN l.lo
    AND l.hi) AS t
CROSS JOIN LATERAL (SELECT coalesce(sum(v.hi - v.lo + 1), 0) AS n FROM ticket_voids v WHERE v.lease_id = l.id) AS v
CROSS JOIN LATERAL (
    SELECT min(g.one) AS first FROM generate_series(l.lo, l.hi) AS g(one) WHERE t.n + v.n < l.hi - l.lo + 1
    AND NOT EXISTS (SELECT FROM ticket_logs t WHERE t.year = l.year AND t.number = g.one)
    AND NOT EXISTS (SELECT FROM ticket_voids v WHERE v.year = l.year AND g.one BETWEEN v.lo AND v.hi)) AS n
WHERE l.closed_at IS NOT NULL AND t.n + v.n < l.hi - l.lo + 1""",
)

# ------------------------------------------------------------------------------------------------------ what is derived

COUNTS = Law(
    "counts",
    "The counts behind statistics are those of the tickets that they fold, in each detail and each grain.",
    ("ticket_counts", "ticket_logs"),
    """
WITH details (detail, by_action, by_user, by_maker) AS (VALUES
    ('STATUS', false, false, false), ('ACTION', true, false, false), ('USER', false, true, false),
    ('FULL', true, true, true)),
grains (grain, length) AS (VALUES ('MINUTE', interval '1 minute'), ('QUARTER', interval '15 minutes'),
    ('DAY', interval '1 day'), ('PERIOD', interval '30 days')),
kept AS (SELECT now() - interval '35 days' AS since),
of_tickets AS (
    SELECT 'FULL' AS detail, g.grain, date_bin(g.length, t."timestamp", timestamptz '2000-01-01 00:00:00+00') AS at,
           t.status, t.action_type, t.error_code, t.user_id, t.market_maker_id, count(*) AS n,
           max(t."timestamp") AS last
    FROM ticket_logs t CROSS JOIN grains g
    WHERE t.txid < (SELECT txid FROM ticket_folds WHERE name = 'counts')
      AND (g.grain = 'QUARTER' OR g.grain = 'MINUTE' AND t."timestamp" >= (SELECT since FROM kept))
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8),
of_counts AS (
    SELECT d.detail, g.grain, date_bin(g.length, c.at, timestamptz '2000-01-01 00:00:00+00') AS at, c.status,
           CASE WHEN d.by_action THEN c.action_type END AS action_type,
           CASE WHEN d.by_action THEN c.error_code END AS error_code,
           CASE WHEN d.by_user THEN c.user_id END AS user_id,
           CASE WHEN d.by_maker THEN c.market_maker_id END AS market_maker_id,
           sum(c.n) AS n, max(c.last) AS last
    FROM of_tickets c CROSS JOIN details d CROSS JOIN grains g
    WHERE c.grain = CASE g.grain WHEN 'MINUTE' THEN 'MINUTE' ELSE 'QUARTER' END
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8),
both_of AS (
    SELECT *, 0 AS counted, NULL::timestamptz AS counted_last FROM of_counts
    UNION ALL
    SELECT detail, grain, starts_at, status, action_type, error_code, user_id, market_maker_id, 0, NULL,
           tickets, last_at
    FROM ticket_counts)
SELECT detail || ' by ' || grain AS count, at::text AS starting, status, action_type AS action, error_code AS error,
       user_id AS user, market_maker_id AS maker, sum(counted) AS counted, sum(n) AS tickets,
       max(counted_last) AS last_counted, max(last) AS last
FROM both_of WHERE grain <> 'MINUTE' OR at >= (SELECT since FROM kept) + interval '1 minute'
GROUP BY detail, grain, at, status, action_type, error_code, user_id, market_maker_id
HAVING sum(counted) <> sum(n) OR max(counted_last) IS DISTINCT FROM max(last)
ORDER BY detail, grain, at LIMIT 1""",
)
assert f"interval '{stats.MINUTES_KEPT.days} days'" in COUNTS.sql, "minutes are checked as far as they are read"

LAWS = (
    BALANCES, AMOUNTS, RUNNING, REASONS, CONSERVATION, LEGS, STRAYS, DEPOSITS,
    FILLS, RESERVES, LOCKED, CROSSED, PRICES, HOLDERS,
    BOOKS, JOURNAL, MATCHES,
    EFFECTS, ENTITIES, FILLED, WRITTEN_ONCE, SAME_TRANSACTION, ERASED, RELATIONS, ATTEMPTS, KEYS,
    YEARS, LEASES, LEASED, VOIDS, NUMBERS, COUNTS,
)  # fmt: skip
