"""What can be done. Each field reads aloud: load, decide, store; `api.tickets` writes its ticket in the same commit.

A field with `write` runs in that open transaction; one that returns work has prepared it without holding one; one that
returns a command leaves the rest to the desk.
"""

import asyncio
from decimal import Decimal
from functools import partial
from typing import Annotated

import strawberry
from strawberry.tools import create_type

import db.certificates
import db.kyc
import db.ledger
import db.makers
import db.people
import db.sessions
import db.settlements
import db.users
from api import auth
from api.context import Info
from api.enums import CertificateType
from api.inputs import (
    ChangePasswordInput,
    CreateMarketMakerInput,
    CreateTransactionInput,
    CreateUserInput,
    LoginInput,
    PlaceMarketOrderInput,
    PlaceOrderInput,
    RequestDepositInput,
    SettleTradeInput,
    UpdateCertificateInput,
    UpdateMarketMakerInput,
    UpdateSettingsInput,
    UpdateUserInput,
    UploadKycDocumentInput,
)
from api.payloads import (
    CancelAllPayload,
    CertificatePayload,
    DeleteMarketMakerPayload,
    DepositPayload,
    KycPayload,
    LoginPayload,
    LogoutPayload,
    MarketMakerPayload,
    OrderPayload,
    SettingsPayload,
    SettleTradesPayload,
    TradePayload,
    TransactionPayload,
    UserPayload,
)
from api.policy import Policy
from api.tickets import Work, mutation, mutations
from db.transaction import Write
from domain import errors, office, people, settlements, stories
from domain.certificates import CertificateOutcome, SettingsOutcome
from domain.kyc import KycOutcome
from domain.ledger import TransactionOutcome
from domain.makers import MakerOutcome
from domain.market import Cancel, Place
from domain.people import DepositOutcome, LoginOutcome, PasswordOutcome, SessionsOutcome, UserOutcome
from domain.settlements import SettledOutcome, SettledTogetherOutcome
from domain.tickets import ActionType

INPUT = strawberry.argument(description="What is asked for.")
Id = Annotated[strawberry.ID, strawberry.argument(description="UUID.")]
Reason = Annotated[str, strawberry.argument(description="Why, for the person concerned; 1 to 2,000 characters.")]
Which = Annotated[CertificateType, strawberry.argument(description="Which certificate.")]


@mutation(LoginPayload, Policy.ANYONE, ActionType.USER_LOGIN_FAILED, stories.of_login, "email")
async def login(info: Info, input: Annotated[LoginInput, INPUT]) -> Work[LoginOutcome]:
    """Sign in; also sets the session cookie."""
    services, context = info.context.services, info.context
    async with services.throttle.guess(input.email, input.password, context.ip_address) as guess:
        found = await db.people.credentials(services.pool, input.email)
        is_right = await services.passwords.verify(found[1] if found else None, input.password)
        if found is None or not is_right:
            raise guess.wrong(errors.InvalidCredentials(people.WRONG_CREDENTIALS))
        guess.right()
    (user, verified_hash), token = found, auth.new_token()

    async def work(write: Write) -> LoginOutcome:
        if context.replaces:
            await db.people.close_session(write, context.replaces)
        outcome = await db.people.sign_in(write, user, verified_hash, token)
        context.hand_over(token, outcome.session.expires_at)
        return outcome

    return work


@mutation(LogoutPayload, Policy.SIGNED_IN, ActionType.USER_LOGOUT, stories.of_logout)
async def logout(write: strawberry.Parent[Write], info: Info) -> LoginOutcome:
    """End the session of this request."""
    assert info.context.caller is not None
    info.context.take_back()
    return await db.people.close_session(write, info.context.caller)


@mutation(
    MarketMakerPayload,
    Policy.ADMIN,
    ActionType.MM_CREATED,
    stories.of_created_maker,
    "name email description initialBalances asset amount idempotencyKey",
)
async def create_market_maker(
    write: strawberry.Parent[Write], input: Annotated[CreateMarketMakerInput, INPUT]
) -> MakerOutcome:
    """Create a market maker, its user and what it starts with."""
    return await db.makers.create(write, input.to_domain())


