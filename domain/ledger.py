"""The ledger. Law: a balance only changes together with a row that says why; available and locked never fall below 0.

| event                                              | type, reason             | available | locked |
| deposit / withdrawal q                             | DEPOSIT / WITHDRAWAL     | +q / -q   | 0      |
| order reserves r                                   | TRADE_DEBIT, LOCK        | -r        | +r     |
| cancel, price improvement                          | TRADE_CREDIT, RELEASE    | +r        | -r     |
| fill, what is given                                | TRADE_CREDIT, SETTLE_OUT | 0         | -s     |
| fill, what is received                             | TRADE_CREDIT, SETTLE_IN  | +s        | 0      |

Amounts are integers of the asset's smallest unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from domain import errors, market, money
from domain.book import BUY, Fill, Resting
from domain.market import Terms
from domain.money import Asset
from domain.records import record


class TransactionType(StrEnum):
    """The seed's four kinds of movement."""

    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    TRADE_DEBIT = "TRADE_DEBIT"
    TRADE_CREDIT = "TRADE_CREDIT"


class TransactionReason(StrEnum):
    """What in the life of a deposit or an order moved the amount."""

    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    LOCK = "LOCK"
    RELEASE = "RELEASE"
    SETTLE_OUT = "SETTLE_OUT"
    SETTLE_IN = "SETTLE_IN"


TYPE_OF_REASON = {
    TransactionReason.DEPOSIT: TransactionType.DEPOSIT,
    TransactionReason.WITHDRAWAL: TransactionType.WITHDRAWAL,
    TransactionReason.LOCK: TransactionType.TRADE_DEBIT,
    TransactionReason.RELEASE: TransactionType.TRADE_CREDIT,
    TransactionReason.SETTLE_OUT: TransactionType.TRADE_CREDIT,
    TransactionReason.SETTLE_IN: TransactionType.TRADE_CREDIT,
}
SIGNS_OF_REASON = {  # what an amount does to (available, locked)
    TransactionReason.DEPOSIT: (1, 0),
    TransactionReason.WITHDRAWAL: (-1, 0),
    TransactionReason.LOCK: (-1, 1),
    TransactionReason.RELEASE: (1, -1),
    TransactionReason.SETTLE_OUT: (0, -1),
    TransactionReason.SETTLE_IN: (1, 0),
}
assert TYPE_OF_REASON.keys() == SIGNS_OF_REASON.keys() == set(TransactionReason)


@dataclass(frozen=True, slots=True)
class Balance:
    """What a holder has of an asset. seq: number of the last ledger row behind it; 0 when there is none."""

    holder_id: UUID
    market_maker_id: UUID | None
    asset: Asset
    available: Decimal
    locked: Decimal
    seq: int

    @property
    def total(self) -> Decimal:
        return self.available + self.locked


@dataclass(frozen=True, slots=True)
class Transaction:
    """One ledger row as stored. Units: the asset's, EUR with 2 decimals, certificates whole."""

    id: UUID
    holder_id: UUID
    market_maker_id: UUID | None
    asset: Asset
    transaction_type: TransactionType
    reason: TransactionReason
    amount: Decimal
    available_delta: Decimal
    locked_delta: Decimal
    balance_after: Decimal
    locked_after: Decimal
    seq: int
    notes: str | None
    order_id: UUID | None
    trade_id: UUID | None
    created_by: UUID | None
    created_at: datetime
    ticket_id: str

    @property
    def size(self) -> Decimal:
        """What moved, in whichever direction."""
        return abs(self.amount)


@record
class Account:
    """A holder's balance of one asset under lock, in smallest units."""

    holder_id: UUID
    market_maker_id: UUID | None
    asset: Asset
    available: int
    locked: int
    seq: int


@record
class Move:
    """One change of one account, before its running figures are known."""

    holder_id: UUID
    market_maker_id: UUID | None
    asset: Asset
    reason: TransactionReason
    amount: int  # positive

    @property
    def deltas(self) -> tuple[int, int]:
        """Return (available, locked)."""
        available, locked = SIGNS_OF_REASON[self.reason]
        return available * self.amount, locked * self.amount

    @property
    def signed_amount(self) -> int:
        """The seed's figure: + for DEPOSIT and TRADE_CREDIT, - for WITHDRAWAL and TRADE_DEBIT."""
        kind = TYPE_OF_REASON[self.reason]
        return -self.amount if kind in (TransactionType.WITHDRAWAL, TransactionType.TRADE_DEBIT) else self.amount


@dataclass(frozen=True, slots=True)
class Change:
    """A deposit or withdrawal by an admin, its shape checked. Units: amount in the asset's."""

    market_maker_id: str | None
    user_id: str | None
    asset: Asset
    transaction_type: TransactionType
    amount: Decimal
    notes: str | None


