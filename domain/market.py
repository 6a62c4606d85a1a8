"""The cash market. Law: price-time priority, the resting order sets the price, the committed book is never crossed.

A decision (`place`, `cancel`) reads a `Book` and changes nothing; `Book.apply_*` carries out what was decided.
Prices are integers of EUR cents, quantities integers of certificates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from uuid import UUID

from domain import errors, money
from domain.book import BUY, SELL, Book, Fill, OrderSide, Resting
from domain.money import Asset, CertificateType
from domain.records import record

PRICE_MAX = 1_000_000_00  # cents: one million EUR a tonne, far above any price ever paid
PRICE_MAX_EUR = money.price(PRICE_MAX)
QUANTITY_MAX = 1_000_000_000  # certificates: a thousand times the largest auction
assert PRICE_MAX * QUANTITY_MAX < 2**63  # the notional of one order stays within 64 bits


class OrderType(StrEnum):
    """LIMIT names its worst price; MARKET takes what the book offers."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"


class TimeInForce(StrEnum):
    """How long an order waits: until cancelled, not at all, or fill-or-kill."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


# Read through its class, a member costs a call each time; these are asked for with every order.
MARKET, GTC = OrderType.MARKET, TimeInForce.GTC


class OrderStatus(StrEnum):
    """Where an order stands in its life."""

    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"


class TradeStatus(StrEnum):
    """EXECUTED when made; SETTLED when the registry's reference is recorded."""

    EXECUTED = "EXECUTED"
    SETTLED = "SETTLED"


class CancelReason(StrEnum):
    """Why what was left of an order was cancelled."""

    REQUESTED = "REQUESTED"
    DEACTIVATED = "DEACTIVATED"
    SELF_TRADE = "SELF_TRADE"
    IOC_REMAINDER = "IOC_REMAINDER"
    MARKET_REMAINDER = "MARKET_REMAINDER"
    CASH_EXHAUSTED = "CASH_EXHAUSTED"
    PRICE_BAND = "PRICE_BAND"


class EventKind(StrEnum):
    """What a row of the journal did to the book."""

    PLACED = "PLACED"
    CANCELLED = "CANCELLED"


# ---------------------------------------------------------------------------------------------- records, for people


@dataclass(frozen=True, slots=True)
class Certificate:
    """Rules of one certificate. Units: tick_size and reference_price EUR, lot_size certificates."""

    certificate_type: CertificateType
    name: str
    description: str | None
    tick_size: Decimal
    lot_size: Decimal
    reference_price: Decimal | None
    is_halted: bool


@dataclass(frozen=True, slots=True)
class Order:
    """One order as stored. Units: price and average_price EUR, quantities certificates."""

    id: UUID
    user_id: UUID
    market_maker_id: UUID | None
    certificate_type: CertificateType
    side: OrderSide
    order_type: OrderType
    time_in_force: TimeInForce
    price: Decimal | None
    quantity: Decimal
    filled_quantity: Decimal
    filled_notional: Decimal
    status: OrderStatus
    cancel_reason: str | None
    priority: int
    created_at: datetime
    updated_at: datetime
    ticket_id: str

    @property
    def remaining_quantity(self) -> Decimal:
        return self.quantity - self.filled_quantity

    @property
    def average_price(self) -> Decimal | None:
        """EUR per certificate over all fills, to 4 decimals for display; the ledger never uses it."""
        return average_price(self.filled_notional, self.filled_quantity)


