"""What a ticket says of each deed: the action is a function of field, input and outcome.

Each `of_…` takes the recorded request and the outcome (None when the attempt failed). A summary holds no free text of
people: figures, certificate types, the names of market makers and states.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from domain import money
from domain.archives import ArchiveOutcome, BackupOutcome, RestoreOutcome
from domain.book import OrderSide
from domain.kyc import KycOutcome
from domain.ledger import Account, TransactionOutcome
from domain.makers import Maker, MakerOutcome
from domain.market import Order, Trade
from domain.people import Deposit, DepositOutcome, LoginOutcome, User, UserOutcome
from domain.tickets import ActionType, EntityType, ExportOutcome, Story

Request = Mapping[str, Any]


def of_login(request: Request, outcome: LoginOutcome | None) -> Story:
    """USER_LOGIN or USER_LOGIN_FAILED."""
    if outcome is None:
        return Story(ActionType.USER_LOGIN_FAILED, "Login refused", EntityType.SESSION, tags=("session",))
    return Story(
        ActionType.USER_LOGIN,
        f"{outcome.user.role} signed in",
        EntityType.SESSION,
        str(outcome.session.id),
        after={"session": {"userId": outcome.user.id, "expiresAt": outcome.session.expires_at}},
        tags=("session",),
        user_id=outcome.user.id,
        session_id=outcome.session.id,
    )


def of_refused_logins(count: int) -> Story:
    """USER_LOGIN_FAILED: logins that were refused without a look at their passwords, told together."""
    logins = "1 login" if count == 1 else f"{count} logins"
    return Story(
        ActionType.USER_LOGIN_FAILED,
        f"{logins} refused: too many attempts",
        EntityType.SESSION,
        tags=("session", "throttled"),
    )


def of_logout(request: Request, outcome: LoginOutcome | None) -> Story:
    """USER_LOGOUT."""
    session_id = str(outcome.session.id) if outcome else None
    return Story(ActionType.USER_LOGOUT, "Signed out", EntityType.SESSION, session_id, tags=("session",))


def of_created_maker(request: Request, outcome: MakerOutcome | None) -> Story:
    """MM_CREATED."""
    if outcome is None:
        return Story(
            ActionType.MM_CREATED, "Create market maker: refused", EntityType.MARKET_MAKER, tags=("market-maker",)
        )
    maker = outcome.maker
    deposits = ", ".join(f"{balance.available:f} {balance.asset}" for balance in outcome.balances if balance.seq)
    return Story(
        ActionType.MM_CREATED,
        f"Created market maker {maker.name}" + (f" with {deposits}" if deposits else ""),
        EntityType.MARKET_MAKER,
        str(maker.id),
        maker.id,
        after={
            "marketMaker": _maker_state(maker),
            "balances": {
                balance.asset: {"available": balance.available, "locked": balance.locked}
                for balance in outcome.balances
                if balance.seq
            },
        },
        tags=("market-maker",),
    )


def of_updated_maker(request: Request, outcome: MakerOutcome | None) -> Story:
    """MM_UPDATED."""
    return _of_changed_maker(ActionType.MM_UPDATED, "Update", request, outcome)


def of_deleted_maker(request: Request, outcome: MakerOutcome | None) -> Story:
    """MM_DELETED."""
    return _of_changed_maker(ActionType.MM_DELETED, "Deactivate", request, outcome)


def _of_changed_maker(action: ActionType, verb: str, request: Request, outcome: MakerOutcome | None) -> Story:
    if outcome is None:
        return Story(
            action,
            f"{verb} market maker: refused",
            EntityType.MARKET_MAKER,
            named(request.get("id")),
            tags=("market-maker",),
        )
    cancelled = len(outcome.cancelled_orders)
    return Story(
        action,
        f"{verb}d market maker {outcome.maker.name}" + (f", {orders_line(cancelled)} cancelled" if cancelled else ""),
        EntityType.MARKET_MAKER,
        str(outcome.maker.id),
        outcome.maker.id,
        before={"marketMaker": _maker_state(outcome.before)} if outcome.before else None,
        after={"marketMaker": _maker_state(outcome.maker)},
        tags=("market-maker",),
    )


def of_cancelled_all(request: Request, outcome: MakerOutcome | None) -> Story:
    """MM_ORDER_CANCELLED, of the market maker: each order that was cancelled has a ticket of its own."""
    if outcome is None:
        return Story(
            ActionType.MM_ORDER_CANCELLED,
            "Cancel all orders: refused",
            EntityType.MARKET_MAKER,
            named(request.get("marketMakerId")),
            tags=("order", "market-maker"),
        )
    certificate = request.get("certificateType") or ""
    return Story(
        ActionType.MM_ORDER_CANCELLED,
        f"Cancelled {orders_line(len(outcome.cancelled_orders), certificate)} of {outcome.maker.name}",
        EntityType.MARKET_MAKER,
        str(outcome.maker.id),
        outcome.maker.id,
        tags=("order", "market-maker"),
    )


def orders_line(count: int, certificate: str = "") -> str:
    """Write a number of orders as people say it."""
    return f"{count} open {certificate}{' ' if certificate else ''}order{'' if count == 1 else 's'}"


def _maker_state(maker: Maker) -> Request:
    return {
        "id": maker.id,
        "userId": maker.user_id,
        "name": maker.name,
        "description": maker.description,
        "isActive": maker.is_active,
    }


def of_transaction(request: Request, outcome: TransactionOutcome | None) -> Story:
    """ASSET_DEPOSIT or ASSET_WITHDRAWAL."""
    asked = request.get("input") or {}
    if outcome is None:
        kind = asked.get("transactionType")
        action = ActionType.ASSET_WITHDRAWAL if kind == "WITHDRAWAL" else ActionType.ASSET_DEPOSIT
        return Story(
            action,
            f"{'Withdraw' if kind == 'WITHDRAWAL' else 'Deposit'}: refused",
            EntityType.ASSET_TRANSACTION,
            tags=("ledger",),
        )
    row = outcome.transaction
    action = ActionType(f"ASSET_{row.transaction_type}")
    return Story(
        action,
        f"{row.transaction_type.capitalize()} of {abs(row.amount):f} {row.asset}",
        EntityType.ASSET_TRANSACTION,
        str(row.id),
        row.market_maker_id,
        before=_balance_state(
            row.holder_id, row.asset, row.balance_after - row.available_delta, row.locked_after - row.locked_delta
        ),
        after=_balance_state(row.holder_id, row.asset, row.balance_after, row.locked_after),
        tags=("ledger", "market-maker") if row.market_maker_id else ("ledger",),
    )


def _balance_state(holder_id: UUID, asset: money.Asset, available: Decimal, locked: Decimal) -> Request:
    return {"holderId": holder_id, "balances": {asset: {"available": available, "locked": locked}}}


def account_state(account: Account) -> Request:
    """Return a locked account as it stands in a ticket."""
    return _balance_state(
        account.holder_id,
        account.asset,
        money.decimal(account.asset, account.available),
        money.decimal(account.asset, account.locked),
    )


def of_placed(request: Request, order: Order | None, maker_name: str | None = None) -> Story:
    """MM_ORDER_PLACED or ORDER_PLACED; before and after are set by the desk, which has the accounts."""
    asked = request.get("input") or {}
    is_maker = "marketMakerId" in asked
    action = ActionType.MM_ORDER_PLACED if is_maker else ActionType.ORDER_PLACED
    tags = ("order", "market-maker") if is_maker else ("order",)
    if order is None:
        wish = (asked.get("side") or "SELL", asked.get("quantity"), asked.get("certificateType"))
        price = f" @ {asked['price']}" if asked.get("price") else ""
        return Story(action, f"{' '.join(map(str, wish))}{price}: refused", EntityType.ORDER, tags=tags)
    return Story(
        action,
        order_line(order) + (f" for {maker_name}" if maker_name else ""),
        EntityType.ORDER,
        str(order.id),
        order.market_maker_id,
        tags=tags,
    )


def order_line(order: Order) -> str:
    """Write an order as people say it: SELL 100 CEA @ 25.50."""
    price = f" @ {order.price:f}" if order.price is not None else " at market"
    return f"{order.side} {order.quantity:f} {order.certificate_type}{price}"


def order_state(order: Order) -> Request:
    """Return an order as it stands in a ticket."""
    return {
        "id": order.id,
        "side": order.side,
        "certificateType": order.certificate_type,
        "price": order.price,
        "quantity": order.quantity,
        "filledQuantity": order.filled_quantity,
        "status": order.status,
        "cancelReason": order.cancel_reason,
    }


def of_cancelled(request: Request, order: Order | None, *, is_maker: bool) -> Story:
    """MM_ORDER_CANCELLED or ORDER_CANCELLED; before and after are set by who has the accounts."""
    action = ActionType.MM_ORDER_CANCELLED if is_maker else ActionType.ORDER_CANCELLED
    tags = ("order", "market-maker") if is_maker else ("order",)
    if order is None:
        return Story(action, "Cancel order: refused", EntityType.ORDER, named(request.get("id")), tags=tags)
    left = f"{order.remaining_quantity:f} of {order.quantity:f} left"
    return Story(
        action,
        f"Cancelled {order_line(order)}, {left}",
        EntityType.ORDER,
        str(order.id),
        order.market_maker_id,
        tags=tags,
    )


def of_trade(trade: Trade) -> Story:
    """MM_TRADE_EXECUTED when a market maker took part, else TRADE_EXECUTED."""
    is_maker = trade.market_maker_id is not None
    return Story(
        ActionType.MM_TRADE_EXECUTED if is_maker else ActionType.TRADE_EXECUTED,
        f"{trade.quantity:f} {trade.certificate_type} @ {trade.price:f} = {trade.notional:f} EUR",
        EntityType.TRADE,
        str(trade.id),
        trade.market_maker_id,
        after={
            "trade": {
                "id": trade.id,
                "certificateType": trade.certificate_type,
                "price": trade.price,
                "quantity": trade.quantity,
                "notional": trade.notional,
                "buyOrderId": trade.buy_order_id,
                "sellOrderId": trade.sell_order_id,
                "takerSide": trade.taker_side,
            }
        },
        tags=("trade", "market-maker") if is_maker else ("trade",),
    )


def of_filled(order_id: UUID, market_maker_id: UUID | None, side: OrderSide, certificate: str) -> Story:
    """ORDER_FILLED."""
    return Story(
        ActionType.ORDER_FILLED,
        f"{side} order of {certificate} filled",
        EntityType.ORDER,
        str(order_id),
        market_maker_id,
        tags=("order", "market-maker") if market_maker_id else ("order",),
    )


def of_created_user(request: Request, outcome: UserOutcome | None) -> Story:
    """USER_CREATED."""
    return of_user(ActionType.USER_CREATED, ("Create user", "Created"), request, outcome)


def of_approved_kyc(request: Request, outcome: KycOutcome | None) -> Story:
    """KYC_APPROVED."""
    return of_user(ActionType.KYC_APPROVED, ("Approve KYC", "Approved KYC of"), request, outcome)


def of_user(
    action: ActionType, wording: tuple[str, str], request: Request, outcome: UserOutcome | KycOutcome | None
) -> Story:
    """Tell of a user. wording: when refused, when done."""
    asked, done = wording
    if outcome is None:
        entity_id = named(request.get("userId") or request.get("id"))
        return Story(action, f"{asked}: refused", EntityType.USER, entity_id, tags=("user",))
    return Story(
        action,
        f"{done} {outcome.user.role}",
        EntityType.USER,
        str(outcome.user.id),
        before={"user": user_state(outcome.before)} if outcome.before else None,
        after={"user": user_state(outcome.user)},
        tags=("user",),
    )


def user_state(user: User) -> Request:
    """Return a user as he stands in a ticket."""
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "isActive": user.is_active,
        "kycStatus": user.kyc_status,
        "kycReason": user.kyc_reason,
    }


def of_requested_deposit(request: Request, outcome: DepositOutcome | None) -> Story:
    """DEPOSIT_REQUESTED."""
    return of_deposit(ActionType.DEPOSIT_REQUESTED, ("Request deposit", "Requested"), request, outcome)


def of_approved_deposit(request: Request, outcome: DepositOutcome | None) -> Story:
    """DEPOSIT_APPROVED."""
    return of_deposit(ActionType.DEPOSIT_APPROVED, ("Approve deposit", "Approved"), request, outcome)


def of_deposit(action: ActionType, wording: tuple[str, str], request: Request, outcome: DepositOutcome | None) -> Story:
    """Tell of a deposit. wording: when refused, when done."""
    asked, done = wording
    if outcome is None:
        entity_id = named(request.get("id"))
        return Story(action, f"{asked}: refused", EntityType.DEPOSIT, entity_id, tags=("deposit",))
    deposit = outcome.deposit
    return Story(
        action,
        f"{done} deposit of {deposit.amount:f} EUR",
        EntityType.DEPOSIT,
        str(deposit.id),
        before={"deposit": deposit_state(outcome.before)} if outcome.before else None,
        after={"deposit": deposit_state(deposit)},
        tags=("deposit",),
    )


def deposit_state(deposit: Deposit) -> Request:
    """Return a deposit as it stands in a ticket."""
    return {
        "id": deposit.id,
        "userId": deposit.user_id,
        "amount": deposit.amount,
        "reference": deposit.reference,
        "status": deposit.status,
        "reason": deposit.reason,
    }


def of_exported(request: Request, outcome: ExportOutcome | None) -> Story:
    """DATA_EXPORTED."""
    if outcome is None:
        return Story(ActionType.DATA_EXPORTED, "Export of tickets: refused", tags=("export",))
    noun = "ticket" if outcome.rows == 1 else "tickets"
    return Story(
        ActionType.DATA_EXPORTED, f"Exported {outcome.rows:,} {noun} as {outcome.format.upper()}", tags=("export",)
    )


def of_rows_exported(request: Request, outcome: ExportOutcome | None) -> Story:
    """DATA_EXPORTED, of a query's one list."""
    if outcome is None:
        return Story(ActionType.DATA_EXPORTED, "Export of a query: refused", tags=("export", "query"))
    noun = "row" if outcome.rows == 1 else "rows"
    summary = f"Exported {outcome.rows:,} {noun} of {request['list']} as {outcome.format.upper()}"
    return Story(ActionType.DATA_EXPORTED, summary, tags=("export", "query"))


