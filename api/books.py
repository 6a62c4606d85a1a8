"""Keep one picture of each certificate's order book per process, and show it to any number of watchers.

A picture is always the exact book of one committed sequence; the only thing that can be wrong with it is its age.
Notices carry it forward, the database carries it over every gap: a notice ahead of its turn, a RESYNC, or a sequence
in the database (read once a second) that no notice explained. So a lost Redis costs a second, never a wrong book.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

import db.journal
import db.orders
from api.events import RESYNC, Events, Item, cancel, supervise
from api.ladder import NEVER, BookNotice, BookPicture, Changes, Ladder, Level
from db.read import Reader
from domain.book import OrderSide
from domain.money import CertificateType

log = logging.getLogger(__name__)

CHANNEL: Final = "book"

PACE_S: Final = 0.05  # one certificate shows at most 20 pictures a second: more than an eye or a poll can use
TELL_PACE_S: Final = 0.02  # the first change is told at once; in a busy market at most 50 messages a second
RESEND_S: Final = 4.0  # without a change; the contract promises 5 s
TICK_S: Final = 1.0  # the database is asked for its sequences
BEAT_S_MAX: Final = 1.2  # between heartbeats when the database does not answer
PATIENCE_S: Final = 0.1  # two processes publish after their commits, so notices may change places on the way
REACH_S_MAX: Final = 2.0  # for who comes from a process that was ahead: two looks at the database
RESUME_MAX: Final = 10_000  # commands that somebody may have missed; beyond it a whole book is less to read and send
LOAD_S_MAX: Final = 5.0  # the statement time-out of the database
QUERY_S_MAX: Final = 2.0
RETRY_S: Final = 0.5  # after a failed read
WATCH_S_MAX: Final = 10.0  # a watcher never waits longer for anything
AHEAD_MAX: Final = 256  # notices kept for their turn; the read that they wait for covers them anyway

assert TELL_PACE_S < PACE_S < PATIENCE_S < TICK_S < BEAT_S_MAX < RESEND_S < 5 < WATCH_S_MAX


class SnapshotReason(Enum):
    """Why a whole book is sent to somebody who follows its changes."""

    SUBSCRIBED = "SUBSCRIBED"
    RESYNC = "RESYNC"
    LAGGED = "LAGGED"


class BookUnavailableError(Exception):
    """Say that no picture of a book could be had yet."""


Load = Callable[[str], Awaitable[BookPicture]]
Sequences = Callable[[], Awaitable[Mapping[str, int]]]
ChangesBetween = Callable[[str, int, int], Awaitable[Changes | None]]
"""What events of the journal changed after one sequence up to another; None when they are not all stored."""


async def read_picture(reader: Reader, certificate_type: str) -> BookPicture:
    """Read the whole book of the newest committed sequence."""
    return picture_of(await db.orders.book(reader, CertificateType(certificate_type)))


def picture_of(record: db.orders.BookRecord) -> BookPicture:
    """Return a book as it is shown."""
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


async def read_changes(reader: Reader, certificate_type: str, after: int, until: int) -> Changes | None:
    """Read what the journal says changed after one sequence up to another; None when it does not hold all of it."""
    found = await db.journal.levels_between(reader, CertificateType(certificate_type), after, until)
    if found is None:
        return None
    return {(level.side.value, level.price): Level(level.price, level.quantity, level.order_count) for level in found}


async def read_sequences(reader: Reader) -> Mapping[str, int]:
    """Read the newest committed sequence of each book."""
    found = await db.orders.sequences(reader)
    return {certificate_type.value: sequence for certificate_type, sequence in found.items()}


@dataclass(frozen=True, eq=False, slots=True)
class Snapshot:
    """A whole book as an event, and why it is sent."""

    picture: BookPicture
    reason: SnapshotReason


@dataclass(frozen=True, eq=False, slots=True)
class Delta:
    """What changed between two sequences: absolute quantities, 0 for a level that is gone."""

    sequence: int
    previous_sequence: int
    changes: tuple[tuple[str, Level], ...]  # (BUY | SELL, level)
    checksum: int  # of the book at `sequence`
    at: datetime


@dataclass(frozen=True, eq=False, slots=True)
class Heartbeat:
    """The sequence that the database had at a moment."""

    sequence: int
    at: datetime


BookEvent: TypeAlias = Snapshot | Delta | Heartbeat


class Place(NamedTuple):
    """How far somebody has been told about a book."""

    era: int
    sequence: int
    beat: int


NOWHERE: Final = Place(-1, -1, -1)  # was told nothing
ELSEWHERE: Final = Place(-2, -1, -1)  # was told what this database does not know


class _Book:
    """Hold one certificate's ladder, and what of it is shown. Plain computation: nothing here waits."""

    def __init__(self, certificate_type: str) -> None:
        self.certificate_type = certificate_type
        self.ladder = Ladder(certificate_type)
        self.picture: BookPicture | None = None
        self.version = 0  # one up with each picture shown
        self.shown = asyncio.Event()  # set, and replaced, when a picture is shown
        self.shown_at = 0.0
        self.changed = False  # since the picture
        self.on_show: set[Callable[[], None]] = set()
        self.here = NOWHERE  # what is told to those who follow changes: never further than this
        self.on_tell: set[Callable[[], None]] = set()
        self.told_at = 0.0
        self.heartbeat: Heartbeat | None = None
        self.beaten_at = time.monotonic()
        self.gap_since: float | None = None
        self.must_load = True
        self.loading = False
        self._ahead: dict[int, BookNotice] = {}
        self._at = NEVER
        self._checksum = 0
        self._snapshots: dict[SnapshotReason, Snapshot] = {}
        self._deltas: dict[int, Delta] = {}  # by the sequence that they start from; all end where we are

    @property
    def sequence(self) -> int:
        """The sequence of the ladder; -1 when nothing is known."""
        return self.ladder.sequence

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
        era, was = self.ladder.era, self.sequence
        if self.ladder.adopt(loaded):
            self.changed = True
            if era and self.ladder.era > era and was == loaded.sequence:
                log.error("book %s was not that of the database at sequence %d", self.certificate_type, was)
        self._at = max(self._at, loaded.at)
        self.gap_since = None
        self._catch_up()

    def forget(self) -> None:
        """Trust nothing until the database was read; the picture shown keeps its age."""
        self.ladder.forget()
        self._at = NEVER
        self.changed = False
        self.give_up_waiting()

    @property
    def known_at(self) -> datetime:
        """Tell when this was last known to be the newest book."""
        return self._at

    def confirm(self, at: datetime) -> None:
        """Note that the database had nothing newer at that moment."""
        self._at = max(self._at, at)

    # --- whole books

    def show(self) -> None:
        """Make the picture that all watchers share, and wake them."""
        self.shown_at = time.monotonic()
        if self.changed:
            if not self._is_sound():
                return
            self.picture, self.changed = self.ladder.picture(self._at), False
        elif self.picture is None:
            return
        elif self.picture.sequence == self.sequence:
            self.picture = replace(self.picture, at=self._at)
        self.version += 1
        self.shown.set()
        self.shown = asyncio.Event()
        for wake in self.on_show:
            wake()

    # --- changes

    def tell(self) -> None:
        """Let those who follow changes know how far the ladder is, and wake them."""
        ladder = self.ladder
        if ladder.sequence < 0 or (ladder.era, ladder.sequence) == self.here[:2] or not self._is_sound():
            return
        self.told_at = time.monotonic()
        self.here = Place(ladder.era, ladder.sequence, self.here.beat)
        self._checksum = ladder.checksum()
        self._snapshots.clear()
        self._deltas.clear()
        for wake in self.on_tell:
            wake()

    def beat(self, heartbeat: Heartbeat | None = None) -> None:
        """Tell what the database said last; without news its age tells."""
        self.beaten_at = time.monotonic()
        self.heartbeat = heartbeat or self.heartbeat
        if self.heartbeat:
            # An event of its own each time, though it may say the same: that we are here is news.
            self.heartbeat = replace(self.heartbeat)
            self.here = self.here._replace(beat=self.here.beat + 1)
            for wake in self.on_tell:
                wake()

    def next(self, place: Place) -> tuple[BookEvent, Place] | None:
        """Return what comes after a place, and the place after that; None when nothing does."""
        here = self.here
        if here.era < 0:
            return None
        if place.era != here.era:
            return self.snapshot(SnapshotReason.SUBSCRIBED if place == NOWHERE else SnapshotReason.RESYNC)
        if place.sequence < here.sequence:
            delta = self.delta(place.sequence)
            if delta is None:
                return self.snapshot(SnapshotReason.LAGGED)
            return delta, Place(here.era, here.sequence, place.beat)
        if place.beat < here.beat and self.heartbeat:
            return self.heartbeat, Place(place.era, place.sequence, here.beat)
        return None

    def snapshot(self, reason: SnapshotReason) -> tuple[Snapshot, Place] | None:
        """Return the whole book of now as an event; None when the ladder was just found to be unsound."""
        self.tell()  # the ladder may be further than what was told
        if self.sequence != self.here.sequence:
            return None
        found = self._snapshots.get(reason)
        if found is None:
            found = self._snapshots[reason] = Snapshot(self.ladder.picture(self._at), reason)
        return found, self.here

    def delta(self, sequence: int) -> Delta | None:
        """Return what changed since a sequence, merged; None when that is not known any more."""
        found = self._deltas.get(sequence)
        if found is None:
            changes = self.ladder.since(sequence, self.here.sequence)
            if changes is None:
                return None
            found = self._deltas[sequence] = self.told_since(sequence, changes)
        return found

    def told_since(self, sequence: int, changes: Changes) -> Delta:
        """Make the event of changes that lead from a sequence to what was told last."""
        levels = tuple((side, level) for (side, _), level in changes.items())
        return Delta(self.here.sequence, sequence, levels, self._checksum, self._at)

    # --- when

    @property
    def show_due(self) -> float:
        """Tell when the next picture is due, on the monotonic clock."""
        return self.shown_at + (PACE_S if self.changed else RESEND_S)

    @property
    def tell_due(self) -> float:
        """Tell when changes or a heartbeat are due, on the monotonic clock."""
        beat_due = self.beaten_at + BEAT_S_MAX
        if self.sequence < 0 or (self.ladder.era, self.sequence) == self.here[:2]:
            return beat_due
        return min(self.told_at + TELL_PACE_S, beat_due)

    @property
    def gap_due(self) -> float:
        """Tell when a gap has lasted too long, on the monotonic clock."""
        reading = self.must_load or self.loading
        return math.inf if self.gap_since is None or reading else self.gap_since + PATIENCE_S

    def _is_sound(self) -> bool:
        if not self.ladder.is_crossed:
            return True
        log.error("book %s is crossed at sequence %d; it is read again", self.certificate_type, self.sequence)
        self.forget()
        return False

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
                self.ladder.apply(newest)
                self._at = max(self._at, newest.at)
                self.changed = True
        if not self._ahead:
            self.gap_since = None
        elif self.gap_since is None:
            self.gap_since = time.monotonic()


