"""The rules of the market. Law: what rests in a book is always on the grid of its certificate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from domain import errors, money, people
from domain.market import PRICE_MAX_EUR, QUANTITY_MAX, Certificate
from domain.money import CertificateType

BAND_PERCENT_MAX = Decimal(100)  # below the reference price a wider band would reach 0
BAND_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for the whole market. price_band_percent None: prices have no band."""

    halted_certificates: tuple[CertificateType, ...]
    price_band_percent: Decimal | None
    public_market_data: bool


@dataclass(frozen=True, slots=True)
class CertificateChange:
    """What to change of a certificate; None leaves a field as it is, an empty description clears it."""

    name: str | None = None
    description: str | None = None
    tick_size: Decimal | None = None
    lot_size: Decimal | None = None


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """What to change of the settings; None leaves a field as it is. has_band: whether the band is to be changed."""

    halted_certificates: frozenset[CertificateType] | None = None
    has_band: bool = False
    price_band_percent: Decimal | None = None
    public_market_data: bool | None = None


@dataclass(frozen=True, slots=True)
class OpenOrders:
    """The open orders of a certificate, measured by a new grid. Units: counts."""

    orders: int
    off_tick: int
    off_lot: int


@dataclass(frozen=True, slots=True)
class CertificateOutcome:
    """A certificate as an action left it, and as it was before."""

    certificate: Certificate
    before: Certificate


@dataclass(frozen=True, slots=True)
class SettingsOutcome:
    """The settings as an action left them, and as they were before."""

    settings: Settings
    before: Settings


def check(change: CertificateChange) -> CertificateChange:
    """Return a change whose shape is right.

    Raises: InvalidInput, InvalidPrice, InvalidQuantity.
    """
    description = change.description and people.optional_text(
        change.description, field="description", length_max=people.TEXT_LENGTH_MAX, label="The description"
    )
    name = change.name
    return CertificateChange(
        name=None
        if name is None
        else people.text(name, field="name", length_max=people.NAME_LENGTH_MAX, label="The name"),
        description=None if change.description is None else description or "",
        tick_size=None if change.tick_size is None else price(change.tick_size, field="tickSize", label="The tick"),
        lot_size=None if change.lot_size is None else _lot(change.lot_size),
    )


def price(value: Decimal, *, field: str = "price", label: str = "The reference price") -> Decimal:
    """Return a price in EUR with 2 decimals.

    Raises: InvalidPrice (not positive, off scale, above PRICE_MAX_EUR).
    """
    if not value.is_finite() or value <= 0:
        raise errors.InvalidPrice(f"{label} must be greater than 0.", field=field, requested=str(value))
    if value > PRICE_MAX_EUR:
        raise errors.InvalidPrice(f"{label} must not exceed {PRICE_MAX_EUR:f}.", field=field, requested=str(value))
    cents = money.units(value, money.PRICE_DECIMALS)
    if cents is None:
        raise errors.InvalidPrice(f"{label} has 2 decimals at most.", field=field, requested=str(value))
    return money.price(cents)


def _lot(value: Decimal) -> Decimal:
    whole = money.units(value, 0) if 0 < value <= QUANTITY_MAX else None
    if whole is None:
        raise errors.InvalidQuantity(
            f"The lot is a whole number of certificates, from 1 to {QUANTITY_MAX}.",
            field="lotSize",
            requested=str(value),
        )
    return Decimal(whole)


def changed(certificate: Certificate, change: CertificateChange, waiting: OpenOrders) -> Certificate:
    """Return the certificate as a checked change leaves it. waiting: its open orders, measured by the new grid.

    Raises: InvalidPrice, InvalidQuantity (open orders would fall off the grid).
    """
    after = replace(
        certificate,
        name=certificate.name if change.name is None else change.name,
        description=certificate.description if change.description is None else change.description or None,
        tick_size=certificate.tick_size if change.tick_size is None else change.tick_size,
        lot_size=certificate.lot_size if change.lot_size is None else change.lot_size,
    )
    if change.tick_size is not None and waiting.off_tick:
        raise errors.InvalidPrice(
            f"{waiting.off_tick} of {waiting.orders} open orders have a price that is no multiple of"
            f" {after.tick_size:f}. Halt the certificate and have them cancelled first.",
            field="tickSize",
            requested=f"{after.tick_size:f}",
            tickSize=f"{certificate.tick_size:f}",
            openOrders=waiting.orders,
            offGrid=waiting.off_tick,
        )
    if change.lot_size is not None and waiting.off_lot:
        raise errors.InvalidQuantity(
            f"{waiting.off_lot} of {waiting.orders} open orders have a quantity left that is no multiple of"
            f" {after.lot_size:f}. Halt the certificate and have them cancelled first.",
            field="lotSize",
            requested=f"{after.lot_size:f}",
            lotSize=f"{certificate.lot_size:f}",
            openOrders=waiting.orders,
            offGrid=waiting.off_lot,
        )
    return after


def priced(certificate: Certificate, reference_price: Decimal) -> Certificate:
    """Return the certificate with a checked reference price."""
    return replace(certificate, reference_price=reference_price)


def check_settings(change: SettingsChange) -> SettingsChange:
    """Return a change whose shape is right.

    Raises: InvalidInput.
    """
    percent = change.price_band_percent
    if percent is None:
        return change
    hundredths = money.units(percent, BAND_DECIMALS)
    if hundredths is None or not 0 < percent <= BAND_PERCENT_MAX:
        raise errors.InvalidInput(
            f"The price band is greater than 0 and at most {BAND_PERCENT_MAX} percent, with {BAND_DECIMALS} decimals"
            " at most; null for no band.",
            field="priceBandPercent",
            requested=str(percent),
        )
    return replace(change, price_band_percent=Decimal(hundredths).scaleb(-BAND_DECIMALS))


def changed_settings(settings: Settings, change: SettingsChange, known: Sequence[CertificateType]) -> Settings:
    """Return the settings as a checked change leaves them."""
    halted = settings.halted_certificates
    if change.halted_certificates is not None:
        halted = tuple(one for one in known if one in change.halted_certificates)
    return Settings(
        halted_certificates=halted,
        price_band_percent=change.price_band_percent if change.has_band else settings.price_band_percent,
        public_market_data=(
            settings.public_market_data if change.public_market_data is None else change.public_market_data
        ),
    )
