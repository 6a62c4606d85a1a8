"""Keep one picture of each certificate's order book per process, and show it to any number of watchers.

A picture is always the exact book of one committed sequence; the only thing that can be wrong with it is its age.
Notices carry it forward, the database carries it over every gap: a notice ahead of its turn, a RESYNC, or a sequence
in the database (read once a second) that no notice explained. So a lost Redis costs a second, never a wrong book.
"""

import asyncio
import logging
import math
import time
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple, Self

import db.orders
from api.events import RESYNC, Events, Item, Message, cancel, supervise
from db.read import Reader
from domain.book import OrderSide
from domain.money import CertificateType

log = logging.getLogger(__name__)

CHANNEL: Final = "book"
CHECKSUM_LEVELS: Final = 10

PACE_S: Final = 0.05  # one certificate shows at most 20 pictures a second: more than an eye or a poll can use
RESEND_S: Final = 4.0  # without a change; the contract promises 5 s
TICK_S: Final = 1.0  # the database is asked for its sequences
PATIENCE_S: Final = 0.1  # two processes publish after their commits, so notices may change places on the way
LOAD_S_MAX: Final = 5.0  # the statement time-out of the database
QUERY_S_MAX: Final = 2.0
RETRY_S: Final = 0.5  # after a failed read
WATCH_S_MAX: Final = 10.0  # a watcher never waits longer for anything
AHEAD_MAX: Final = 256  # notices kept for their turn; the read that they wait for covers them anyway

assert PACE_S < PATIENCE_S < TICK_S < RESEND_S < 5 < WATCH_S_MAX


class Level(NamedTuple):
    """One price of one side."""

    price: Decimal  # EUR
    quantity: Decimal  # certificates
    order_count: int


@dataclass(frozen=True)
class BookPicture:
    """The whole book of one committed sequence, shared by all who look."""

    certificate_type: str
    sequence: int
    bids: tuple[Level, ...]  # best first
    asks: tuple[Level, ...]  # best first
    last_price: Decimal | None
    at: datetime  # the last moment at which this was known to be the newest committed book

    @cached_property
    def checksum(self) -> int:
        """Give the contract's checksum of the best ten levels a side."""
        return checksum(self.bids, self.asks)

    @property
    def is_crossed(self) -> bool:
        """Tell whether the best bid reaches the best ask, which no committed book does."""
        return bool(self.bids and self.asks) and self.bids[0].price >= self.asks[0].price


class BookUnavailableError(Exception):
    """Say that no picture of a book could be had yet."""


Load = Callable[[str], Awaitable[BookPicture]]
Sequences = Callable[[], Awaitable[Mapping[str, int]]]


async def read_picture(reader: Reader, certificate_type: str) -> BookPicture:
    """Read the whole book of the newest committed sequence."""
    record = await db.orders.book(reader, CertificateType(certificate_type))
    sides = {
        side: tuple(Level(one.price, one.quantity, one.order_count) for one in record.levels if one.side is side)
        for side in OrderSide
    }
    return BookPicture(
        certificate_type=record.certificate_type.value,
        sequence=record.sequence,
        bids=sides[OrderSide.BUY],
        asks=sides[OrderSide.SELL],
        last_price=record.last_price,
        at=record.at,
    )


async def read_sequences(reader: Reader) -> Mapping[str, int]:
    """Read the newest committed sequence of each book."""
    found = await db.orders.sequences(reader)
    return {certificate_type.value: sequence for certificate_type, sequence in found.items()}


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """Compute CRC-32 over the best ten bids, then the best ten asks, as the strings that are sent.

    Source: contract.graphql, OrderBook.checksum
    """
    sides = (("b", bids), ("a", asks))
    levels = ((letter, level) for letter, side in sides for level in side[:CHECKSUM_LEVELS])
    text = "".join(f"{letter}:{level.price:.2f}:{level.quantity:.0f};" for letter, level in levels)
    return zlib.crc32(text.encode("ascii"))


