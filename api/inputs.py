"""The inputs of the schema, and what they are inside. The domain checks what they mean."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import strawberry

from api.enums import (
    Asset,
    CertificateType,
    OrderSide,
    OrderType,
    TimeInForce,
    TransactionType,
    UserRole,
)
from domain import certificates, kyc, ledger, makers, market, people

ID = strawberry.ID
KEY = "1 to 64 characters chosen by the client: the same key with the same input is done once."


def described(text: str, **options: Any) -> Any:
    """Return an input field with its description; one with a default may be left out."""
    return strawberry.field(description=text, **options)


def optional(text: str) -> Any:
    return strawberry.field(description=text, default=None)


@strawberry.input(description="Who signs in.")
class LoginInput:
    email: str = described("Email address, upper or lower case.")
    password: str = described("Password; never recorded.")


@strawberry.input(description="What a market maker starts with of one asset.")
class InitialBalanceInput:
    asset: Asset = described("The asset.")
    amount: Decimal = described("Greater than 0, in the asset's scale.")


@strawberry.input(description="A market maker to create; its user is created with it.")
class CreateMarketMakerInput:
    name: str = described("Unique, 1 to 64 characters.")
    email: str = described("Unique address of its user.")
    description: str | None = optional("Notes of admins.")
    initial_balances: list[InitialBalanceInput] | None = optional("Each asset at most once.")
    idempotency_key: str | None = optional(KEY)

    def to_domain(self) -> makers.NewMaker:
        return makers.new_maker(
            self.name,
            self.email,
            self.description,
            [(one.asset, one.amount) for one in self.initial_balances or ()],
        )


@strawberry.input(description="What to change of a market maker; what is left out stays.")
class UpdateMarketMakerInput:
    name: str | None = optional("Unique, 1 to 64 characters.")
    description: str | None = optional("Notes of admins; an empty text clears them.")
    is_active: bool | None = optional("false cancels all its open orders in the same transaction.")

    def to_domain(self) -> makers.MakerChange:
        return makers.MakerChange(self.name, self.description, self.is_active)


@strawberry.input(description="A deposit or withdrawal by an admin, for exactly one of marketMakerId and userId.")
class CreateTransactionInput:
    market_maker_id: ID | None = optional("A market maker.")
    user_id: ID | None = optional("A user.")
    asset: Asset = described("The asset.")
    transaction_type: TransactionType = described("DEPOSIT or WITHDRAWAL.")
    amount: Decimal = described("Greater than 0, in the asset's scale.")
    notes: str | None = optional("What it is for.")
    idempotency_key: str | None = optional(KEY)

    def to_domain(self) -> ledger.Change:
        return ledger.Change(
            self.market_maker_id, self.user_id, self.asset, self.transaction_type, self.amount, self.notes
        )


@strawberry.input(description="An order that an admin places for a market maker.")
class PlaceMarketOrderInput:
    market_maker_id: ID = described("Whose order.")
    certificate_type: CertificateType = described("What to sell.")
    side: OrderSide = described("Market makers only sell.", default=OrderSide.SELL)
    order_type: OrderType = described("LIMIT needs a price.", default=OrderType.LIMIT)
    time_in_force: TimeInForce = described("How long it waits.", default=TimeInForce.GTC)
    price: Decimal | None = optional("EUR per certificate, a multiple of the tick.")
    quantity: Decimal = described("Certificates, a multiple of the lot.")
    idempotency_key: str | None = optional(KEY)

    def to_domain(self) -> market.Place:
        return market.Place(
            None,
            self.market_maker_id,
            self.certificate_type,
            self.side,
            self.order_type,
            self.time_in_force,
            self.price,
            self.quantity,
        )


@strawberry.input(description="An order for one's own account.")
class PlaceOrderInput:
    certificate_type: CertificateType = described("What to trade.")
    side: OrderSide = described("BUY or SELL.")
    order_type: OrderType = described("LIMIT needs a price.", default=OrderType.LIMIT)
    time_in_force: TimeInForce = described("How long it waits.", default=TimeInForce.GTC)
    price: Decimal | None = optional("EUR per certificate, a multiple of the tick.")
    quantity: Decimal = described("Certificates, a multiple of the lot.")
    idempotency_key: str | None = optional(KEY)

    def to_domain(self, holder_id: UUID) -> market.Place:
        return market.Place(
            holder_id,
            None,
            self.certificate_type,
            self.side,
            self.order_type,
            self.time_in_force,
            self.price,
            self.quantity,
        )


@strawberry.input(description="A user who signs in.")
class CreateUserInput:
    email: str = described("Unique address.")
    name: str = described("1 to 64 characters.")
    role: UserRole = described("ADMIN, ANALYST or TRADER.")
    password: str = described("15 to 128 characters; never recorded.")

    def to_domain(self) -> people.NewUser:
        return people.new_user(self.email, self.name, self.role, self.password)


@strawberry.input(description="What to change of a user; what is left out stays.")
class UpdateUserInput:
    name: str | None = optional("1 to 64 characters.")
    role: UserRole | None = optional("ADMIN, ANALYST or TRADER; not while he has open orders or balances.")
    is_active: bool | None = optional("false cancels all his open orders in the same transaction and signs him out.")
    password: str | None = optional("Of somebody else; 15 to 128 characters; never recorded; signs him out.")

    def to_domain(self) -> people.UserChange:
        return people.check_change(people.UserChange(self.name, self.role, self.is_active, self.password))


@strawberry.input(description="A new password of one's own.")
class ChangePasswordInput:
    current_password: str = described("The password so far; never recorded.")
    new_password: str = described("15 to 128 characters; never recorded.")

    def checked(self) -> str:
        """Return the new password.

        Raises: InvalidInput.
        """
        return people.new_password(self.current_password, self.new_password)


@strawberry.input(description="A document that shows who somebody is.")
class UploadKycDocumentInput:
    kind: str = described(f"One of {', '.join(kyc.KINDS)}.")
    file_name: str = described("1 to 128 characters; stored without folders and control characters.")
    content_type: str = described(f"One of {', '.join(kyc.BEGINNINGS)}; the bytes must agree.")
    content_base64: str = strawberry.field(
        name="contentBase64", description="The file in standard base64, at most 5 MB of it; never recorded."
    )

    def to_domain(self) -> kyc.NewDocument:
        return kyc.new_document(self.kind, self.file_name, self.content_type, self.content_base64)


@strawberry.input(description="A trade and what the registry called its transfer.")
class SettleTradeInput:
    id: ID = described("The trade.")
    registry_reference: str = described("1 to 140 characters.")


@strawberry.input(description="What to change of a certificate; what is left out stays.")
class UpdateCertificateInput:
    name: str | None = optional("1 to 64 characters.")
    description: str | None = optional("What it is; an empty text clears it.")
    tick_size: Decimal | None = optional("EUR, a multiple of 0.01; every open order must be on it.")
    lot_size: Decimal | None = optional(
        "Whole certificates; what is left of every open order must be a multiple of it."
    )

    def to_domain(self) -> certificates.CertificateChange:
        return certificates.check(
            certificates.CertificateChange(self.name, self.description, self.tick_size, self.lot_size)
        )


@strawberry.input(description="What to change of the settings; what is left out stays.")
class UpdateSettingsInput:
    halted_certificates: list[CertificateType] | None = optional("All that are to be halted; an empty list halts none.")
    price_band_percent: Decimal | None = described(
        "How far from its reference price a certificate may trade, above 0 and up to 100; null removes the band.",
        default=strawberry.UNSET,
    )
    public_market_data: bool | None = optional("Whether certificates, books and trades are shown to anybody.")

    def to_domain(self) -> certificates.SettingsChange:
        halted, has_band = self.halted_certificates, self.price_band_percent is not strawberry.UNSET
        return certificates.check_settings(
            certificates.SettingsChange(
                halted_certificates=None if halted is None else frozenset(halted),
                has_band=has_band,
                price_band_percent=self.price_band_percent if has_band else None,
                public_market_data=self.public_market_data,
            )
        )


@strawberry.input(description="A bank transfer of euros that is on its way.")
class RequestDepositInput:
    amount: Decimal = described("EUR, greater than 0, 2 decimals at most.")
    reference: str = described("The transfer's reference, 1 to 140 characters.")
    idempotency_key: str | None = optional(KEY)