def named(value: Any) -> str | None:
    """Return an id that a client named, cut to what the column takes."""
    return str(value)[:64] if value is not None else None


def of_archive(request: Request, outcome: ArchiveOutcome | None) -> Story:
    """DATA_ARCHIVED."""
    if outcome is None:
        return Story(ActionType.DATA_ARCHIVED, "Archive payloads: failed", tags=("retention",))
    return Story(
        ActionType.DATA_ARCHIVED,
        f"Archived {outcome.payloads} payloads, {outcome.first} to {outcome.last}",
        entity_id=str(outcome.id),
        after={
            "archive": {
                "payloads": outcome.payloads,
                "before": outcome.before,
                "treeSize": outcome.tree_size,
                "manifestSha256": outcome.manifest_sha256,
            }
        },
        tags=("retention",),
    )


def of_backup(request: Request, outcome: BackupOutcome | None) -> Story:
    """DATA_EXPORTED: a backup holds everything."""
    done = f"Backed up into {named(outcome.name)}" if outcome else "Backup: failed"
    return Story(ActionType.DATA_EXPORTED, done, tags=("backup",))


def of_restore(request: Request, outcome: RestoreOutcome | None) -> Story:
    """DATA_RESTORED."""
    if outcome is None:
        return Story(ActionType.DATA_RESTORED, "Restore: failed", tags=("restore",))
    source = f"the backup of {outcome.made_at}" if outcome.made_at else "a recovery"
    return Story(
        ActionType.DATA_RESTORED,
        f"Restored {outcome.tickets} tickets from {source}; {outcome.lost} sealed ones are lost",
        after={
            "restore": {
                "backupMadeAt": outcome.made_at,
                "tickets": outcome.tickets,
                "sealedLost": outcome.lost,
                "numbersSkippedTo": outcome.skipped,
                "endedTreeKey": outcome.ended_key,
            }
        },
        tags=("restore",),
    )