_SIDES: Final = {"BUY": "BUY", "SELL": "SELL"}  # shares one string, refuses every other


def _exact(text: str) -> Decimal:
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError(f"not a finite number: {text}")
    return value


@dataclass(frozen=True, slots=True)
class BookNotice:
    """What one committed batch changed in one book: absolute quantities, 0 for a level that is gone."""

    certificate_type: str
    sequence: int
    previous_sequence: int
    changes: tuple[tuple[str, Level], ...]  # (BUY | SELL, level)
    last_price: Decimal | None
    at: datetime

    @classmethod
    def of(cls, message: Message) -> Self:
        """Read a notice from the wire.

        Raises: ValueError
        """
        try:
            last_price = message["lastPrice"]
            notice = cls(
                certificate_type=str(message["certificateType"]),
                sequence=int(message["sequence"]),
                previous_sequence=int(message["previousSequence"]),
                changes=tuple(
                    (_SIDES[side], Level(_exact(price), _exact(quantity), int(count)))
                    for side, price, quantity, count in message["changes"]
                ),
                last_price=None if last_price is None else _exact(last_price),
                at=datetime.fromisoformat(message["at"]).astimezone(UTC),
            )
            if notice.previous_sequence >= notice.sequence:
                raise ValueError("its sequence does not go up")
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise ValueError(f"not a book notice: {error!r}") from error
        return notice

    def message(self) -> dict[str, Any]:
        """Write the notice for the wire."""
        return {
            "certificateType": self.certificate_type,
            "sequence": self.sequence,
            "previousSequence": self.previous_sequence,
            "changes": [
                [side, str(level.price), str(level.quantity), level.order_count] for side, level in self.changes
            ],
            "lastPrice": None if self.last_price is None else str(self.last_price),
            "at": self.at.isoformat(),
        }


