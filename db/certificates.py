"""The rules of the market in the database: certificates and settings change under the market lock only."""

from __future__ import annotations

from decimal import Decimal

from db import market
from db.read import Reader
from db.tables import Row
from db.transaction import Write
from domain import certificates as law
from domain.certificates import (
    BAND_DECIMALS,
    CertificateChange,
    CertificateOutcome,
    OpenOrders,
    Settings,
    SettingsChange,
    SettingsOutcome,
)
from domain.market import Certificate
from domain.money import CertificateType

_OPEN = """
SELECT count(*) AS orders, count(*) FILTER (WHERE price % $2 <> 0) AS off_tick,
       count(*) FILTER (WHERE (quantity - filled_quantity) % $3 <> 0) AS off_lot
FROM orders WHERE certificate_type = $1 AND status IN ('OPEN', 'PARTIALLY_FILLED')
"""
_SETTINGS = """
SELECT price_band_percent, public_market_data,
       ARRAY(SELECT certificate_type::text FROM certificates WHERE is_halted ORDER BY 1) AS halted FROM settings
"""


async def update(write: Write, certificate_type: CertificateType, change: CertificateChange) -> CertificateOutcome:
    """Change a certificate by a checked change.

    Raises: InvalidPrice, InvalidQuantity (open orders would fall off the grid).
    Locks: the market.
    """
    before = (await market.lock(write))[certificate_type].certificate
    row = await write.connection.fetchrow(
        _OPEN, certificate_type, change.tick_size or before.tick_size, change.lot_size or before.lot_size
    )
    assert row is not None
    after = law.changed(before, change, OpenOrders(row["orders"], row["off_tick"], row["off_lot"]))
    await _store(write, after)
    return CertificateOutcome(after, before)


async def update_price(write: Write, certificate_type: CertificateType, price: Decimal) -> CertificateOutcome:
    """Set the reference price, the middle of the band; open orders outside the new band stay.

    Raises: InvalidPrice.
    Locks: the market.
    """
    checked = law.price(price)
    before = (await market.lock(write))[certificate_type].certificate
    after = law.priced(before, checked)
    await _store(write, after)
    return CertificateOutcome(after, before)


async def _store(write: Write, after: Certificate) -> None:
    await write.connection.execute(
        "UPDATE certificates SET name = $2, description = $3, tick_size = $4, lot_size = $5, reference_price = $6"
        " WHERE certificate_type = $1",
        after.certificate_type,
        after.name,
        after.description,
        after.tick_size,
        after.lot_size,
        after.reference_price,
    )


async def update_settings(write: Write, change: SettingsChange) -> SettingsOutcome:
    """Change the settings by a checked change.

    Locks: the market.
    """
    states = await market.lock(write)
    row = await write.connection.fetchrow(_SETTINGS)
    assert row is not None
    before = _settings_of(row)
    after = law.changed_settings(before, change, list(states))
    await write.connection.execute(
        "UPDATE certificates SET is_halted = certificate_type = ANY($1::text[])"
        " WHERE is_halted <> (certificate_type = ANY($1::text[]))",
        list(after.halted_certificates),
    )
    await write.connection.execute(
        "UPDATE settings SET price_band_percent = $1, public_market_data = $2",
        after.price_band_percent,
        after.public_market_data,
    )
    return SettingsOutcome(after, before)


# ------------------------------------------------------------------------------------------------------------- reading


def _settings_of(row: Row) -> Settings:
    percent = row["price_band_percent"]
    return Settings(
        halted_certificates=tuple(CertificateType(one) for one in row["halted"]),
        price_band_percent=None if percent is None else percent.quantize(Decimal(1).scaleb(-BAND_DECIMALS)),
        public_market_data=row["public_market_data"],
    )


async def settings(reader: Reader) -> Settings:
    """Return the settings of the market."""
    (row,) = await reader.sql(_SETTINGS)
    return _settings_of(row)
