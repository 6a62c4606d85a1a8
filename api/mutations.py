"""What can be done. Each field reads aloud: load, decide, store; `api.tickets` writes its ticket in the same commit.

A field with `write` runs in that open transaction; one that returns work has prepared it without holding one; one that
returns a command leaves the rest to the desk.
"""

from functools import partial
from typing import Annotated

import strawberry
from strawberry.tools import create_type

import db.ledger
import db.makers
import db.people
from api import auth
from api.context import Info
from api.enums import CertificateType
from api.inputs import (
    CreateMarketMakerInput,
    CreateTransactionInput,
    CreateUserInput,
    LoginInput,
    PlaceMarketOrderInput,
    PlaceOrderInput,
    RequestDepositInput,
    UpdateMarketMakerInput,
)
from api.payloads import (
    CancelAllPayload,
    DeleteMarketMakerPayload,
    DepositPayload,
    KycPayload,
    LoginPayload,
    LogoutPayload,
    MarketMakerPayload,
    OrderPayload,
    TransactionPayload,
    UserPayload,
)
from api.policy import Policy
from api.tickets import Work, mutation, mutations
from db.transaction import Write
from domain import stories
from domain.ledger import TransactionOutcome
from domain.makers import MakerOutcome
from domain.market import Cancel, Place
from domain.people import DepositOutcome, LoginOutcome, UserOutcome
from domain.tickets import ActionType

INPUT = strawberry.argument(description="What is asked for.")
Id = Annotated[strawberry.ID, strawberry.argument(description="UUID.")]


@mutation(LoginPayload, Policy.ANYONE, ActionType.USER_LOGIN_FAILED, stories.of_login, "email")
async def login(info: Info, input: Annotated[LoginInput, INPUT]) -> Work[LoginOutcome]:
    """Sign in; also sets the session cookie."""
    services, context = info.context.services, info.context
    async with services.throttle.guess(input.email, input.password, context.ip_address) as guess:
        found = await db.people.credentials(services.pool, input.email)
        is_right = await services.passwords.verify(found[1] if found else None, input.password)
        if found is None or not is_right:
            raise guess.wrong()
        guess.right()
    user, token = found[0], auth.new_token()

    async def work(write: Write) -> LoginOutcome:
        if context.replaces:
            await db.people.close_session(write, context.replaces)
        outcome = await db.people.open_session(write, user, token)
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
async def create_user(
    write: strawberry.Parent[Write], info: Info, input: Annotated[CreateUserInput, INPUT]
) -> UserOutcome:
    """Create a user who signs in."""
    new = input.to_domain()
    return await db.people.create(write, new, await info.context.services.passwords.hash(new.password))


@mutation(KycPayload, Policy.ADMIN, ActionType.KYC_APPROVED, stories.of_approved_kyc)
async def approve_kyc(write: strawberry.Parent[Write], user_id: Id) -> UserOutcome:
    """Let a user trade."""
    return await db.people.approve_kyc(write, user_id)


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


Mutation = create_type(
    "Mutation", mutations(), description="Everything that can be done. One root field is one attempt and one ticket."
)