class _Book:
    """Hold one certificate's levels between two pictures. Plain computation: nothing here waits."""

    def __init__(self, certificate_type: str) -> None:
        self.certificate_type = certificate_type
        self.picture: BookPicture | None = None
        self.version = 0  # one up with each picture shown
        self.shown = asyncio.Event()  # set, and replaced, when a picture is shown
        self.shown_at = 0.0
        self.changed = False  # since the picture
        self.gap_since: float | None = None
        self.must_load = True
        self.loading = False
        self._ahead: dict[int, BookNotice] = {}
        self._sides: dict[str, dict[Decimal, Level]] = {"BUY": {}, "SELL": {}}
        self._last_price: Decimal | None = None
        self._at = datetime.min.replace(tzinfo=UTC)
        self.sequence = -1  # nothing is known

    def hear(self, notice: BookNotice) -> None:
        """Apply a notice, or keep it until its turn."""
        if notice.sequence <= self.sequence:
            return
        self._ahead[notice.previous_sequence] = notice
        self._catch_up()
        if len(self._ahead) > AHEAD_MAX:
            self.give_up_waiting()

    def give_up_waiting(self) -> None:
        """Let the database explain what no notice did; the read that follows covers all that was kept."""
        self._ahead.clear()
        self.gap_since = None
        self.must_load = True

    def adopt(self, loaded: BookPicture) -> None:
        """Replace the levels by those of the database, unless notices have come further meanwhile."""
        if loaded.sequence < self.sequence:
            return
        self._sides = {
            "BUY": {level.price: level for level in loaded.bids},
            "SELL": {level.price: level for level in loaded.asks},
        }
        self.sequence, self._last_price, self._at = loaded.sequence, loaded.last_price, max(self._at, loaded.at)
        self.changed = True
        self.gap_since = None
        self._catch_up()

    def forget(self) -> None:
        """Trust nothing until the database was read; the picture shown keeps its age."""
        self.sequence = -1
        self._at = datetime.min.replace(tzinfo=UTC)
        self.changed = False
        self.give_up_waiting()

    def confirm(self, at: datetime) -> None:
        """Note that the database had nothing newer at that moment."""
        self._at = max(self._at, at)

    def show(self) -> None:
        """Make the picture that all watchers share, and wake them."""
        self.shown_at = time.monotonic()
        if self.changed:
            picture = BookPicture(
                certificate_type=self.certificate_type,
                sequence=self.sequence,
                bids=tuple(level for _, level in sorted(self._sides["BUY"].items(), reverse=True)),
                asks=tuple(level for _, level in sorted(self._sides["SELL"].items())),
                last_price=self._last_price,
                at=self._at,
            )
            if picture.is_crossed:
                log.error("book %s is crossed at sequence %d; it is read again", self.certificate_type, self.sequence)
                self.forget()
                return
            self.picture, self.changed = picture, False
        elif self.picture is None:
            return
        elif self.picture.sequence == self.sequence:
            self.picture = replace(self.picture, at=self._at)
        self.version += 1
        self.shown.set()
        self.shown = asyncio.Event()

    @property
    def show_due(self) -> float:
        """Tell when the next picture is due, on the monotonic clock."""
        return self.shown_at + (PACE_S if self.changed else RESEND_S)

    @property
    def gap_due(self) -> float:
        """Tell when a gap has lasted too long, on the monotonic clock."""
        reading = self.must_load or self.loading
        return math.inf if self.gap_since is None or reading else self.gap_since + PATIENCE_S

    def _catch_up(self) -> None:
        while self._ahead:
            # A merged notice may start before us: its quantities are absolute, so it still ends at its sequence.
            fitting = [notice for notice in self._ahead.values() if notice.previous_sequence <= self.sequence]
            if not fitting:
                break
            for notice in fitting:
                del self._ahead[notice.previous_sequence]
            newest = max(fitting, key=lambda notice: notice.sequence)
            if newest.sequence > self.sequence:
                self._apply(newest)
        if not self._ahead:
            self.gap_since = None
        elif self.gap_since is None:
            self.gap_since = time.monotonic()

    def _apply(self, notice: BookNotice) -> None:
        for side, level in notice.changes:
            if level.quantity:
                self._sides[side][level.price] = level
            else:
                self._sides[side].pop(level.price, None)
        self.sequence, self._last_price = notice.sequence, notice.last_price
        self._at = max(self._at, notice.at)
        self.changed = True


