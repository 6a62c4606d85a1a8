"""What is watched as it changes: trades and orders from the journal, balances from the ledger; each change once.

One reader per feed and process asks the database for what came after its place, woken by notices and at least once a
second, and hands it to every watcher. A notice only wakes, so a lost Redis costs a second and never a change. The
reader runs while somebody watches. A watcher who does not keep up is ended with an error, never shown less than all.
"""

from __future__ import annotations

import asyncio
import heapq
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic, TypeAlias, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

import db.journal
import db.ledger
import db.makers
import db.orders
from api.errors import Code, RequestError
from api.events import Events, Keep, cancel
from db.ledger import AccountKey
from db.orders import OrderFilter, TradeFilter
from db.read import Reader
from domain.ledger import Balance
from domain.market import Order, Trade
from domain.money import CertificateType

POLL_S = 1.0  # without any notice: Redis may be away
PACE_S = 0.02  # between two reads, so that a busy market costs at most 50 a second
READ_MAX = 500  # journal entries or balances of one read
# Changes that one watcher may lag behind. One commit may hold thousands: a cancel-all, a sweep. All watchers share the
# records, some 12 MB at most; his queue only points to them.
QUEUE_MAX = 10_000
assert READ_MAX < QUEUE_MAX and PACE_S < POLL_S

T = TypeVar("T")
Change: TypeAlias = Order | Trade
log = structlog.get_logger(__name__)


class Watcher(Generic[T]):
    """What one watcher has not taken yet."""

    def __init__(self, wants: Callable[[T], bool]) -> None:
        self._wants = wants
        self._waiting: deque[T] = deque()
        self._moved = asyncio.Event()
        self._error: Exception | None = None
        self._is_over = False

    def offer(self, item: T) -> None:
        """Put a change if it is one of his; never waits."""
        if self._is_over or not self._wants(item):
            return
        if len(self._waiting) == QUEUE_MAX:
            self.end(
                RequestError(
                    f"You did not keep up: {QUEUE_MAX} changes waited. Subscribe again, then query what you missed.",
                    Code.RATE_LIMITED,
                    reason="LAGGED",
                )
            )
            return
        self._waiting.append(item)
        self._moved.set()

    def end(self, error: Exception | None = None) -> None:
        """End his stream, with an error if it ends too early."""
        self._is_over, self._error = True, error
        self._waiting.clear()
        self._moved.set()

    def __aiter__(self) -> Watcher[T]:
        return self

    async def __anext__(self) -> T:
        while not self._waiting:
            if self._error:
                raise self._error
            if self._is_over:
                raise StopAsyncIteration
            self._moved.clear()
            await self._moved.wait()
        return self._waiting.popleft()


