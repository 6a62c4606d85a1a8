"""A book rebuilt from the events of `orderBookChanges`, as a client does it, with every rule checked."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

CHANGES = """subscription Changes($type: CertificateType!, $after: BigInt) {
  orderBookChanges(certificateType: $type, afterSequence: $after) {
    __typename
    ... on OrderBookSnapshot { reason book { sequence checksum at
      bids { price quantity orderCount } asks { price quantity orderCount } } }
    ... on OrderBookDelta { sequence previousSequence checksum at changes { side price quantity orderCount } }
    ... on OrderBookHeartbeat { heartbeat: sequence at } } }"""
CHECKSUM_LEVELS = 10


@dataclass
class Follower:
    """One watcher's book. Whatever a correct stream never does is an AssertionError."""

    bids: dict[str, tuple[str, int]] = field(default_factory=dict)  # price → (quantity, orders)
    asks: dict[str, tuple[str, int]] = field(default_factory=dict)
    sequence: int | None = None
    at: str = ""  # of the newest heartbeat
    known: int = -1  # the sequence of the database, by the newest heartbeat
    snapshots: list[str] = field(default_factory=list)  # reasons
    deltas: int = 0
    merged: int = 0  # deltas of more than one command
    heartbeats: int = 0
    books: dict[int, str] = field(default_factory=dict)  # the book at each sequence reached

    def take(self, event: dict[str, Any]) -> None:
        """Carry one event out."""
        match event["__typename"]:
            case "OrderBookSnapshot":
                book = event["book"]
                self.bids = {level["price"]: (level["quantity"], level["orderCount"]) for level in book["bids"]}
                self.asks = {level["price"]: (level["quantity"], level["orderCount"]) for level in book["asks"]}
                assert list(self.bids) == self.prices("BUY") and list(self.asks) == self.prices("SELL")
                self.snapshots.append(event["reason"])
                self.reach(book["sequence"], book["checksum"])
            case "OrderBookDelta":
                assert event["previousSequence"] == self.sequence, "a gap"
                assert event["sequence"] > event["previousSequence"]
                for change in event["changes"]:
                    side = self.bids if change["side"] == "BUY" else self.asks
                    if change["quantity"] == "0":
                        assert change["orderCount"] == 0
                        side.pop(change["price"], None)
                    else:
                        side[change["price"]] = (change["quantity"], change["orderCount"])
                self.deltas += 1
                self.merged += event["sequence"] - event["previousSequence"] > 1
                self.reach(event["sequence"], event["checksum"])
            case "OrderBookHeartbeat":
                self.heartbeats += 1
                assert event["at"] >= self.at
                self.at, self.known = event["at"], event["heartbeat"]
            case other:
                raise AssertionError(other)

    def reach(self, sequence: int, checksum: int) -> None:
        self.sequence = sequence
        assert self.checksum() == checksum, f"another book at {sequence}"
        bids, asks = self.prices("BUY"), self.prices("SELL")
        assert not (bids and asks) or Decimal(bids[0]) < Decimal(asks[0]), f"crossed at {sequence}"
        self.books[sequence] = self.text()

    def prices(self, side: str) -> list[str]:
        """Return the prices of a side, best first."""
        if side == "BUY":
            return sorted(self.bids, key=Decimal, reverse=True)
        return sorted(self.asks, key=Decimal)

    def checksum(self) -> int:
        bids = "".join(f"b:{price}:{self.bids[price][0]};" for price in self.prices("BUY")[:CHECKSUM_LEVELS])
        asks = "".join(f"a:{price}:{self.asks[price][0]};" for price in self.prices("SELL")[:CHECKSUM_LEVELS])
        return zlib.crc32((bids + asks).encode())

    def text(self) -> str:
        """Write the whole book in one line."""
        return " ".join(
            f"{side[0]}{price}x{levels[price][0]}/{levels[price][1]}"
            for side, levels in (("BUY", self.bids), ("SELL", self.asks))
            for price in self.prices(side)
        )


def books_of(events: list[Any]) -> dict[int, str]:
    """Return the book after each event of the journal, rows of (sequence, level_changes) in order."""
    books: dict[int, str] = {0: ""}
    replayed = Follower()
    for row in events:
        for side, price, quantity, count in row["changes"]:
            levels = replayed.bids if side == "BUY" else replayed.asks
            if quantity == "0":
                levels.pop(price, None)
            else:
                levels[price] = (quantity, count)
        books[row["sequence"]] = replayed.text()
    return books
