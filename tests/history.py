"""A market with a past: orders, trades and ledger rows with times as a test wants them, written without the desk."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from tests.world import Api, Trader

# Over the nights in which Europe sets its clocks forward, and ends a month.
START, END = datetime(2026, 3, 27, 22, 0, tzinfo=UTC), datetime(2026, 4, 2, 3, 0, tzinfo=UTC)
ORDERS = ("id", "user_id", "market_maker_id", "certificate_type", "side", "order_type", "time_in_force", "price",
          "quantity", "priority", "created_at", "ticket_id", "filled_quantity", "filled_notional", "status",
          "cancel_reason", "updated_at")  # fmt: skip
TRADES = ("id", "certificate_type", "sequence", "position", "price", "quantity", "buy_order_id", "sell_order_id",
          "buyer_id", "seller_id", "market_maker_id", "taker_side", "executed_at", "ticket_id")  # fmt: skip
ENTRIES = ("id", "holder_id", "market_maker_id", "asset", "transaction_type", "reason", "amount", "available_delta",
           "locked_delta", "balance_after", "locked_after", "seq", "created_at", "ticket_id")  # fmt: skip


@dataclass
class History:
    """What was written, as rows by column. ticket: the one that all rows name; it is that of the first maker."""

    ticket: str = ""
    makers: list[tuple[UUID, UUID]] = field(default_factory=list)  # (maker, its user)
    traders: list[Trader] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    trades: list[dict[str, Any]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)


async def write(api: Api, trades: int, *, seed: int = 7, first: int = 1) -> History:
    """Write a history of so many trades, two orders each. first: the sequence of the first one."""
    rng, past = random.Random(seed), History()
    for _ in range(3):
        maker = await api.maker()
        past.ticket = past.ticket or maker["ticketId"]
        past.makers.append((UUID(maker["id"]), UUID(maker["user"]["id"])))
        past.traders.append(await api.trader())
    span = int((END - START).total_seconds())
    times = sorted(START + timedelta(seconds=rng.randrange(span), microseconds=rng.randrange(10**6))
                   for _ in range(trades))  # fmt: skip
    seqs: dict[tuple[UUID, str], int] = {}
    for index, at in enumerate(times, start=first):
        _trade(past, rng, index, at)
        _entry(past, rng, at, seqs)
    connection = await asyncpg.connect(api.database_url)
    for table, columns, rows in (
        ("orders", ORDERS, past.orders),
        ("cash_market_trades", TRADES, past.trades),
        ("asset_transactions", ENTRIES, past.entries),
    ):
        await _insert(connection, table, columns, rows)
    settled = past.trades[::3]
    await connection.executemany(
        "INSERT INTO trade_settlements (trade_id, registry_reference, settled_at, settled_by, ticket_id)"
        " VALUES ($1, 'R', $2, $3, $4)",
        [(one["id"], one["executed_at"], past.makers[0][1], past.ticket) for one in settled],
    )
    for one in past.trades:
        one["status"] = "EXECUTED"
    for one in settled:
        one["status"] = "SETTLED"
    await connection.close()
    return past


def _trade(past: History, rng: random.Random, index: int, at: datetime) -> None:
    certificate = rng.choice(("CEA", "EUA"))
    price, quantity = Decimal(rng.randrange(2_000, 9_000)) / 100, Decimal(rng.randrange(1, 500))
    buyer, other = (UUID(one.id) for one in rng.sample(past.traders, 2))
    maker, seller = rng.choice([(None, other), *past.makers])
    ids = {}
    for side, user, of_maker in (("BUY", buyer, None), ("SELL", seller, maker)):
        is_market, rest = rng.random() < 0.2, Decimal(rng.choice((0, 0, 7)))
        order = {
            "id": uuid4(), "user_id": user, "market_maker_id": of_maker, "certificate_type": certificate, "side": side,
            "order_type": "MARKET" if is_market else "LIMIT", "time_in_force": rng.choice(("GTC", "IOC")),
            "price": None if is_market else price, "quantity": quantity + rest,
            "priority": 2 * index + (side == "SELL"), "created_at": at - timedelta(seconds=rng.randrange(4)),
            "ticket_id": past.ticket, "filled_quantity": quantity, "filled_notional": price * quantity,
            "status": "CANCELLED" if rest else "FILLED", "cancel_reason": "IOC_REMAINDER" if rest else None,
            "updated_at": at,
        }  # fmt: skip
        past.orders.append(order)
        ids[side] = order["id"]
    past.trades.append({
        "id": uuid4(), "certificate_type": certificate, "sequence": index, "position": 0, "price": price,
        "quantity": quantity, "buy_order_id": ids["BUY"], "sell_order_id": ids["SELL"], "buyer_id": buyer,
        "seller_id": seller, "market_maker_id": maker, "taker_side": rng.choice(("BUY", "SELL")), "executed_at": at,
        "ticket_id": past.ticket,
    })  # fmt: skip


def _entry(past: History, rng: random.Random, at: datetime, seqs: dict[tuple[UUID, str], int]) -> None:
    maker, holder = rng.choice([(None, UUID(past.traders[0].id)), *past.makers])
    asset, is_deposit = rng.choice(("CEA", "EUA", "EUR")), rng.random() < 0.7
    size = Decimal(rng.randrange(1, 10**6)) / (100 if asset == "EUR" else 1)
    seqs[holder, asset] = seqs.get((holder, asset), 0) + 1
    amount = size if is_deposit else -size
    kind = "DEPOSIT" if is_deposit else "WITHDRAWAL"
    past.entries.append({
        "id": uuid4(), "holder_id": holder, "market_maker_id": maker, "asset": asset, "transaction_type": kind,
        "reason": kind, "amount": amount, "available_delta": amount, "locked_delta": Decimal(0),
        "balance_after": Decimal(10**9), "locked_after": Decimal(0), "seq": seqs[holder, asset], "created_at": at,
        "ticket_id": past.ticket,
    })  # fmt: skip


async def _insert(
    connection: asyncpg.Connection[asyncpg.Record], table: str, columns: Sequence[str], rows: list[dict[str, Any]]
) -> None:
    places = ", ".join(f"${index}" for index in range(1, len(columns) + 1))
    await connection.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})",
        [[row[column] for column in columns] for row in rows],
    )