def average_price(notional: Decimal, quantity: Decimal) -> Decimal | None:
    """Return EUR per certificate, to 4 decimals; None when nothing was traded."""
    return (notional / quantity).quantize(Decimal("0.0001")) if quantity else None


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill between two orders. Units: price and notional EUR, quantity certificates."""

    id: UUID
    certificate_type: CertificateType
    sequence: int
    price: Decimal
    quantity: Decimal
    buy_order_id: UUID
    sell_order_id: UUID
    buyer_id: UUID
    seller_id: UUID
    market_maker_id: UUID | None
    taker_side: OrderSide
    executed_at: datetime
    ticket_id: str
    settled_at: datetime | None = None
    registry_reference: str | None = None

    @property
    def notional(self) -> Decimal:
        return self.price * self.quantity

    @property
    def status(self) -> TradeStatus:
        return TradeStatus.SETTLED if self.settled_at else TradeStatus.EXECUTED


@dataclass(frozen=True, slots=True)
class PlacedOutcome:
    """What placing an order made: the order as it stands and its trades."""

    order: Order
    trades: tuple[Trade, ...]


@dataclass(frozen=True, slots=True)
class CancelledOutcome:
    """What cancelling made: the order as it stands."""

    order: Order


# --------------------------------------------------------------------------------------------- -----------commands


@dataclass(frozen=True, slots=True)
class Place:
    """Ask for a new order; for a market maker when market_maker_id is set, else for the holder himself."""

    holder_id: UUID | None
    market_maker_id: str | None
    certificate_type: CertificateType
    side: OrderSide
    order_type: OrderType
    time_in_force: TimeInForce
    price: Decimal | None
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ask to cancel an order; holder_id None: any order of a market maker, else only the holder's own."""

    order_id: str
    holder_id: UUID | None


@dataclass(frozen=True, slots=True)
class Party:
    """Who an order is for, as the database says inside the transaction."""

    holder_id: UUID
    market_maker_id: UUID | None
    name: str
    is_active: bool
    kyc_approved: bool


@dataclass(frozen=True, slots=True)
class Band:
    """The prices at which a certificate may trade now, both included. Units: cents."""

    lowest: int
    highest: int


@record
class Terms:
    """A request whose shape is right. Units: price cents (None: MARKET), quantity and lot certificates."""

    certificate_type: CertificateType
    side: OrderSide
    order_type: OrderType
    time_in_force: TimeInForce
    price: int | None
    quantity: int
    lot: int

    @property
    def reserved_asset(self) -> Asset:
        """What the order locks: euros to buy, certificates to sell."""
        return Asset.EUR if self.side is BUY else self.certificate_type.asset

    @property
    def is_all_or_nothing(self) -> bool:
        return self.time_in_force is TimeInForce.FOK

    @property
    def unit_reserve(self) -> int | None:
        """What one certificate locks; None for a MARKET buy, which locks exactly the cost of its fills."""
        return 1 if self.side is SELL else self.price


@record
class Placement:
    """What a new order does: its fills in order, what rests, and why a rest was cut. Units: cost of the fills cents."""

    terms: Terms
    fills: Sequence[Fill]
    unfilled: int
    cost: int
    cut: CancelReason | None

    @property
    def filled(self) -> int:
        return self.terms.quantity - self.unfilled

    @property
    def rested(self) -> int:
        return 0 if self.cut else self.unfilled

    @property
    def reserve(self) -> int:
        """What it locks first of all, in smallest units of the reserved asset."""
        unit = self.terms.unit_reserve
        return self.cost if unit is None else self.terms.quantity * unit

    @property
    def released_by_cut(self) -> int:
        """What the cut gives back of it."""
        unit = self.terms.unit_reserve
        return self.unfilled * unit if self.cut and unit is not None else 0


# ------------------------------------------------------------------------------------------------------- decisions


def band(certificate: Certificate, percent: Decimal | None) -> Band | None:
    """Return the band around the reference price; None when there is no reference or no percentage.

    Exact: both ends are cut towards the reference price, never past the percentage.
    """
    reference = certificate.reference_price
    if reference is None or percent is None:
        return None
    middle = reference.scaleb(money.PRICE_DECIMALS)
    width = middle * percent / 100
    return Band(
        int((middle - width).to_integral_value(ROUND_CEILING)), int((middle + width).to_integral_value(ROUND_FLOOR))
    )


def terms(request: Place, certificate: Certificate, limits: Band | None = None) -> Terms:
    """Check the shape of a new order against the certificate's grid and its band.

    Raises: InvalidPrice, InvalidQuantity.
    """
    price = _limit_price(request, certificate, limits)
    quantity = units_of_quantity(request.quantity, certificate)
    return Terms(
        request.certificate_type,
        request.side,
        request.order_type,
        request.time_in_force,
        price,
        quantity,
        int(certificate.lot_size),
    )


