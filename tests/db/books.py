"""The books of a process as a batch would find them, compared with the open orders."""

from __future__ import annotations

import asyncio
from typing import Any

from db import market
from db.transaction import Transaction
from domain.book import Book, OrderSide
from domain.money import CertificateType
from tests.db.process import Process


async def empty_books(one: Process) -> None:
    """Cancel what the test before left in the books."""
    rows = await one.pool.fetch(
        "SELECT id, user_id, market_maker_id FROM orders WHERE status IN ('OPEN', 'PARTIALLY_FILLED')"
    )
    await asyncio.gather(*(one.cancel(row["id"], None if row["market_maker_id"] else row["user_id"]) for row in rows))


async def books_of(one: Process) -> dict[CertificateType, Book]:
    """Return the books of a process, brought up to date as a batch would."""
    async with one.desk_pool.transaction() as connection:
        states = await market.lock(Transaction(connection, one.numbers))
        return await one.desk._books.up_to_date(connection, states)


async def rebuilt(one: Process) -> dict[CertificateType, Book]:
    """Return the books as the open orders give them."""
    async with one.desk_pool.transaction() as connection:
        states = await market.lock(Transaction(connection, one.numbers))
        return await market.Books().up_to_date(connection, states)


def content(books: dict[CertificateType, Book]) -> Any:
    return {
        certificate: (
            book.sequence,
            book.priority,
            book.last_price,
            {
                side: [(price, level.quantity, list(level.orders.values())) for price, level in book.sides[side]]
                for side in OrderSide
            },
            {order_id: resting.remaining for order_id, resting in book.orders.items()},
        )
        for certificate, book in books.items()
    }


async def assert_same_books(*processes: Process) -> None:
    truth = content(await rebuilt(processes[0]))
    for number, opened in enumerate(processes):
        assert content(await books_of(opened)) == truth, f"process {number}"