class Books:
    """Keep the pictures of all certificates and show them to watchers."""

    def __init__(
        self,
        events: Events,
        certificate_types: Iterable[str],
        load: Load,
        sequences: Sequences,
        changes: ChangesBetween | None = None,
    ) -> None:
        """Take the hub and reads of the primary database: one whole book, every book's sequence, stored changes."""
        self._read_changes = changes
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

    def ages(self) -> Mapping[str, float]:
        """Tell how many seconds ago each book was last known to be the newest; one that was never read is left out."""
        now = datetime.now(UTC)
        known = {name: book.known_at for name, book in self._books.items() if book.known_at > NEVER}
        return {name: max((now - at).total_seconds(), 0.0) for name, at in known.items()}

    def behind(self) -> Mapping[str, int]:
        """Tell how many events of the database each book has not been told."""
        heard = {name: (book.heartbeat.sequence if book.heartbeat else -1) for name, book in self._books.items()}
        return {name: max(sequence - self._books[name].sequence, 0) for name, sequence in heard.items()}

    @property
    def hears_others(self) -> bool:
        """Tell whether notices of other processes arrive."""
        return self._events.connected

    def book(self, certificate_type: str) -> _Book:
        """Give what is shown and told of one book."""
        return self._books[certificate_type]

    async def resume(self, certificate_type: str, after: int) -> tuple[Place, tuple[BookEvent, Place] | None]:
        """Return where somebody goes on who saw a sequence, and his first step when it is read from the journal.

        NOWHERE, hence a whole book, when the changes since are not all stored, are too many or cannot be read.
        """
        book = self._books[certificate_type]
        book.tell()
        await self._reach(book, after)
        here = book.here
        if here.era < 0:
            return NOWHERE, None
        if here.sequence < after:  # nothing that this database had: it was restored, or the caller is elsewhere
            return ELSEWHERE, None
        seen = Place(here.era, after, here.beat - 1)  # a heartbeat at once tells him that he is heard
        if after == here.sequence or book.delta(after) is not None:
            return seen, None
        if self._read_changes is None or here.sequence - after > RESUME_MAX:
            return NOWHERE, None
        try:
            async with asyncio.timeout(LOAD_S_MAX):
                changes = await self._read_changes(certificate_type, after, here.sequence)
        except Exception as error:  # whatever the driver raises: a whole book does as well
            log.warning("changes of book %s could not be read: %r", certificate_type, error)
            return NOWHERE, None
        if changes is None or book.here[:2] != here[:2]:
            # Told further meanwhile: what leads from here to there is remembered, so both together are one step.
            later = (
                None
                if changes is None or book.here.era != here.era
                else book.ladder.since(here.sequence, book.here.sequence)
            )
            if changes is None or later is None:
                return NOWHERE, None
            changes |= later
        return seen, (book.told_since(after, changes), book.here._replace(beat=here.beat - 1))

    @staticmethod
    async def _reach(book: _Book, sequence: int) -> None:
        """Wait, not for long, until a book is told up to a sequence that another process may have told already."""
        told = asyncio.Event()
        book.on_tell.add(told.set)
        try:
            async with asyncio.timeout(REACH_S_MAX):
                while book.here.sequence < sequence or book.here.era < 0:
                    told.clear()
                    await told.wait()
        except TimeoutError:
            pass
        finally:
            book.on_tell.discard(told.set)

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
                due = min(min(book.show_due, book.tell_due, book.gap_due) for book in self._books.values())
                item = await listener.get(max(due - time.monotonic(), 0))
                if item is not None:
                    self._hear(item)
                now = time.monotonic()
                for book in self._books.values():
                    if now >= book.gap_due:
                        book.give_up_waiting()
                    if now >= book.tell_due:
                        book.tell()
                    if now >= book.beaten_at + BEAT_S_MAX:
                        book.beat()
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
        book.tell()
        if book.changed:
            book.show()
        return not book.must_load

    # Compares with the database, so that a notice lost without a trace is missed by a second only.
    async def _poll(self) -> None:
        reported, pause = False, 0.0  # at once first: a database that goes away early has said something by then
        while True:
            await asyncio.sleep(pause)
            pause = TICK_S
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
            for name, sequence in found.items():
                self._books[name].beat(Heartbeat(sequence, at))
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