def _limit_price(request: Place, certificate: Certificate, limits: Band | None) -> int | None:
    if request.order_type is MARKET:
        if request.price is not None:
            raise errors.InvalidPrice(
                "A MARKET order takes what the book offers and has no price.",
                field="price",
                requested=str(request.price),
            )
        return None
    cents = _on_grid(request.price, certificate)
    if limits and not limits.lowest <= cents <= limits.highest:
        lowest, highest = f"{money.price(limits.lowest):f}", f"{money.price(limits.highest):f}"
        raise errors.InvalidPrice(
            f"The price must be from {lowest} to {highest}: the band around the reference price.",
            field="price",
            requested=str(request.price),
            lowest=lowest,
            highest=highest,
        )
    return cents


def _on_grid(price: Decimal | None, certificate: Certificate) -> int:
    if price is None:
        raise errors.InvalidPrice("A LIMIT order needs a price.", field="price")
    if not price.is_finite() or price <= 0:
        raise errors.InvalidPrice("The price must be greater than 0.", field="price", requested=str(price))
    if price > PRICE_MAX_EUR:
        raise errors.InvalidPrice(f"The price must not exceed {PRICE_MAX_EUR:f}.", field="price", requested=str(price))
    cents = money.units(price, money.PRICE_DECIMALS)
    if cents is None or price % certificate.tick_size:
        raise errors.InvalidPrice(
            f"The price must be a multiple of {certificate.tick_size:f}.",
            field="price",
            requested=str(price),
            tickSize=f"{certificate.tick_size:f}",
        )
    return cents


def units_of_quantity(quantity: Decimal, certificate: Certificate) -> int:
    """Return a quantity in certificates.

    Raises: InvalidQuantity (not positive, off lot, above QUANTITY_MAX).
    """
    if not quantity.is_finite() or quantity <= 0:
        raise errors.InvalidQuantity("The quantity must be greater than 0.", field="quantity", requested=str(quantity))
    if quantity > QUANTITY_MAX:
        raise errors.InvalidQuantity(
            f"The quantity must not exceed {QUANTITY_MAX}.", field="quantity", requested=str(quantity)
        )
    if quantity % certificate.lot_size:
        raise errors.InvalidQuantity(
            f"The quantity must be a multiple of {certificate.lot_size:f}.",
            field="quantity",
            requested=str(quantity),
            lotSize=f"{certificate.lot_size:f}",
        )
    return int(quantity)


def place(
    book: Book,
    terms: Terms,
    party: Party,
    certificate: Certificate,
    available: int,
    locked: int,
    limits: Band | None = None,
) -> Placement:
    """Decide what a new order does. Changes nothing.

    Units: available and locked in smallest units of `terms.reserved_asset`.
    Raises: SideNotAllowed, MarketMakerInactive, UserInactive, KycRequired, MarketHalted, InsufficientBalance,
    SelfTrade, NoLiquidity.
    """
    _may_trade(terms, party, certificate)
    needed = terms.quantity if terms.side is SELL else terms.quantity * (terms.price or 0)  # MARKET: see _match
    if needed > available:
        raise _insufficient(terms, party, needed, available, locked)
    placement = _match(book, terms, party.holder_id, limits, available)
    if placement.cut is None:  # it trades whole, or it rests
        return placement
    if placement.fills and not terms.is_all_or_nothing:
        return placement
    if placement.cut is CancelReason.CASH_EXHAUSTED:
        rich = _match(book, terms, party.holder_id, limits, None)
        needed = rich.cost if terms.is_all_or_nothing else rich.fills[0].resting.price * terms.lot
        raise _insufficient(terms, party, needed, available, locked)
    raise errors.NoLiquidity(
        f"The book offers {placement.filled} of {terms.quantity} {terms.certificate_type} on these terms.",
        field="quantity",
        requested=str(terms.quantity),
        offered=str(placement.filled),
    )


def _insufficient(terms: Terms, party: Party, needed: int, available: int, locked: int) -> errors.InsufficientBalance:
    asset = terms.reserved_asset
    figures = {
        name: f"{money.decimal(asset, figure):f}"
        for name, figure in (("requested", needed), ("available", available), ("locked", locked))
    }
    return errors.InsufficientBalance(
        f"{party.name} has {figures['available']} {asset} available; this order needs {figures['requested']}.",
        field="quantity",
        asset=asset.value,
        **figures,
    )


