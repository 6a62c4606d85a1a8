"""Settlement. Law: a trade is settled once, by the reference that the external registry gave; balances do not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain import errors, people
from domain.market import Trade, TradeStatus
from domain.people import REFERENCE_LENGTH_MAX
from domain.tickets import ITEMS_MAX

SETTLEMENTS_MAX = 100  # trades of one request: a page of the list that they are chosen from
assert SETTLEMENTS_MAX <= ITEMS_MAX, "the ticket records each of them"


@dataclass(frozen=True, slots=True)
class Settlement:
    """A trade to settle, its reference checked. trade_id None: what was named cannot be a trade."""

    named: str
    trade_id: UUID | None
    reference: str


@dataclass(frozen=True, slots=True)
class SettledOutcome:
    """A trade as its settlement left it."""

    trade: Trade


@dataclass(frozen=True, slots=True)
class SettledTogetherOutcome:
    """Trades as their settlements left them, in the order asked for."""

    trades: tuple[Trade, ...]


def settlement(trade_id: str, reference: str, **place: int) -> Settlement:
    """Check the shape of a settlement. place: where it stands among several.

    Raises: InvalidInput.
    """
    try:
        checked = people.text(
            reference, field="registryReference", length_max=REFERENCE_LENGTH_MAX, label="The registry reference"
        )
    except errors.InvalidInput as error:
        error.details |= place
        raise
    return Settlement(trade_id, people.uuid_or_none(trade_id), checked)


def settlements(asked: Sequence[tuple[str, str]]) -> list[Settlement]:
    """Check the shape of several settlements, (trade id, reference) each.

    Raises: InvalidInput (none, more than SETTLEMENTS_MAX, a trade twice, a reference).
    """
    if not 1 <= len(asked) <= SETTLEMENTS_MAX:
        raise errors.InvalidInput(
            f"Settle from 1 to {SETTLEMENTS_MAX} trades at once.",
            field="input",
            trades=len(asked),
            tradesMax=SETTLEMENTS_MAX,
        )
    checked = [settlement(trade_id, reference, index=index) for index, (trade_id, reference) in enumerate(asked)]
    seen: set[UUID | str] = set()
    for index, one in enumerate(checked):
        key = one.trade_id or one.named
        if key in seen:
            raise errors.InvalidInput("Name each trade once.", field="id", id=one.named, index=index)
        seen.add(key)
    return checked


def decide(asked: Settlement, trade: Trade | None, **place: int) -> Trade:
    """Return the trade that may be settled.

    Raises: NotFound, AlreadyDecided.
    """
    if trade is None:
        raise errors.NotFound("There is no such trade.", field="id", id=asked.named, **place)
    if trade.status is TradeStatus.SETTLED:
        raise errors.AlreadyDecided(
            f"This trade is SETTLED already, as {trade.registry_reference}.",
            field="id",
            id=asked.named,
            registryReference=trade.registry_reference,
            **place,
        )
    return trade