class Books:
    """Keep the pictures of all certificates and show them to watchers."""

    def __init__(self, events: Events, certificate_types: Iterable[str], load: Load, sequences: Sequences) -> None:
        """Take the hub and two reads of the primary database: one whole book, and every book's sequence."""
        self._events = events
        self._load_book = load
        self._read_sequences = sequences
        self._books = {certificate_type: _Book(certificate_type) for certificate_type in certificate_types}
        self._load_wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._running = False
        self.watchers = 0
        self.loads = 0

    async def start(self) -> None:
        """Start all tasks; the first pictures follow as soon as the database answers."""
        assert not self._running, "the book feed was started twice"
        self._running = True
        for name, work in (("books follow", self._follow), ("books load", self._load), ("books poll", self._poll)):
            self._tasks.append(asyncio.create_task(supervise(name, work), name=name))

    async def stop(self) -> None:
        """End all tasks and watchers."""
        self._running = False
        await cancel(self._tasks)
        self._tasks.clear()
        for book in self._books.values():
            book.shown.set()

    def current(self, certificate_type: str) -> BookPicture | None:
        """Give the picture of now; None until the first was read."""
        return self._books[certificate_type].picture

    async def watch(self, certificate_type: str) -> AsyncGenerator[BookPicture, None]:
        """Yield the picture of now, then the newest after each change, and again every few seconds without one.

        Raises: BookUnavailableError
        """
        book = self._books[certificate_type]
        seen = 0
        self.watchers += 1
        try:
            while self._running:
                if book.picture is not None and book.version != seen:
                    seen = book.version
                    yield book.picture
                    continue
                shown = book.shown
                try:
                    async with asyncio.timeout(WATCH_S_MAX):
                        await shown.wait()
                except TimeoutError:
                    if book.picture is None:
                        raise BookUnavailableError(f"no book of {certificate_type} could be read") from None
                    seen = 0  # whatever holds the feed up, the watcher hears that we are here
        finally:
            self.watchers -= 1

    # Hears notices and shows pictures; never waits for the database.
    async def _follow(self) -> None:
        with self._events.listen(CHANNEL) as listener:
            self._want(self._books.values())
            while True:
                due = min(min(book.show_due, book.gap_due) for book in self._books.values())
                item = await listener.get(max(due - time.monotonic(), 0))
                if item is not None:
                    self._hear(item)
                now = time.monotonic()
                for book in self._books.values():
                    if now >= book.gap_due:
                        book.give_up_waiting()
                    if now >= book.show_due:
                        book.show()
                    if book.must_load:
                        self._load_wanted.set()

    def _hear(self, item: Item) -> None:
        if item is RESYNC:
            self._want(self._books.values())
            return
        try:
            notice = BookNotice.of(item)
            self._books[notice.certificate_type].hear(notice)
        except (ValueError, KeyError):
            log.exception("a notice that cannot be read; every book is read again")
            self._want(self._books.values())

    # Reads whole books from the database, only when somebody wants one.
    async def _load(self) -> None:
        while True:
            await self._load_wanted.wait()
            self._load_wanted.clear()
            wanted = [book for book in self._books.values() if book.must_load]
            done = await asyncio.gather(*map(self._load_one, wanted))
            if not all(done):
                await asyncio.sleep(RETRY_S)
                self._load_wanted.set()

    async def _load_one(self, book: _Book) -> bool:
        book.must_load = False  # what is wanted from here on, this read may not cover
        book.loading = True
        try:
            async with asyncio.timeout(LOAD_S_MAX):
                loaded = await self._load_book(book.certificate_type)
            self.loads += 1
            if loaded.is_crossed:
                raise ValueError(f"crossed at sequence {loaded.sequence}")
        except Exception as error:  # whatever the driver raises: the book is read again, its age is seen meanwhile
            log.warning("book %s could not be read: %r", book.certificate_type, error)
            book.must_load = True
            return False
        finally:
            book.loading = False
        book.adopt(loaded)
        if book.changed:
            book.show()
        return not book.must_load

    # Compares with the database, so that a notice lost without a trace is missed by a second only.
    async def _poll(self) -> None:
        reported = False
        while True:
            await asyncio.sleep(TICK_S)
            at = datetime.now(UTC)
            before = {name: book.sequence for name, book in self._books.items()}
            try:
                async with asyncio.timeout(QUERY_S_MAX):
                    found = await self._read_sequences()
            except Exception as error:  # whatever the driver raises: asked again in a second
                if not reported:
                    log.warning("the sequences of the books could not be read: %r", error)
                reported = True
                continue
            reported = False
            behind = self._compare(at, before, found)
            if behind:
                await asyncio.sleep(PATIENCE_S)  # its notice may be on the way
                self._want(book for book in behind if book.sequence < found[book.certificate_type])

    def _compare(self, at: datetime, before: Mapping[str, int], found: Mapping[str, int]) -> list[_Book]:
        behind = []
        for name, book in self._books.items():
            sequence = found.get(name)
            if sequence is None:
                continue
            if sequence < before[name]:
                log.error("book %s went back from %d to %d in the database", name, before[name], sequence)
                book.forget()
                self._load_wanted.set()
            elif book.sequence >= sequence:
                book.confirm(at)
            else:
                behind.append(book)
        return behind

    def _want(self, books: Iterable[_Book]) -> None:
        for book in books:
            book.must_load = True
            self._load_wanted.set()