class Feed(ABC, Generic[T]):
    """A reader and its watchers."""

    def __init__(self, events: Events, reader: Reader, channel: str) -> None:
        self._events = events
        self._reader = reader
        self._channel = channel
        self._watchers: set[Watcher[T]] = set()
        self._task: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    @abstractmethod
    async def _begin(self) -> None:
        """Take the place from which to read."""

    @abstractmethod
    async def _read(self) -> tuple[list[T], bool]:
        """Return what came after the place and move it there; and whether more is waiting."""

    async def stop(self) -> None:
        """End the reader and all watchers."""
        task, self._task = self._task, None
        if task:
            await cancel([task])
        for watcher in self._watchers:
            watcher.end()

    async def _join(self, watcher: Watcher[T]) -> None:
        """Hand everything to a watcher that is read from now on; call `_leave` whatever becomes of this."""
        self._watchers.add(watcher)
        async with self._opening:
            if self._task is None:
                await self._begin()
                self._task = asyncio.create_task(self._serve(), name=f"{type(self).__name__} feed")
                self._task.add_done_callback(self._ended)

    def _leave(self, watcher: Watcher[T]) -> None:
        self._watchers.discard(watcher)
        if not self._watchers and self._task:
            self._task.cancel()
            self._task = None

    async def _serve(self) -> None:
        with self._events.listen(self._channel, keep=Keep.LATEST) as wake:
            while True:
                try:
                    changes, is_more = await self._read()
                except (SQLAlchemyError, OSError, TimeoutError) as error:
                    log.warning("feed_waits", feed=self._channel, error=repr(error))
                    await asyncio.sleep(POLL_S)
                    continue
                for change in changes:
                    for watcher in self._watchers:
                        watcher.offer(change)
                    await asyncio.sleep(0)  # lets those who keep up take it
                if not is_more:
                    await asyncio.sleep(PACE_S)
                    await wake.get(POLL_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Tell the watchers when the reader failed in a way it cannot go on from; who watches next begins a new one."""
        if task.cancelled() or self._task is not task:
            return
        self._task = None
        error = task.exception()
        log.error("feed_ended", feed=self._channel, exc_info=error)
        for watcher in self._watchers:
            watcher.end(error if isinstance(error, Exception) else RuntimeError("the feed ended"))


class Journal(Feed[Change]):
    """Trades and orders, in the order of each book."""

    def __init__(self, events: Events, reader: Reader) -> None:
        super().__init__(events, reader, "book")
        self._heads: dict[CertificateType, int] = {}

    async def trades(self, wanted: TradeFilter) -> AsyncGenerator[Trade, None]:
        """Yield each trade made from now on that the filter fits.

        Raises: RequestError (RATE_LIMITED: the watcher lags).
        """

        def wants(change: Change) -> bool:
            return isinstance(change, Trade) and db.orders.is_one_of(change, wanted)

        async with aclosing(self._watch(wants)) as changes:
            async for change in changes:
                if isinstance(change, Trade):
                    yield change

    async def orders(self, wanted: OrderFilter) -> AsyncGenerator[Order, None]:
        """Yield each order that a command changes from now on, as it stands right after it, if the filter fits it then.

        Raises: RequestError (RATE_LIMITED: the watcher lags).
        """

        def wants(change: Change) -> bool:
            return isinstance(change, Order) and db.orders.matches(change, wanted)

        async with aclosing(self._watch(wants)) as changes:
            async for change in changes:
                if isinstance(change, Order):
                    yield change

    async def _watch(self, wants: Callable[[Change], bool]) -> AsyncGenerator[Change, None]:
        watcher = Watcher(wants)
        try:
            await self._join(watcher)
            async for change in watcher:
                yield change
        finally:
            self._leave(watcher)

    async def _begin(self) -> None:
        self._heads = await db.orders.sequences(self._reader)

    async def _read(self) -> tuple[list[Change], bool]:
        newest = await db.orders.sequences(self._reader)
        assert all(newest[book] >= head for book, head in self._heads.items()), "the database went back in time"
        found = {
            certificate_type: await db.journal.entries_after(self._reader, certificate_type, head, READ_MAX)
            for certificate_type, head in self._heads.items()
            if newest[certificate_type] > head
        }
        for certificate_type, entries in found.items():
            if entries:
                self._heads[certificate_type] = entries[-1].sequence
        # Clocks may step back; a merge keeps the order of each book whatever they say.
        changes: list[Change] = []
        for entry in heapq.merge(*found.values(), key=lambda entry: entry.at):
            changes += entry.trades
            changes += entry.orders
        return changes, any(len(entries) == READ_MAX for entries in found.values())


class Holdings(Feed[Balance]):
    """Balances of single holders, and of all market makers together (holder None)."""

    def __init__(self, events: Events, reader: Reader) -> None:
        super().__init__(events, reader, "balances")
        self._wanted: Counter[UUID | None] = Counter()
        self._shown: dict[AccountKey, Balance] = {}  # up to where each wanted account was read; a new one is missing

    async def balances(self, holder_id: UUID | None) -> AsyncGenerator[Balance, None]:
        """Yield the balances of now, then each one that is committed.

        Raises: RequestError (RATE_LIMITED: the watcher lags).
        """

        def wants(balance: Balance) -> bool:
            return balance.market_maker_id is not None if holder_id is None else balance.holder_id == holder_id

        watcher = Watcher(wants)
        is_counted = False
        try:
            # Joined before the look at the database, so that nothing slips between the two; what therefore comes twice
            # is passed over by its number.
            await self._join(watcher)
            now = await self._now(holder_id)
            self._want(holder_id, now)
            is_counted = True
            seqs = {(balance.holder_id, balance.asset): balance.seq for balance in now}
            for balance in now:
                yield balance
            async for balance in watcher:
                key = balance.holder_id, balance.asset
                if balance.seq > seqs.get(key, 0):
                    seqs[key] = balance.seq
                    yield balance
        finally:
            self._leave(watcher)
            if is_counted:
                self._forget(holder_id)

    async def _now(self, holder_id: UUID | None) -> list[Balance]:
        holders = await db.makers.holders(self._reader) if holder_id is None else [holder_id]
        found = await db.ledger.balances_of(self._reader, holders)
        return [balance for mine in found.values() for balance in mine]

    def _want(self, holder_id: UUID | None, now: list[Balance]) -> None:
        """Read these accounts from now on; one that is read already goes on from where that stands."""
        for balance in now:
            if not self._is_wanted(balance):
                self._shown[balance.holder_id, balance.asset] = balance
        self._wanted[holder_id] += 1

    def _forget(self, holder_id: UUID | None) -> None:
        """Drop what nobody wants any more."""
        self._wanted[holder_id] -= 1
        self._wanted += Counter()  # only what is above 0 stays
        self._shown = {key: balance for key, balance in self._shown.items() if self._is_wanted(balance)}

    def _is_wanted(self, balance: Balance) -> bool:
        return balance.holder_id in self._wanted or (None in self._wanted and balance.market_maker_id is not None)

    async def _begin(self) -> None:
        """Nothing: each watcher brings the places of his accounts."""

    async def _read(self) -> tuple[list[Balance], bool]:
        holders = [holder_id for holder_id in self._wanted if holder_id]
        if not self._wanted:
            return [], False
        newest = await db.ledger.seqs(self._reader, holders, with_makers=None in self._wanted)
        places = {
            key: seq
            for key, newest_seq in newest.items()
            if (seq := self._shown[key].seq if key in self._shown else 0) < newest_seq
        }
        changes = await db.ledger.balances_after(self._reader, places, READ_MAX) if places else []
        for balance in changes:
            self._shown[balance.holder_id, balance.asset] = balance
        return changes, len(changes) == READ_MAX
