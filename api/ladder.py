"""The levels of one book as this process knows them, and the steps that led there: plain computation, nothing waits.

A ladder is always the exact book of one committed sequence. It remembers its newest steps, so that whoever saw an
earlier sequence can be told what has changed since, merged: quantities are absolute, the last word on a level counts.
"""

import zlib
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple, Self, TypeAlias

Message: TypeAlias = Mapping[str, Any]

CHECKSUM_LEVELS: Final = 10
STEPS_MAX: Final = 1_500  # kept: half a minute at 50 a second, longer than a stalled socket may live
STEP_CHANGES_MAX: Final = 30_000  # level changes in them, some 6 MB; a cancel-all of thousands of levels is one step

NEVER: Final = datetime.min.replace(tzinfo=UTC)


class Level(NamedTuple):
    """One price of one side."""

    price: Decimal  # EUR
    quantity: Decimal  # certificates
    order_count: int


Changes: TypeAlias = dict[tuple[str, Decimal], Level]  # by (BUY | SELL, price); quantity 0 for a level that is gone


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


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """Compute CRC-32 over the best ten bids, then the best ten asks, as the strings that are sent.

    Source: contract.graphql, OrderBook.checksum
    """
    sides = (("b", bids), ("a", asks))
    levels = ((letter, level) for letter, side in sides for level in side[:CHECKSUM_LEVELS])
    text = "".join(f"{letter}:{level.price:.2f}:{level.quantity:.0f};" for letter, level in levels)
    return zlib.crc32(text.encode("ascii"))


SIDES: Final = {"BUY": "BUY", "SELL": "SELL"}  # shares one string, refuses every other


def exact(text: str) -> Decimal:
    """Read a decimal.

    Raises: ValueError, ArithmeticError
    """
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError(f"not a finite number: {text}")
    return value


def level_of(stored: Sequence[Any]) -> tuple[str, Level]:
    """Read a level as it stands in notices and in the journal: [side, price, quantity, orders].

    Raises: KeyError, TypeError, ValueError, ArithmeticError
    """
    side, price, quantity, count = stored
    return SIDES[side], Level(exact(price), exact(quantity), int(count))


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
                changes=tuple(level_of(change) for change in message["changes"]),
                last_price=None if last_price is None else exact(last_price),
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


@dataclass(frozen=True, slots=True)
class Step:
    """What led from one sequence to a later one."""

    sequence: int
    changes: Changes


@dataclass(slots=True)
class _Side:
    """The levels of one side, and its prices in order: a book is read best first and changed by price."""

    levels: dict[Decimal, Level] = field(default_factory=dict)
    prices: list[Decimal] = field(default_factory=list)  # ascending

    @classmethod
    def of(cls, levels: Iterable[Level]) -> "_Side":
        found = {level.price: level for level in levels}
        return cls(found, sorted(found))

    def put(self, level: Level) -> None:
        if level.quantity:
            if level.price not in self.levels:
                insort(self.prices, level.price)
            self.levels[level.price] = level
        elif self.levels.pop(level.price, None):
            del self.prices[bisect_left(self.prices, level.price)]


class Ladder:
    """The levels of one certificate at one sequence; -1: nothing is known."""

    def __init__(self, certificate_type: str) -> None:
        self.certificate_type = certificate_type
        self.sequence = -1
        self.era = 0  # one up whenever steps no longer lead from what was to what is
        self.last_price: Decimal | None = None
        self._bids, self._asks = _Side(), _Side()
        self._steps: deque[Step] = deque()
        self._floor = -1  # the sequence from which the first step kept leads on
        self._kept = 0  # level changes in the steps

    @property
    def is_crossed(self) -> bool:
        """Tell whether the best bid reaches the best ask, which no committed book does."""
        bids, asks = self._bids.prices, self._asks.prices
        return bool(bids and asks) and bids[-1] >= asks[0]

    def apply(self, notice: BookNotice) -> None:
        """Take a step with a notice that starts at or before where we are; it ends beyond."""
        assert notice.previous_sequence <= self.sequence < notice.sequence
        changes: Changes = {(side, level.price): level for side, level in notice.changes}
        for (side, _), level in changes.items():
            self._side(side).put(level)
        self.last_price = notice.last_price
        self._step(notice.sequence, changes)

    def adopt(self, loaded: BookPicture) -> bool:
        """Become a book as the database has it, not older than this one; tell whether that is another one.

        The difference is a step like any other; one at the same sequence is a defect of ours, and begins a new era.
        """
        bids, asks = _Side.of(loaded.bids), _Side.of(loaded.asks)
        changes = _difference("BUY", self._bids.levels, bids.levels)
        changes |= _difference("SELL", self._asks.levels, asks.levels)
        if self.sequence == loaded.sequence and not changes:
            return False
        if self.sequence in (-1, loaded.sequence):
            self.era += 1
            self._steps.clear()
            self._kept, self._floor, self.sequence = 0, loaded.sequence, loaded.sequence
        else:
            self._step(loaded.sequence, changes)
        self._bids, self._asks, self.last_price = bids, asks, loaded.last_price
        return True

    def forget(self) -> None:
        """Know nothing until a book is adopted; who saw an earlier one needs a whole one then."""
        self.sequence = -1

    def picture(self, at: datetime) -> BookPicture:
        """Give the whole book."""
        return BookPicture(
            certificate_type=self.certificate_type,
            sequence=self.sequence,
            bids=tuple(self._bids.levels[price] for price in reversed(self._bids.prices)),
            asks=tuple(self._asks.levels[price] for price in self._asks.prices),
            last_price=self.last_price,
            at=at,
        )

    def checksum(self) -> int:
        """Give the checksum of the book without making a whole picture of it."""
        bids = [self._bids.levels[price] for price in self._bids.prices[: -CHECKSUM_LEVELS - 1 : -1]]
        asks = [self._asks.levels[price] for price in self._asks.prices[:CHECKSUM_LEVELS]]
        return checksum(bids, asks)

    def since(self, sequence: int, until: int) -> Changes | None:
        """Merge the steps after one sequence up to another; None when they are not all kept any more."""
        if sequence < self._floor:
            return None
        merged: Changes = {}
        newest: list[Step] = []
        for step in reversed(self._steps):
            if step.sequence <= sequence:
                break
            if step.sequence <= until:
                newest.append(step)
        for step in reversed(newest):
            merged.update(step.changes)
        return merged

    def _side(self, side: str) -> _Side:
        return self._bids if side == "BUY" else self._asks

    def _step(self, sequence: int, changes: Changes) -> None:
        self._steps.append(Step(sequence, changes))
        self._kept += len(changes)
        self.sequence = sequence
        while len(self._steps) > STEPS_MAX or (self._kept > STEP_CHANGES_MAX and self._steps):
            gone = self._steps.popleft()
            self._kept -= len(gone.changes)
            self._floor = gone.sequence


def _difference(side: str, old: Mapping[Decimal, Level], new: Mapping[Decimal, Level]) -> Changes:
    changed = {(side, price): level for price, level in new.items() if old.get(price) != level}
    gone = {(side, price): Level(price, Decimal(0), 0) for price in old.keys() - new.keys()}
    return changed | gone
