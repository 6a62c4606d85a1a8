"""The types of the schema about the rules of the market: certificates and settings."""

from __future__ import annotations

from decimal import Decimal

import strawberry

from api.context import Info
from api.enums import CertificateType
from api.figures import described
from api.orders import Trade
from domain import certificates, market


@strawberry.type(description="A certificate and the rules of its market.")
class Certificate:
    certificate_type: CertificateType = described("Its type.")
    name: str = described("Its name.")
    description: str | None = described("What it is.")
    tick_size: Decimal = described("Prices are multiples of this, in EUR.")
    lot_size: Decimal = described("Quantities are multiples of this, in certificates.")
    reference_price: Decimal | None = described("The middle of the price band, in EUR; none means no band.")
    is_halted: bool = described("Whether new orders are refused; cancels are accepted all the same.")

    @classmethod
    def of(cls, record: market.Certificate) -> Certificate:
        return cls(
            certificate_type=record.certificate_type,
            name=record.name,
            description=record.description,
            tick_size=record.tick_size,
            lot_size=record.lot_size,
            reference_price=record.reference_price,
            is_halted=record.is_halted,
        )

    @strawberry.field(description="The newest trade.")
    async def last_trade(self, info: Info) -> Trade | None:
        record = await info.context.loaders.last_trades.load(self.certificate_type)
        return Trade.of(record) if record else None


@strawberry.type(description="What holds for the whole market.")
class Settings:
    halted_certificates: list[CertificateType] = described("Certificates that take cancels and no new orders.")
    price_band_percent: Decimal | None = described(
        "How far from its reference price a certificate may trade, in percent; null: no band."
    )
    public_market_data: bool = described("Whether certificates, books and trades are shown to anybody.")

    @classmethod
    def of(cls, record: certificates.Settings) -> Settings:
        return cls(
            halted_certificates=list(record.halted_certificates),
            price_band_percent=record.price_band_percent,
            public_market_data=record.public_market_data,
        )
