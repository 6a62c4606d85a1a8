"""An open transaction: what is written in it, the numbers of its tickets, and what the world is told after it.

It neither begins nor commits; `db.unit` does.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import asyncpg
from sqlalchemy import Table

from db import tables
from domain.tickets import Attempt, Draft, Story, text_line

if TYPE_CHECKING:
    from db.numbers import Number, Numbers

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

TURNS_TO_THE_WIRE = 2  # of the event loop: the statement is handed over in the first and written after it


class StartOver(Exception):
    """The same work will go better now: a ticket number was dispensed twice by a Redis that went back in time, or
    another attempt with the same idempotency key ended first."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the world may know once it is committed."""

    channel: str
    message: Mapping[str, Any]


_NO_TIME = datetime.min.replace(tzinfo=UTC)


class Transaction:
    """An open transaction that will hold one or many tickets, and what is to be told after it."""

    def __init__(self, connection: Connection, numbers: Numbers, meanwhile: Callable[[], None] | None = None) -> None:
        """Take also what to do once all is sent, while the server works on the last of it."""
        self.connection = connection
        self.now = _NO_TIME
        self.notices: list[Notice] = []
        self.drafts: list[Draft] = []
        self.stored: Sequence[Draft] = ()  # the tickets that it wrote
        self.effects: defaultdict[str, list[str]] = defaultdict(list)
        self.gathers = False  # whether writes wait for `push` or `flush`
        self._waiting: list[tuple[str, tuple[Any, ...]]] = []
        self._sent: asyncio.Task[Any] | None = None
        self._meanwhile = meanwhile
        self._numbers = numbers
        self._leases: set[int] = set()
        self._drawn: list[Number] = []

    async def look_at_clock(self) -> None:
        """Fix `now`, the database's time, for every row of this transaction."""
        self.see_clock(await self.connection.fetchval("SELECT clock_timestamp()"))

    def see_clock(self, now: datetime) -> None:
        """Fix `now` once more, after a lock that orders this transaction behind the one before it."""
        self.now = now

    async def draw(self, count: int) -> list[tuple[int, int]]:
        """Return ticket numbers (year, number) that nobody will declare void before this transaction ends.

        Locks: the lease rows FOR SHARE.
        """
        drawn: list[Number] = []
        while len(drawn) < count:
            fresh = await self._numbers.draw(self.now.year, count - len(drawn))
            asked = {number.lease_id for number in fresh} - self._leases
            if asked:
                rows = await self.connection.fetch(
                    "SELECT id FROM ticket_leases WHERE id = ANY($1::bigint[]) AND closed_at IS NULL"
                    " ORDER BY id FOR SHARE",
                    list(asked),
                )
                self._leases |= {row["id"] for row in rows}
                if closed := asked - self._leases:
                    self._numbers.burn(closed)
            drawn += [number for number in fresh if number.lease_id in self._leases]
        self._drawn += drawn
        return [(number.year, number.number) for number in drawn]

    async def insert(self, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows in the order of `tables.written`; what a digest covers is noted down for its ticket."""
        if not rows:
            return
        columns = tables.columns_of(table, rows)
        if table in tables.EFFECTS:
            ticket_at = [column.name for column in tables.written(table)].index("ticket_id")
            covered = zip(*(columns[index] for index in tables.sealed(table)), strict=True)
            for row, values in zip(rows, covered, strict=True):
                self.effects[row[ticket_at]].append(text_line(table.name, values))
        await self.write(tables.insert_sql(table), *tables.arrays_of(table, columns))

    async def write(self, sql: str, *arguments: Any) -> None:
        """Run a statement that changes rows; when this transaction gathers, `push` or `flush` does."""
        if self.gathers:
            self._waiting.append((sql, arguments))
        else:
            await self.connection.execute(sql, *arguments)

    async def push(self) -> None:
        """Send what was gathered in one statement, and let the server work on it while the next part is written up.

        No part of a statement sees the rows of another; keys are checked at the end. A failure shows in the next push
        or in `flush`.
        """
        await self._arrived()
        if self._waiting:
            statements, arguments = zip(*self._waiting, strict=True)
            self._waiting = []
            sql, values = tables.together_sql(statements), itertools.chain.from_iterable(arguments)
            self._sent = asyncio.create_task(self.connection.execute(sql, *values), name="push")
            for _ in range(TURNS_TO_THE_WIRE):
                await asyncio.sleep(0)

    async def flush(self) -> None:
        """Send what was gathered and wait until all that was sent has been carried out."""
        await self.push()
        if self._meanwhile:
            self._meanwhile()
        await self._arrived()

    async def _arrived(self) -> None:
        sent, self._sent = self._sent, None
        if sent:
            await sent

    async def let_go(self) -> None:
        """Leave the connection free for a rollback: wait for what was sent, whatever became of it."""
        sent, self._sent = self._sent, None
        if sent:
            await asyncio.gather(sent, return_exceptions=True)

    def tell(self, channel: str, message: Mapping[str, Any]) -> None:
        """Leave a notice for the time after COMMIT."""
        self.notices.append(Notice(channel, message))

    def give_numbers_back(self) -> None:
        """Let others use the numbers of this transaction, which was rolled back for certain."""
        self._numbers.give_back(self._drawn)
        self._drawn = []

    def burn_numbers(self) -> None:
        """Never again draw from the leases used here."""
        self._numbers.burn(set(self._leases))


class Write(Transaction):
    """The transaction of one attempt; its root ticket has its number from the start."""

    def __init__(self, connection: Connection, numbers: Numbers, attempt: Attempt) -> None:
        super().__init__(connection, numbers)
        self.attempt = attempt
        self.root = Draft(attempt, Story(attempt.action_type, attempt.field))
        self.maker_id: UUID | None = None  # the market maker it is about, once found: a refusal's ticket names it too

    @property
    def ticket_id(self) -> str:
        return self.root.ticket_id

    async def open(self) -> None:
        await self.look_at_clock()
        self.root.number = (await self.draw(1))[0]

    def see_clock(self, now: datetime) -> None:
        """As above.

        Raises: StartOver when the year turned: the root's number is of the old one.
        """
        if self.root.number and self.root.number[0] != now.year:
            raise StartOver
        super().see_clock(now)