@dataclass(frozen=True, slots=True)
class TransactionOutcome:
    """What a deposit or withdrawal made: its row and the balance after it."""

    transaction: Transaction
    balance: Balance


def apply(account: Account, move: Move) -> Account:
    """Return the account after a move.

    Raises: InsufficientBalance (available would fall below 0), InvalidAmount (above BALANCE_MAX);
    AssertionError when locked would fall below 0, which no request can cause.
    """
    available_delta, locked_delta = move.deltas
    available, locked = account.available + available_delta, account.locked + locked_delta
    if available < 0:
        figures = {
            name: f"{money.decimal(account.asset, figure):f}"
            for name, figure in (
                ("requested", move.amount),
                ("available", account.available),
                ("locked", account.locked),
            )
        }
        raise errors.InsufficientBalance(
            f"Only {figures['available']} {account.asset} available; {figures['locked']} is locked in open orders.",
            field="amount",
            asset=account.asset.value,
            **figures,
        )
    assert locked >= 0, f"locked of {account} would fall below 0 by {move}"
    if move.reason is TransactionReason.DEPOSIT and money.decimal(account.asset, available) > money.BALANCE_MAX:
        raise errors.InvalidAmount(f"The balance would exceed {money.BALANCE_MAX:f}.", field="amount")
    return Account(account.holder_id, account.market_maker_id, account.asset, available, locked, account.seq + 1)


def amount_of(request: Change) -> int:
    """Check the shape of a deposit or withdrawal; return its amount in smallest units.

    Raises: InvalidInput (another transaction type), InvalidAmount.
    """
    if request.transaction_type not in (TransactionType.DEPOSIT, TransactionType.WITHDRAWAL):
        raise errors.InvalidInput(
            "Only DEPOSIT and WITHDRAWAL are made by hand; trades write their own rows.", field="transactionType"
        )
    return money.amount(request.asset, request.amount)


def change(account: Account, request: Change) -> Move:
    """Turn a deposit or withdrawal into its move on a locked account.

    Raises: InvalidInput (another transaction type), InvalidAmount.
    """
    amount = amount_of(request)
    reason = TransactionReason(request.transaction_type.value)
    return Move(account.holder_id, account.market_maker_id, account.asset, reason, amount)


def lock(holder_id: UUID, market_maker_id: UUID | None, placement: market.Placement) -> Move:
    """Reserve what a new order may need; a MARKET buy exactly the cost of its fills."""
    return Move(holder_id, market_maker_id, placement.terms.reserved_asset, TransactionReason.LOCK, placement.reserve)


def release(resting: Resting, certificate: money.CertificateType) -> Move:
    """Give back what is still reserved for an order that leaves the book."""
    is_buy = resting.side is BUY
    asset = Asset.EUR if is_buy else certificate.asset
    amount = resting.remaining * resting.price if is_buy else resting.remaining
    return Move(resting.holder_id, resting.market_maker_id, asset, TransactionReason.RELEASE, amount)


def release_cut(placement: market.Placement, holder_id: UUID, market_maker_id: UUID | None) -> Move | None:
    """Give back what a new order reserved for the quantity that neither traded nor rests; None when that is nothing."""
    amount = placement.released_by_cut
    if not amount:
        return None
    return Move(holder_id, market_maker_id, placement.terms.reserved_asset, TransactionReason.RELEASE, amount)


def settle(terms: Terms, fill: Fill, holder_id: UUID, market_maker_id: UUID | None) -> list[Move]:
    """Deliver versus payment: the four legs of one fill, and the RELEASE of a better price.

    A buyer who rests reserved at his own price, which is the trade's, so only a buyer who takes can get a better one.
    """
    certificate = terms.certificate_type.asset
    resting = fill.resting
    taker, maker = (holder_id, market_maker_id), (resting.holder_id, resting.market_maker_id)
    buyer, seller = (taker, maker) if terms.side is BUY else (maker, taker)
    cost = fill.quantity * resting.price
    moves = [
        Move(*seller, certificate, TransactionReason.SETTLE_OUT, fill.quantity),
        Move(*buyer, Asset.EUR, TransactionReason.SETTLE_OUT, cost),
        Move(*buyer, certificate, TransactionReason.SETTLE_IN, fill.quantity),
        Move(*seller, Asset.EUR, TransactionReason.SETTLE_IN, cost),
    ]
    limit = terms.price if terms.side is BUY else None
    if limit is not None and (better := fill.quantity * (limit - resting.price)):
        moves.append(Move(*buyer, Asset.EUR, TransactionReason.RELEASE, better))
    return moves