def _may_trade(terms: Terms, party: Party, certificate: Certificate) -> None:
    if party.market_maker_id is not None:
        if terms.side is not SELL:
            raise errors.SideNotAllowed("Market makers may only sell.", field="side", side=terms.side.value)
        if not party.is_active:
            raise errors.MarketMakerInactive(
                f"{party.name} is inactive. Activate it first.", field="marketMakerId", name=party.name
            )
    else:
        if not party.is_active:
            raise errors.UserInactive("This account is inactive. Ask an admin to activate it.")
        if not party.kyc_approved:
            raise errors.KycRequired("Trading opens when an admin has approved the KYC documents of this account.")
    if certificate.is_halted:
        raise errors.MarketHalted(
            f"Trading in {certificate.certificate_type} is halted. Open orders can still be cancelled.",
            field="certificateType",
        )


def _match(book: Book, terms: Terms, holder_id: UUID, limits: Band | None, cash: int | None) -> Placement:
    """Walk the other side, best price and oldest order first.

    A MARKET order stops at the band, a MARKET buy where the cash ends (None: without end).
    Raises: SelfTrade.
    """
    is_buy = terms.side is BUY
    offers = book.asks if is_buy else book.bids
    worst = terms.price
    beyond = at_end = None if terms.time_in_force is GTC else CancelReason.IOC_REMAINDER
    if worst is None:
        worst, beyond = _worst_at_market(is_buy, limits)
        at_end = CancelReason.MARKET_REMAINDER
    if terms.price is not None or not is_buy:
        cash = None  # reserved before
    worst_rank = offers.sign * worst
    own = holder_id.int  # compared as the number that it is: UUID.__eq__ is a call for each fill
    left, cost = terms.quantity, 0
    fills: list[Fill] = []
    for rank in reversed(offers.ranks):
        if rank < worst_rank:
            at_end = beyond
            break
        price = offers.sign * rank
        for resting in offers.levels[price].orders.values():
            if resting.holder_id.int == own:
                if not fills:
                    raise _self_trade(terms, resting)
                return Placement(terms, fills, left, cost, CancelReason.SELF_TRADE)
            remaining = resting.remaining
            is_last = remaining <= left
            quantity = remaining if is_last else left
            if cash is not None and cost + quantity * price > cash:
                quantity = (cash - cost) // (price * terms.lot) * terms.lot
                if quantity:
                    fills.append(Fill(resting, quantity, False))
                return Placement(terms, fills, left - quantity, cost + quantity * price, CancelReason.CASH_EXHAUSTED)
            fills.append(Fill(resting, quantity, is_last))
            cost += quantity * price
            left -= quantity
            if not left:
                return Placement(terms, fills, 0, cost, None)
    return Placement(terms, fills, left, cost, at_end)


def _worst_at_market(is_buy: bool, limits: Band | None) -> tuple[int, CancelReason | None]:
    """Return the worst price that a MARKET order takes, and why it takes none beyond."""
    if limits is None:
        return (PRICE_MAX if is_buy else 0), None
    return (limits.highest if is_buy else limits.lowest), CancelReason.PRICE_BAND


def _self_trade(terms: Terms, own: Resting) -> errors.SelfTrade:
    return errors.SelfTrade(
        "This order would trade with an order of the same holder. Cancel that order first, or change the price.",
        field=None if terms.price is None else "price",
        orderId=str(own.order_id),
    )


def cancel(request: Cancel, order: Order | None, book: Book | None) -> Resting:
    """Decide whether an order can be cancelled. Changes nothing.

    Raises: OrderNotFound (also when it is not the caller's to cancel), OrderNotOpen.
    """
    mine = order is not None and (
        order.market_maker_id is not None if request.holder_id is None else order.user_id == request.holder_id
    )
    if order is None or not mine:
        raise errors.OrderNotFound("There is no such order.", field="id", id=request.order_id)
    resting = book.orders.get(order.id) if book else None
    if resting is None:
        raise errors.OrderNotOpen(f"This order is {order.status.value} already.", field="id", status=order.status.value)
    return resting
