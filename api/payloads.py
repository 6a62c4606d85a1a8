"""What mutations answer with: refused or not, a payload names its ticket."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import strawberry
from strawberry.scalars import JSON

from api.certificates import Certificate, Settings
from api.context import Info
from api.deposits import Deposit
from api.enums import ErrorCode, TicketStatus
from api.figures import Balance
from api.ledger import AssetTransaction
from api.objects import MarketMaker, User
from api.orders import Order, Trade
from api.people import KycDocument
from db.idempotency import Kept
from db.unit import Refusal
from domain.certificates import CertificateOutcome, SettingsOutcome
from domain.kyc import KycOutcome
from domain.ledger import TransactionOutcome
from domain.makers import MakerOutcome
from domain.market import CancelledOutcome, PlacedOutcome
from domain.people import DepositOutcome, LoginOutcome, PasswordOutcome, SessionsOutcome, UserOutcome
from domain.settlements import SettledOutcome, SettledTogetherOutcome

ID = strawberry.ID


@strawberry.type(description="Why an action was refused; nothing was changed.")
class UserError:
    code: ErrorCode = strawberry.field(description="Stable code.")
    message: str = strawberry.field(description="What to do about it; the wording may change.")
    field: str | None = strawberry.field(description="The argument it is about.")
    details: JSON | None = strawberry.field(description="The figures that were decided on.")

    @classmethod
    def of(cls, refusal: Refusal) -> UserError:
        return cls(
            code=refusal.code,
            message=refusal.message,
            field=refusal.field,
            details=JSON(dict(refusal.details)) if refusal.details else None,
        )


@strawberry.interface(description="Every mutation answers with one of these: refused or not, it names its ticket.")
class MutationPayload:
    ticket_id: ID = strawberry.field(description="The ticket of this attempt.")
    errors: list[UserError] = strawberry.field(description="Empty when it was done.")

    @classmethod
    def refused(cls, ticket_id: str, refusal: Refusal) -> Any:
        """Return the payload of a refusal: entities null, lists empty."""
        empty: dict[str, Any] = {
            field.python_name: [] if field.python_name in LISTS else None
            for field in cls.__strawberry_definition__.fields  # type: ignore[attr-defined]
            if field.python_name not in ("ticket_id", "errors") and field.base_resolver is None
        }
        return cls(ticket_id=ID(ticket_id), errors=[UserError.of(refusal)], **empty)

    @classmethod
    def of(cls, ticket_id: str, outcome: Any) -> Any:
        """Return the payload of an outcome."""
        return cls(ticket_id=ID(ticket_id), errors=[], **cls.parts(outcome))

    @classmethod
    def parts(cls, outcome: Any) -> dict[str, Any]:
        """Return the entities of an outcome by field."""
        return {}


LISTS = {"trades", "cancelled_orders"}


@strawberry.type(description="A new session.")
class LoginPayload(MutationPayload):
    expires_at: datetime | None = strawberry.field(description="When the session ends at the latest.")
    user: User | None = strawberry.field(description="Who signed in.")

    @strawberry.field(description="Bearer token, shown this once; browsers get it as a cookie.")
    def access_token(self, info: Info) -> str | None:
        return None if self.user is None else info.context.new_token

    @classmethod
    def parts(cls, outcome: LoginOutcome) -> dict[str, Any]:
        return {"expires_at": outcome.session.expires_at, "user": User.of(outcome.user, is_caller=True)}


@strawberry.type(description="The session is over.")
class LogoutPayload(MutationPayload):
    pass


@strawberry.type(description="A market maker as the action left it.")
class MarketMakerPayload(MutationPayload):
    market_maker: MarketMaker | None = strawberry.field(description="The market maker.")
    cancelled_orders: list[Order] = strawberry.field(description="Orders cancelled because it became inactive.")

    @classmethod
    def parts(cls, outcome: MakerOutcome) -> dict[str, Any]:
        return {
            "market_maker": MarketMaker.of(outcome.maker),
            "cancelled_orders": [Order.of(order) for order in outcome.cancelled_orders],
        }


@strawberry.type(description="A market maker that was deactivated.")
class DeleteMarketMakerPayload(MarketMakerPayload):
    pass


@strawberry.type(description="What cancelling all orders of a market maker took out of the books.")
class CancelAllPayload(MutationPayload):
    cancelled_orders: list[Order] = strawberry.field(
        description="The orders that were open, each with a ticket of its own; empty when there were none."
    )

    @classmethod
    def parts(cls, outcome: MakerOutcome) -> dict[str, Any]:
        return {"cancelled_orders": [Order.of(order) for order in outcome.cancelled_orders]}


@strawberry.type(description="A ledger row and the balance after it.")
class TransactionPayload(MutationPayload):
    transaction: AssetTransaction | None = strawberry.field(description="The row.")
    balance: Balance | None = strawberry.field(description="The balance after it.")

    @classmethod
    def parts(cls, outcome: TransactionOutcome) -> dict[str, Any]:
        return {"transaction": AssetTransaction.of(outcome.transaction), "balance": Balance.of(outcome.balance)}


@strawberry.type(description="An order as the action left it, and the trades that it made.")
class OrderPayload(MutationPayload):
    order: Order | None = strawberry.field(description="The order.")
    trades: list[Trade] = strawberry.field(description="Its trades, in the order they were made.")

    @classmethod
    def parts(cls, outcome: PlacedOutcome | CancelledOutcome) -> dict[str, Any]:
        trades = outcome.trades if isinstance(outcome, PlacedOutcome) else ()
        return {"order": Order.of(outcome.order), "trades": [Trade.of(trade) for trade in trades]}


@strawberry.type(description="A user as the action left him.")
class UserPayload(MutationPayload):
    user: User | None = strawberry.field(description="The user.")
    cancelled_orders: list[Order] = strawberry.field(description="Orders cancelled because he became inactive.")
    sessions_revoked: int | None = strawberry.field(description="How many of his sessions were ended.")
    expires_at: datetime | None = strawberry.field(
        description="When the new session ends at the latest; after changePassword only."
    )

    @strawberry.field(
        description="Bearer token of the new session, once, after changePassword only; browsers get a cookie."
    )
    def access_token(self, info: Info) -> str | None:
        return None if self.expires_at is None else info.context.new_token

    @classmethod
    def parts(cls, outcome: UserOutcome | PasswordOutcome | SessionsOutcome) -> dict[str, Any]:
        cancelled = outcome.cancelled_orders if isinstance(outcome, UserOutcome) else ()
        ended = len(outcome.session_ids) if isinstance(outcome, SessionsOutcome) else outcome.sessions_revoked
        return {
            "user": User.of(outcome.user),
            "cancelled_orders": [Order.of(order) for order in cancelled],
            "sessions_revoked": ended,
            "expires_at": outcome.session.expires_at if isinstance(outcome, PasswordOutcome) else None,
        }


@strawberry.type(description="A user whose identity check went on.")
class KycPayload(MutationPayload):
    user: User | None = strawberry.field(description="The user.")
    document: KycDocument | None = strawberry.field(description="The document that was uploaded.")

    @classmethod
    def parts(cls, outcome: KycOutcome) -> dict[str, Any]:
        document = KycDocument.of(outcome.document) if outcome.document else None
        return {"user": User.of(outcome.user), "document": document}


@strawberry.type(description="A trade as its settlement left it.")
class TradePayload(MutationPayload):
    trade: Trade | None = strawberry.field(description="The trade.")

    @classmethod
    def parts(cls, outcome: SettledOutcome) -> dict[str, Any]:
        return {"trade": Trade.of(outcome.trade)}


@strawberry.type(description="Trades as their settlements left them.")
class SettleTradesPayload(MutationPayload):
    trades: list[Trade] = strawberry.field(description="The trades, in the order asked for.")

    @classmethod
    def parts(cls, outcome: SettledTogetherOutcome) -> dict[str, Any]:
        return {"trades": [Trade.of(trade) for trade in outcome.trades]}


@strawberry.type(description="A certificate as the action left it.")
class CertificatePayload(MutationPayload):
    certificate: Certificate | None = strawberry.field(description="The certificate.")

    @classmethod
    def parts(cls, outcome: CertificateOutcome) -> dict[str, Any]:
        return {"certificate": Certificate.of(outcome.certificate)}


@strawberry.type(description="The settings as the action left them.")
class SettingsPayload(MutationPayload):
    settings: Settings | None = strawberry.field(description="The settings.")

    @classmethod
    def parts(cls, outcome: SettingsOutcome) -> dict[str, Any]:
        return {"settings": Settings.of(outcome.settings)}


@strawberry.type(description="A deposit as the action left it.")
class DepositPayload(MutationPayload):
    deposit: Deposit | None = strawberry.field(description="The deposit.")

    @classmethod
    def parts(cls, outcome: DepositOutcome) -> dict[str, Any]:
        return {"deposit": Deposit.of(outcome.deposit)}


@strawberry.type(description="What an attempt with an idempotency key came to, as it was answered then.")
class AttemptOutcome:
    ticket_id: ID = strawberry.field(description="The ticket of the attempt.")
    status: TicketStatus = strawberry.field(description="Whether it was done.")
    error_code: str | None = strawberry.field(description="Why it was refused.")
    order: Order | None = strawberry.field(description="The order it placed, as it stood right afterwards.")
    transaction: AssetTransaction | None = strawberry.field(description="The ledger row it wrote.")

    @classmethod
    def of(cls, kept: Kept, outcome: Any) -> AttemptOutcome:
        """Word what is kept; outcome: None for a refusal."""
        return cls(
            ticket_id=ID(kept.ticket_id),
            status=TicketStatus(kept.status),
            error_code=kept.outcome["errors"][0]["code"] if outcome is None else None,
            order=Order.of(outcome.order) if isinstance(outcome, PlacedOutcome) else None,
            transaction=(AssetTransaction.of(outcome.transaction) if isinstance(outcome, TransactionOutcome) else None),
        )
