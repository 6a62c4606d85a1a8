"""The inputs of the schema, and what they are inside. The domain checks what they mean."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import strawberry

import db.ledger
import db.makers
import db.orders
import db.people
import db.tickets
from api.enums import (
    ActionType,
    Asset,
    CertificateType,
    DepositStatus,
    EntityType,
    KycStatus,
    OrderSide,
    OrderStatus,
    OrderType,
    TicketStatus,
    TimeInForce,
    TradeStatus,
    TransactionType,
    UserRole,
)
from domain import certificates, kyc, ledger, makers, market, people
from domain.people import uuid_or_none

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


# ------------------------------------------------------------------------------------------------------------- filters


@strawberry.enum(description="Whether one of the tags is enough.")
class TagMode(Enum):
    ANY = strawberry.enum_value("ANY", description="One of the tags.")
    ALL = strawberry.enum_value("ALL", description="Every tag.")


def _ids(*texts: str | None) -> list[UUID | None] | None:
    """Read ids; None when one of them is malformed and so names nothing."""
    found = [uuid_or_none(text) if text is not None else None for text in texts]
    return None if any(uuid is None and text is not None for uuid, text in zip(found, texts, strict=True)) else found


@strawberry.input(description="Which orders; every condition given must hold.")
class OrderFilter:
    market_maker_id: ID | None = optional("Of this market maker.")
    has_market_maker: bool | None = optional("Of any market maker, or of none.")
    user_id: ID | None = optional("Of this user.")
    certificate_type: CertificateType | None = optional("Of this certificate.")
    side: OrderSide | None = optional("On this side.")
    statuses: list[OrderStatus] | None = optional("In one of these states.")
    created_from: datetime | None = optional("Placed at or after.")
    created_to: datetime | None = optional("Placed before.")

    @staticmethod
    def to_db(
        wanted: OrderFilter | None,
        *,
        user_id: UUID | None = None,
        market_maker_id: UUID | None = None,
        visible: bool = True,
    ) -> db.orders.OrderFilter | None:
        """Return the filter narrowed to a holder; None when nothing can match."""
        wanted = wanted or OrderFilter()
        ids = _ids(wanted.market_maker_id, wanted.user_id)
        if ids is None or not visible:
            return None
        maker, user = ids
        if (maker and market_maker_id and maker != market_maker_id) or (user and user_id and user != user_id):
            return None
        return db.orders.OrderFilter(
            market_maker_id=market_maker_id or maker,
            has_market_maker=wanted.has_market_maker,
            user_id=user_id or user,
            certificate_type=wanted.certificate_type,
            side=wanted.side,
            statuses=wanted.statuses,
            created_from=wanted.created_from,
            created_to=wanted.created_to,
        )


@strawberry.input(description="Which trades; every condition given must hold.")
class TradeFilter:
    certificate_type: CertificateType | None = optional("Of this certificate.")
    market_maker_id: ID | None = optional("Sold by this market maker.")
    user_id: ID | None = optional("Bought or sold by this user.")
    status: TradeStatus | None = optional("In this state.")
    date_from: datetime | None = optional("Made at or after.")
    date_to: datetime | None = optional("Made before.")

    @staticmethod
    def to_db(wanted: TradeFilter | None, *, market_maker_id: UUID | None = None) -> db.orders.TradeFilter | None:
        """Return the filter narrowed to a market maker; None when nothing can match."""
        wanted = wanted or TradeFilter()
        ids = _ids(wanted.market_maker_id, wanted.user_id)
        if ids is None or (ids[0] and market_maker_id and ids[0] != market_maker_id):
            return None
        return db.orders.TradeFilter(
            market_maker_id=market_maker_id or ids[0],
            user_id=ids[1],
            certificate_type=wanted.certificate_type,
            status=wanted.status,
            date_from=wanted.date_from,
            date_to=wanted.date_to,
        )


@strawberry.input(description="Which ledger rows; every condition given must hold.")
class TransactionFilter:
    asset: Asset | None = optional("Of this asset.")
    transaction_types: list[TransactionType] | None = optional("Of one of these kinds.")
    date_from: datetime | None = optional("Written at or after.")
    date_to: datetime | None = optional("Written before.")

    @staticmethod
    def to_db(
        wanted: TransactionFilter | None, *, holder_id: UUID, visible: bool = True
    ) -> db.ledger.TransactionFilter | None:
        """Return the filter narrowed to a holder; None when it may not be seen."""
        wanted = wanted or TransactionFilter()
        if not visible:
            return None
        return db.ledger.TransactionFilter(
            holder_id=holder_id,
            asset=wanted.asset,
            transaction_types=wanted.transaction_types,
            date_from=wanted.date_from,
            date_to=wanted.date_to,
        )


@strawberry.input(description="Which market makers; every condition given must hold.")
class MarketMakerFilter:
    is_active: bool | None = optional("Active ones, or inactive ones.")
    search: str | None = optional("Part of the name or, to ADMIN, of the email address.")

    def to_db(self, *, sees_emails: bool) -> db.makers.MakerFilter:
        return db.makers.MakerFilter(self.is_active, self.search, searches_emails=sees_emails)


@strawberry.input(description="Which users; every condition given must hold.")
class UserFilter:
    role: UserRole | None = optional("With this role.")
    is_active: bool | None = optional("Active ones, or inactive ones.")
    kyc_status: KycStatus | None = optional("Whose identity check stands here.")
    search: str | None = optional("Part of the name or of the email address.")

    def to_db(self) -> db.people.UserFilter:
        return db.people.UserFilter(self.role, self.is_active, self.kyc_status, self.search)


@strawberry.input(description="Which deposits; every condition given must hold.")
class DepositFilter:
    statuses: list[DepositStatus] | None = optional("In one of these states.")
    user_id: ID | None = optional("Announced by this user.")
    date_from: datetime | None = optional("Announced at or after.")
    date_to: datetime | None = optional("Announced before.")

    @staticmethod
    def to_db(wanted: DepositFilter | None, *, user_id: UUID | None) -> db.people.DepositFilter | None:
        """Return the filter narrowed to a user; None when nothing can match."""
        wanted = wanted or DepositFilter()
        ids = _ids(wanted.user_id)
        if ids is None or (ids[0] and user_id and ids[0] != user_id):
            return None
        return db.people.DepositFilter(wanted.statuses, user_id or ids[0], wanted.date_from, wanted.date_to)


@strawberry.input(description="Which tickets; every condition given must hold. Means the same in lists and streams.")
class TicketFilter:
    date_from: datetime | None = optional("Written at or after.")
    date_to: datetime | None = optional("Written before.")
    action_types: list[ActionType] | None = optional("Of one of these actions.")
    status: TicketStatus | None = optional("With this outcome.")
    user_id: ID | None = optional("Of actions of this user.")
    market_maker_id: ID | None = optional("Of actions for this market maker.")
    has_market_maker: bool | None = optional("For any market maker, or for none.")
    entity_type: EntityType | None = optional("About this kind of thing.")
    entity_id: ID | None = optional("About this thing.")
    tags: list[str] | None = optional("With these tags.")
    tag_mode: TagMode | None = described("Whether one of the tags is enough.", default=TagMode.ANY)
    search: str | None = optional(
        "Words of the id, the summary, the error or the tags; to ADMIN also of the payload, notes included. In any "
        'case and order, each word the beginning of one; "a phrase" as it stands; -word must be absent. An id (of a '
        "ticket, order, trade, user, market maker or session) finds what it names."
    )
    ip_address: str | None = optional("From this address.")
    session_id: ID | None = optional("In this session.")
    related_to: ID | None = optional("Pointing to this ticket, or pointed to by it.")
    error_codes: list[str] | None = optional("Failed with one of these codes.")
    and_: list[TicketFilter] | None = strawberry.field(name="and", description="All of these hold.", default=None)
    or_: list[TicketFilter] | None = strawberry.field(name="or", description="One of these holds.", default=None)
    not_: TicketFilter | None = strawberry.field(name="not", description="This does not hold.", default=None)

    @staticmethod
    def to_db(
        wanted: TicketFilter | None, *, sees_payloads: bool, market_maker_id: UUID | None = None
    ) -> db.tickets.TicketFilter | None:
        """Return the filter narrowed to a market maker; None when nothing can match."""
        inner = (wanted or TicketFilter()).inner(sees_payloads=sees_payloads)
        if market_maker_id is None:
            return inner
        if inner.market_maker_id not in (None, market_maker_id):
            return None
        return replace(inner, market_maker_id=market_maker_id)

    def inner(self, *, sees_payloads: bool) -> db.tickets.TicketFilter:
        """Return the filter as the database reads it; an id that names nothing matches nothing."""

        def of(branch: TicketFilter) -> db.tickets.TicketFilter:
            return branch.inner(sees_payloads=sees_payloads)

        return db.tickets.TicketFilter(
            date_from=self.date_from,
            date_to=self.date_to,
            action_types=self.action_types,
            status=self.status,
            user_id=_uuid(self.user_id),
            market_maker_id=_uuid(self.market_maker_id),
            has_market_maker=self.has_market_maker,
            entity_type=self.entity_type,
            entity_id=self.entity_id,
            tags=self.tags,
            needs_all_tags=self.tag_mode is TagMode.ALL,
            search=self.search,
            ip_address=self.ip_address,
            session_id=_uuid(self.session_id),
            related_to=self.related_to,
            error_codes=self.error_codes,
            searches_payloads=sees_payloads,
            all_of=None if self.and_ is None else [of(one) for one in self.and_],
            any_of=None if self.or_ is None else [of(one) for one in self.or_],
            none_of=None if self.not_ is None else of(self.not_),
        )


NOBODY = UUID(int=0)  # no row has this id


def _uuid(text: str | None) -> UUID | None:
    return None if text is None else uuid_or_none(text) or NOBODY
