"""Assets and exact amounts. Law: nothing is ever rounded; a value off its scale is refused.

Inside the domain every amount is an integer of the asset's smallest unit (EUR cents, whole certificates), every price
an integer of cents per certificate, so price × quantity is exact. `Decimal` stands at the edges: wire and database.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from enum import StrEnum

from domain.errors import InvalidAmount


class Asset(StrEnum):
    """What a holder can own: certificates (1 = 1 t CO₂) and euros."""

    CEA = "CEA"
    EUA = "EUA"
    EUR = "EUR"


class CertificateType(StrEnum):
    """A certificate that is traded."""

    CEA = "CEA"
    EUA = "EUA"

    @property
    def asset(self) -> Asset:
        return Asset(self.value)


PRICE_DECIMALS = 2
DECIMALS = {Asset.CEA: 0, Asset.EUA: 0, Asset.EUR: 2}
AMOUNT_MAX = Decimal(10) ** 12  # one movement; twelve digits are what the wire lets in
BALANCE_MAX = Decimal(10) ** 15  # a thousand greatest deposits; still exact in 64-bit cents
assert BALANCE_MAX * 100 < 2**63 and BALANCE_MAX > AMOUNT_MAX
# Raises instead of rounding; the exponents keep `int` from writing out a number of a million digits.
_EXACT = Context(prec=28, Emin=-30, Emax=30, traps=[Inexact, InvalidOperation, Overflow])


def units(value: Decimal, decimals: int) -> int | None:
    """Return value in its smallest unit, or None when it is off that scale or no number at all."""
    if not value.is_finite():
        return None
    try:
        scaled = value.scaleb(decimals, _EXACT)
    except (Inexact, InvalidOperation, Overflow):
        return None
    whole = int(scaled)
    return whole if whole == scaled else None


def decimal(asset: Asset, amount: int) -> Decimal:
    """Return an amount of smallest units as the Decimal people read: EUR with 2 decimals, certificates whole."""
    return Decimal(amount).scaleb(-DECIMALS[asset]) if DECIMALS[asset] else Decimal(amount)


def price(cents: int) -> Decimal:
    """Return a price in cents as EUR with 2 decimals."""
    return Decimal(cents).scaleb(-PRICE_DECIMALS)


def eur(value: Decimal) -> Decimal:
    """Return a stored EUR figure with exactly 2 decimals (25.5 → 25.50); exact by the table's scale check."""
    return value.quantize(Decimal("0.01"))


def whole(value: Decimal) -> Decimal:
    """Return a stored certificate figure without decimals (100.0 → 100); exact by the table's scale check."""
    return value.quantize(Decimal(1))


def of_asset(asset: Asset, value: Decimal) -> Decimal:
    """Return a stored figure with the decimals of its asset."""
    return eur(value) if asset is Asset.EUR else whole(value)


def amount(asset: Asset, value: Decimal, *, field: str = "amount") -> int:
    """Return a positive amount of an asset in smallest units.

    Raises: InvalidAmount (not positive, off scale, above AMOUNT_MAX).
    """
    if not value.is_finite() or value <= 0:
        raise InvalidAmount("The amount must be greater than 0.", field=field, requested=str(value))
    if value > AMOUNT_MAX:
        raise InvalidAmount(f"The amount must not exceed {AMOUNT_MAX:f}.", field=field, requested=str(value))
    smallest = units(value, DECIMALS[asset])
    if smallest is None:
        scale = "2 decimals" if asset is Asset.EUR else "whole certificates"
        raise InvalidAmount(f"{asset} amounts have {scale} at most.", field=field, requested=str(value))
    return smallest