@mutation(
    MarketMakerPayload,
    Policy.ADMIN,
    ActionType.MM_UPDATED,
    stories.of_updated_maker,
    "name description isActive",
)
async def update_market_maker(
    write: strawberry.Parent[Write], id: Id, input: Annotated[UpdateMarketMakerInput, INPUT]
) -> MakerOutcome:
    """Change a market maker; deactivating it cancels all its open orders in the same transaction."""
    return await db.makers.update(write, id, input.to_domain())


@mutation(DeleteMarketMakerPayload, Policy.ADMIN, ActionType.MM_DELETED, stories.of_deleted_maker)
async def delete_market_maker(write: strawberry.Parent[Write], id: Id) -> MakerOutcome:
    """Deactivate a market maker and cancel all its open orders; its history stays."""
    return await db.makers.delete(write, id)


@mutation(
    TransactionPayload,
    Policy.ADMIN,
    ActionType.ASSET_DEPOSIT,
    stories.of_transaction,
    "marketMakerId userId asset transactionType amount notes idempotencyKey",
)
async def create_transaction(
    write: strawberry.Parent[Write], input: Annotated[CreateTransactionInput, INPUT]
) -> TransactionOutcome:
    """Deposit or withdraw an asset of a market maker or a user."""
    return await db.ledger.change(write, input.to_domain())


@mutation(
    OrderPayload,
    Policy.ADMIN,
    ActionType.MM_ORDER_PLACED,
    stories.of_placed,
    "marketMakerId certificateType side orderType timeInForce price quantity idempotencyKey",
)
def place_market_order(input: Annotated[PlaceMarketOrderInput, INPUT]) -> Place:
    """Place an order on behalf of a market maker."""
    return input.to_domain()


@mutation(OrderPayload, Policy.ADMIN, ActionType.MM_ORDER_CANCELLED, partial(stories.of_cancelled, is_maker=True))
def cancel_market_order(id: Id) -> Cancel:
    """Cancel an order of a market maker and release what it reserved."""
    return Cancel(id, None)


@mutation(CancelAllPayload, Policy.ADMIN, ActionType.MM_ORDER_CANCELLED, stories.of_cancelled_all)
async def cancel_all_market_orders(
    write: strawberry.Parent[Write],
    market_maker_id: Id,
    certificate_type: Annotated[
        CertificateType | None, strawberry.argument(description="Only orders of this certificate; all when not given.")
    ] = None,
) -> MakerOutcome:
    """Cancel every open order of a market maker in one transaction; having none is fine."""
    return await db.makers.cancel_all(write, market_maker_id, certificate_type)


@mutation(
    OrderPayload,
    Policy.TRADER,
    ActionType.ORDER_PLACED,
    stories.of_placed,
    "certificateType side orderType timeInForce price quantity idempotencyKey",
)
def place_order(info: Info, input: Annotated[PlaceOrderInput, INPUT]) -> Place:
    """Place an order for one's own account; needs an approved KYC."""
    return input.to_domain(info.context.user.id)


@mutation(OrderPayload, Policy.TRADER, ActionType.ORDER_CANCELLED, partial(stories.of_cancelled, is_maker=False))
def cancel_order(info: Info, id: Id) -> Cancel:
    """Cancel one's own order and release what it reserved."""
    return Cancel(id, info.context.user.id)


@mutation(
    UserPayload,
    Policy.ADMIN,
    ActionType.USER_CREATED,
    stories.of_created_user,
    "email name role",
)
async def create_user(info: Info, input: Annotated[CreateUserInput, INPUT]) -> Work[UserOutcome]:
    """Create a user who signs in."""
    new = input.to_domain()
    password_hash = await info.context.services.passwords.hash(new.password)
    return lambda write: db.people.create(write, new, password_hash)


