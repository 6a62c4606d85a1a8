"""What one client asks for, over HTTP or in process: half resting orders, a third crossing ones, the rest cancels.

A client is two traders, so that it never meets itself: one rests and cancels, the other takes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Literal

MIDDLE = 2_500  # cents
LEVELS = 40  # a side: what a resting order chooses from
QUANTITY_MAX = 20  # of resting and crossing orders alike, so that the book keeps its depth
RESTING, CROSSING = 0.50, 0.35
SEEDED_ORDERS = 400  # a side, in the book before anybody asks: random walks do not empty it


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. order_id: of a cancel only."""

    kind: Literal["resting", "crossing", "cancel"]
    side: str
    price: str
    quantity: str
    order_id: str = ""
    away: int = 0

    @property
    def is_taker(self) -> bool:
        return self.kind == "crossing"

    @property
    def input(self) -> dict[str, str]:
        """Return the input of placeOrder."""
        return {"certificateType": "CEA", "side": self.side, "price": self.price, "quantity": self.quantity}


@dataclass(slots=True)
class Flow:
    """The seeded requests of one client. Orders furthest from the other side are cancelled first: they still rest."""

    seed: int
    resting_max: int = 0  # with that many of its own in the book a client cancels first; 0: it never does
    resting: list[tuple[int, str]] = field(default_factory=list)  # heap of (-ticks away, order)
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def next(self) -> Ask:
        dice, is_buy = self.chance.random(), self.chance.random() < 0.5
        side, quantity = "BUY" if is_buy else "SELL", str(self.chance.randint(1, QUANTITY_MAX))
        is_full = self.resting_max and len(self.resting) >= self.resting_max
        if (is_full or dice >= RESTING + CROSSING) and self.resting:
            return Ask("cancel", "", "", "", heappop(self.resting)[1])
        if RESTING <= dice < RESTING + CROSSING:
            return Ask("crossing", side, euros(MIDDLE + LEVELS if is_buy else MIDDLE - LEVELS), quantity)
        away = self.chance.randint(1, LEVELS)
        return Ask("resting", side, euros(MIDDLE - away if is_buy else MIDDLE + away), quantity, away=away)

    def rested(self, ask: Ask, order_id: str) -> None:
        """Remember what can be cancelled later."""
        heappush(self.resting, (-ask.away, order_id))


def euros(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