@mutation(UserPayload, Policy.ADMIN, ActionType.USER_UPDATED, office.of_updated_user, "name role isActive")
async def update_user(info: Info, id: Id, input: Annotated[UpdateUserInput, INPUT]) -> Work[UserOutcome]:
    """Change a user. Deactivating him cancels all his open orders in the same transaction; that, another role and a
    new password sign him out. The last active admin stays one."""
    change = input.to_domain()
    password_hash = await info.context.services.passwords.hash(change.password) if change.password else None
    return lambda write: db.users.update(write, id, change, password_hash)


@mutation(UserPayload, Policy.ADMIN, ActionType.USER_DELETED, office.of_deleted_user)
async def delete_user(write: strawberry.Parent[Write], id: Id) -> UserOutcome:
    """Deactivate a user, cancel all his open orders and sign him out; his history stays."""
    return await db.users.delete(write, id)


@mutation(UserPayload, Policy.SIGNED_IN, ActionType.ENTITY_MODIFIED, office.of_changed_password)
async def change_password(info: Info, input: Annotated[ChangePasswordInput, INPUT]) -> Work[PasswordOutcome]:
    """Change one's own password. All sessions end, and a new one begins in place of this one."""
    new, context, who = input.checked(), info.context, info.context.caller
    assert who is not None
    services = context.services
    current_hash = await db.users.password_hash_of(services.pool, who.user.id)
    async with services.throttle.guess(who.user.email, input.current_password, context.ip_address) as guess:
        if not await services.passwords.verify(current_hash, input.current_password):
            wrong = errors.InvalidCredentials("This is not your current password.", field="currentPassword")
            raise guess.wrong(wrong)
        guess.right()
    new_hash, token = await services.passwords.hash(new), auth.new_token()

    async def work(write: Write) -> PasswordOutcome:
        outcome = await db.users.change_password(write, who, current_hash, new_hash, token)
        context.hand_over(token, outcome.session.expires_at)
        return outcome

    return work


@mutation(UserPayload, Policy.SIGNED_IN, ActionType.ENTITY_MODIFIED, office.of_revoked_sessions)
async def revoke_sessions(
    write: strawberry.Parent[Write],
    info: Info,
    user_id: Annotated[
        strawberry.ID | None, strawberry.argument(description="Whose, for ADMIN; one's own when not given.")
    ] = None,
    session_id: Annotated[
        strawberry.ID | None,
        strawberry.argument(description="Only this one; all, also the one that asks, when not given."),
    ] = None,
) -> SessionsOutcome:
    """End sessions: one's own, for ADMIN anybody's."""
    caller = info.context.caller
    assert caller is not None
    outcome = await db.sessions.revoke_asked(write, caller.user, user_id, session_id)
    if caller.session.id in outcome.session_ids:
        info.context.take_back()
    return outcome


@mutation(
    KycPayload,
    Policy.TRADER,
    ActionType.KYC_UPLOADED,
    office.of_uploaded_document,
    "kind fileName contentType",
)
async def upload_kyc_document(info: Info, input: Annotated[UploadKycDocumentInput, INPUT]) -> Work[KycOutcome]:
    """Upload a document for one's own identity check, which then waits for a decision."""
    new = await asyncio.to_thread(input.to_domain)  # megabytes of base64 would hold up everybody else
    user_id = info.context.user.id
    return lambda write: db.kyc.upload(write, user_id, new)


@mutation(KycPayload, Policy.ADMIN, ActionType.KYC_APPROVED, stories.of_approved_kyc)
async def approve_kyc(write: strawberry.Parent[Write], user_id: Id) -> KycOutcome:
    """Let a user trade."""
    return await db.kyc.approve(write, user_id)


@mutation(KycPayload, Policy.ADMIN, ActionType.KYC_REJECTED, office.of_rejected_kyc)
async def reject_kyc(write: strawberry.Parent[Write], user_id: Id, reason: Reason) -> KycOutcome:
    """Refuse what a user has uploaded; he reads why, and another upload opens the check again."""
    return await db.kyc.reject(write, user_id, reason)


@mutation(
    DepositPayload,
    Policy.TRADER,
    ActionType.DEPOSIT_REQUESTED,
    stories.of_requested_deposit,
    "amount reference idempotencyKey",
)
async def request_deposit(
    write: strawberry.Parent[Write], info: Info, input: Annotated[RequestDepositInput, INPUT]
) -> DepositOutcome:
    """Announce a bank transfer of euros."""
    return await db.people.request_deposit(write, info.context.user.id, input.amount, input.reference)


@mutation(DepositPayload, Policy.ADMIN, ActionType.DEPOSIT_APPROVED, stories.of_approved_deposit)
async def approve_deposit(write: strawberry.Parent[Write], id: Id) -> DepositOutcome:
    """Credit an announced bank transfer."""
    return await db.people.approve_deposit(write, id)


@mutation(DepositPayload, Policy.ADMIN, ActionType.DEPOSIT_REJECTED, office.of_rejected_deposit)
async def reject_deposit(write: strawberry.Parent[Write], id: Id, reason: Reason) -> DepositOutcome:
    """Refuse an announced bank transfer; the trader reads why."""
    return await db.people.reject_deposit(write, id, reason)


@mutation(TradePayload, Policy.ADMIN, ActionType.TRADE_SETTLED, office.of_settled)
async def settle_trade(
    write: strawberry.Parent[Write],
    id: Id,
    registry_reference: Annotated[str, strawberry.argument(description="1 to 140 characters.")],
) -> SettledOutcome:
    """Record that the external registry has carried a trade out; balances were final before."""
    return await db.settlements.settle(write, settlements.settlement(id, registry_reference))


@mutation(
    SettleTradesPayload, Policy.ADMIN, ActionType.TRADE_SETTLED, office.of_settled_together, "id registryReference"
)
async def settle_trades(
    write: strawberry.Parent[Write],
    input: Annotated[
        list[SettleTradeInput],
        strawberry.argument(description=f"1 to {settlements.SETTLEMENTS_MAX} trades, each once."),
    ],
) -> SettledTogetherOutcome:
    """Record what the registry has carried out for several trades, all or none; each has a ticket of its own."""
    asked = settlements.settlements([(one.id, one.registry_reference) for one in input])
    return await db.settlements.settle_together(write, asked)


@mutation(
    CertificatePayload,
    Policy.ADMIN,
    ActionType.CERTIFICATE_MODIFIED,
    office.of_updated_certificate,
    "name description tickSize lotSize",
)
async def update_certificate(
    write: strawberry.Parent[Write], certificate_type: Which, input: Annotated[UpdateCertificateInput, INPUT]
) -> CertificateOutcome:
    """Change a certificate's texts or grid; refused while open orders would fall off the new grid."""
    return await db.certificates.update(write, certificate_type, input.to_domain())


@mutation(CertificatePayload, Policy.ADMIN, ActionType.PRICE_UPDATED, office.of_updated_price)
async def update_price(
    write: strawberry.Parent[Write],
    certificate_type: Which,
    price: Annotated[Decimal, strawberry.argument(description="EUR, greater than 0, 2 decimals at most.")],
) -> CertificateOutcome:
    """Set a certificate's reference price, the middle of its price band; open orders stay."""
    return await db.certificates.update_price(write, certificate_type, price)


@mutation(
    SettingsPayload,
    Policy.ADMIN,
    ActionType.SETTINGS_CHANGED,
    office.of_changed_settings,
    "haltedCertificates priceBandPercent publicMarketData",
)
async def update_settings(
    write: strawberry.Parent[Write], input: Annotated[UpdateSettingsInput, INPUT]
) -> SettingsOutcome:
    """Halt certificates, set the price band, open or close the market data."""
    return await db.certificates.update_settings(write, input.to_domain())


Mutation = create_type(
    "Mutation", mutations(), description="Everything that can be done. One root field is one attempt and one ticket."
)
