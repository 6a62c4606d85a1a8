"""The enums of the schema: the domain's own, with a description on every value."""

from enum import Enum
from typing import Any

import strawberry

from api.books import SnapshotReason
from db.aggregates import (
    OrderGroup,
    OrderMeasure,
    TicketGroup,
    TicketMeasure,
    TradeGroup,
    TradeMeasure,
    TransactionGroup,
    TransactionMeasure,
)
from db.finding import TicketOrder
from db.ledger import TransactionsBy
from db.makers import MarketMakersBy
from db.orders import OrdersBy, TradesBy
from db.people import DepositsBy, UsersBy
from db.stats import TimeBucket
from domain.book import OrderSide
from domain.errors import ErrorCode
from domain.ledger import TransactionReason, TransactionType
from domain.market import OrderStatus, OrderType, TimeInForce, TradeStatus
from domain.money import Asset, CertificateType
from domain.people import DepositStatus, KycStatus, UserRole
from domain.tickets import ActionType, EntityType, TicketStatus

BY_TIME = {"NEWEST": "Newest first.", "OLDEST": "Oldest first."}
CLOCK = {"HOUR_OF_DAY": "The hour of the day in the time zone.", "WEEKDAY": "The day of the week in the time zone."}
FIGURES_OF_QUANTITY = {
    "QUANTITY_SUM": "Certificates in all.",
    "QUANTITY_AVG": "Certificates of one.",
    "QUANTITY_MIN": "Certificates of the smallest.",
    "QUANTITY_MAX": "Certificates of the largest.",
}
FIGURES_OF_PRICE = {
    "PRICE_AVG": "Price, each counting the same.",
    "PRICE_MIN": "Lowest price.",
    "PRICE_MAX": "Highest price.",
}
VALUES: dict[type[Enum], dict[str, str]] = {
    Asset: {
        "CEA": "China Emission Allowance, whole certificates.",
        "EUA": "EU Allowance, whole certificates.",
        "EUR": "Euro, two decimals.",
    },
    CertificateType: {"CEA": "China Emission Allowance.", "EUA": "EU Allowance."},
    OrderSide: {"BUY": "Gives euros for certificates.", "SELL": "Gives certificates for euros."},
    SnapshotReason: {
        "SUBSCRIBED": "It is the first: nothing was seen before, or too much happened since.",
        "RESYNC": "What was seen does not lead to this book: the server's own was begun anew.",
        "LAGGED": "You did not read fast enough, and what you missed is not remembered any more.",
    },
    OrderType: {"LIMIT": "Trades at its price or better.", "MARKET": "Takes what the book offers."},
    TimeInForce: {
        "GTC": "Good till cancelled.",
        "IOC": "Immediate or cancel: what does not trade at once is cancelled.",
        "FOK": "Fill or kill: trades whole at once or not at all.",
    },
    OrderStatus: {
        "OPEN": "In the book, nothing traded yet.",
        "PARTIALLY_FILLED": "In the book, a part has traded.",
        "FILLED": "Traded whole.",
        "CANCELLED": "Left the book; what had traded stays traded.",
    },
    TradeStatus: {
        "EXECUTED": "Made: balances are final in this ledger.",
        "SETTLED": "The external registry's reference is recorded.",
    },
    TransactionType: {
        "DEPOSIT": "Comes in from outside.",
        "WITHDRAWAL": "Goes out.",
        "TRADE_DEBIT": "Is locked for an order.",
        "TRADE_CREDIT": "Comes back from an order, or settles a trade.",
    },
    TransactionReason: {
        "DEPOSIT": "Available goes up.",
        "WITHDRAWAL": "Available goes down.",
        "LOCK": "An order reserves: available goes down, locked up.",
        "RELEASE": "A cancel or a better price: locked goes down, available up.",
        "SETTLE_OUT": "What a trade gives leaves locked.",
        "SETTLE_IN": "What a trade brings comes into available.",
    },
    UserRole: {
        "ADMIN": "Runs the desk.",
        "ANALYST": "Reads, without emails, payloads and documents.",
        "TRADER": "Trades for his own account.",
        "MARKET_MAKER": "Is traded for by admins; never signs in.",
    },
    KycStatus: {
        "NONE": "No documents yet.",
        "PENDING": "Documents wait for a decision.",
        "APPROVED": "May trade.",
        "REJECTED": "Was refused.",
    },
    DepositStatus: {
        "PENDING": "Announced, not decided.",
        "APPROVED": "Credited.",
        "REJECTED": "Refused.",
    },
    TicketOrder: {"NEWEST": "By number, highest first.", "OLDEST": "By number, lowest first."},
    OrdersBy: {
        **BY_TIME,
        "CHANGED": "Last changed first.",
        "PRICE_HIGHEST": "By limit, highest first; MARKET orders last.",
        "PRICE_LOWEST": "By limit, lowest first; MARKET orders first.",
        "LARGEST": "By quantity, largest first.",
        "SMALLEST": "By quantity, smallest first.",
    },
    TradesBy: {
        **BY_TIME,
        "PRICE_HIGHEST": "By price, highest first.",
        "PRICE_LOWEST": "By price, lowest first.",
        "LARGEST": "By notional, largest first.",
        "SMALLEST": "By notional, smallest first.",
    },
    TransactionsBy: {
        **BY_TIME,
        "LARGEST": "By what moved, in whichever direction, largest first.",
        "SMALLEST": "By what moved, in whichever direction, smallest first.",
    },
    MarketMakersBy: {"NAME": "By name.", **BY_TIME},
    UsersBy: {**BY_TIME, "NAME": "By name."},
    DepositsBy: {**BY_TIME, "LARGEST": "By amount, largest first.", "SMALLEST": "By amount, smallest first."},
    TimeBucket: {
        "MINUTE": "One minute.",
        "HOUR": "One hour.",
        "DAY": "One day of the time zone.",
        "WEEK": "One week of the time zone, from Monday.",
        "MONTH": "One month of the time zone.",
    },
    TradeGroup: {
        "CERTIFICATE_TYPE": "The certificate.",
        "TAKER_SIDE": "The side of the order that came second.",
        "STATUS": "Whether the registry's reference is recorded.",
        "MARKET_MAKER": "The market maker that sold, or none; for ADMIN and ANALYST.",
        "BUYER": "Who bought; for ADMIN and ANALYST.",
        "SELLER": "Who sold; for ADMIN and ANALYST.",
        **CLOCK,
    },
    OrderGroup: {
        "CERTIFICATE_TYPE": "The certificate.",
        "SIDE": "BUY or SELL.",
        "ORDER_TYPE": "LIMIT or MARKET.",
        "TIME_IN_FORCE": "How long it waits.",
        "STATUS": "Where it stands in its life.",
        "CANCEL_REASON": "Why it was cancelled, or not.",
        "MARKET_MAKER": "The market maker it was placed for, or none.",
        "USER": "Whose it is.",
        **CLOCK,
    },
    TransactionGroup: {
        "ASSET": "What moved.",
        "TRANSACTION_TYPE": "The kind of movement.",
        "REASON": "What moved it.",
        "HOLDER": "Whose balance.",
        "MARKET_MAKER": "The market maker whose balance it is, or none.",
        **CLOCK,
    },
    TicketGroup: {
        "ACTION_TYPE": "The action.",
        "STATUS": "The outcome.",
        "ERROR_CODE": "Why it failed, or not.",
        "USER": "Who acted.",
        "MARKET_MAKER": "The market maker it was for, or none.",
        "ENTITY_TYPE": "The kind of thing it was about.",
        "IP_ADDRESS": "Where the request came from.",
        "SESSION": "The session it came in.",
        **CLOCK,
    },
    TradeMeasure: {
        "COUNT": "Trades.",
        **FIGURES_OF_QUANTITY,
        "NOTIONAL_SUM": "EUR in all.",
        "NOTIONAL_AVG": "EUR of a trade.",
        "NOTIONAL_MIN": "EUR of the smallest.",
        "NOTIONAL_MAX": "EUR of the largest.",
        **FIGURES_OF_PRICE,
        "VWAP": "Price weighted by quantity.",
    },
    OrderMeasure: {
        "COUNT": "Orders.",
        **FIGURES_OF_QUANTITY,
        "FILLED_QUANTITY_SUM": "Certificates traded.",
        "FILL_RATE": "The part of the quantity that traded.",
        "NOTIONAL_SUM": "EUR traded.",
        **FIGURES_OF_PRICE,
        "VWAP": "Price traded, weighted by quantity.",
    },
    TransactionMeasure: {
        "COUNT": "Rows.",
        "AMOUNT_SUM": "What moved in all, with signs.",
        "AMOUNT_AVG": "What a row moved.",
        "AMOUNT_MIN": "The smallest amount.",
        "AMOUNT_MAX": "The largest amount.",
        "AVAILABLE_DELTA_SUM": "What available changed by.",
        "LOCKED_DELTA_SUM": "What locked changed by.",
    },
    TicketMeasure: {
        "COUNT": "Tickets.",
        "FAILED_COUNT": "Failed ones.",
        "FAILURE_RATE": "The part that failed.",
        "DURATION_MS_SUM": "Milliseconds of all.",
        "DURATION_MS_AVG": "Milliseconds of one.",
        "DURATION_MS_MIN": "Milliseconds of the fastest.",
        "DURATION_MS_MAX": "Milliseconds of the slowest.",
        "DURATION_MS_P50": "Milliseconds that half do not exceed.",
        "DURATION_MS_P95": "Milliseconds that 95 % do not exceed.",
    },
    TicketStatus: {"SUCCESS": "It was done.", "FAILED": "Nothing was done."},
    EntityType: {
        "USER": "A user.",
        "SESSION": "A session.",
        "MARKET_MAKER": "A market maker.",
        "ORDER": "An order.",
        "TRADE": "A trade.",
        "ASSET_TRANSACTION": "A ledger row.",
        "DEPOSIT": "A requested deposit.",
        "KYC_DOCUMENT": "A KYC document.",
        "CERTIFICATE": "A certificate.",
        "SETTINGS": "The settings.",
    },
    ActionType: {
        "MM_CREATED": "A market maker was created.",
        "MM_UPDATED": "A market maker was changed.",
        "MM_DELETED": "A market maker was deactivated.",
        "ASSET_DEPOSIT": "Assets were deposited.",
        "ASSET_WITHDRAWAL": "Assets were withdrawn.",
        "MM_ORDER_PLACED": "An order was placed for a market maker.",
        "MM_ORDER_CANCELLED": "An order of a market maker was cancelled.",
        "MM_TRADE_EXECUTED": "A market maker traded.",
        "USER_LOGIN": "Somebody signed in.",
        "USER_LOGOUT": "Somebody signed out.",
        "USER_LOGIN_FAILED": "A login was refused.",
        "USER_CREATED": "A user was created.",
        "USER_UPDATED": "A user was changed.",
        "USER_DELETED": "A user was deactivated.",
        "KYC_UPLOADED": "A KYC document was uploaded.",
        "KYC_APPROVED": "KYC was approved.",
        "KYC_REJECTED": "KYC was rejected.",
        "KYC_DOWNLOADED": "A KYC document was read.",
        "DEPOSIT_REQUESTED": "A deposit was announced.",
        "DEPOSIT_APPROVED": "A deposit was credited.",
        "DEPOSIT_REJECTED": "A deposit was refused.",
        "ORDER_PLACED": "A trader placed an order.",
        "ORDER_CANCELLED": "A trader's order was cancelled.",
        "ORDER_FILLED": "An order became full.",
        "TRADE_EXECUTED": "Two traders traded.",
        "TRADE_SETTLED": "A trade's registry reference was recorded.",
        "ENTITY_MODIFIED": "Something else was changed.",
        "CERTIFICATE_MODIFIED": "The rules of a certificate were changed.",
        "SETTINGS_CHANGED": "The settings were changed.",
        "PRICE_UPDATED": "A reference price was set.",
        "DATA_EXPORTED": "Data were exported.",
        "DATA_ARCHIVED": "Payloads were archived.",
        "DATA_RESTORED": "A backup was restored.",
    },
    ErrorCode: {
        "INVALID_INPUT": "A text, a choice or a combination is wrong.",
        "INVALID_PRICE": "The price is not positive, off the tick, or out of bounds.",
        "INVALID_QUANTITY": "The quantity is not positive, off the lot, or out of bounds.",
        "INVALID_AMOUNT": "The amount is not positive, off the asset's scale, or out of bounds.",
        "MARKET_MAKER_NOT_FOUND": "No such market maker.",
        "ORDER_NOT_FOUND": "No such order, or not yours.",
        "USER_NOT_FOUND": "No such user.",
        "NOT_FOUND": "No such thing.",
        "EMAIL_TAKEN": "Another user has this email address.",
        "NAME_TAKEN": "Another one has this name.",
        "IDEMPOTENCY_CONFLICT": "The idempotency key was used with other input.",
        "INVALID_CREDENTIALS": "Email address and password do not match an account that may sign in.",
        "TOO_MANY_ATTEMPTS": "Wait before the next try.",
        "SIDE_NOT_ALLOWED": "Market makers only sell.",
        "MARKET_MAKER_INACTIVE": "The market maker is inactive.",
        "USER_INACTIVE": "The account is inactive.",
        "KYC_REQUIRED": "The account's KYC is not approved.",
        "MARKET_HALTED": "The certificate is halted.",
        "ORDER_NOT_OPEN": "The order is filled or cancelled already.",
        "ALREADY_DECIDED": "This was decided already.",
        "INSUFFICIENT_BALANCE": "Less is available than needed.",
        "SELF_TRADE": "The order would trade with the same holder's own.",
        "NO_LIQUIDITY": "Nothing in the book matches.",
        "BUSY": "Too much is going on; nothing was done, try again.",
    },
}


def describe() -> None:
    """Register the enums; the domain need not know of GraphQL for it."""
    for enum, texts in VALUES.items():
        assert set(texts) == set(enum.__members__), f"{enum.__name__}: a value without a description"
        registered: Any = strawberry.enum(enum, description=(enum.__doc__ or "").split("\n")[0])
        for value in registered.__strawberry_definition__.values:
            value.description = texts[value.name]


describe()

__all__ = [
    "ActionType",
    "Asset",
    "CertificateType",
    "DepositStatus",
    "DepositsBy",
    "EntityType",
    "ErrorCode",
    "KycStatus",
    "MarketMakersBy",
    "OrderGroup",
    "OrderMeasure",
    "OrderSide",
    "OrderStatus",
    "OrderType",
    "OrdersBy",
    "SnapshotReason",
    "TicketGroup",
    "TicketMeasure",
    "TicketOrder",
    "TicketStatus",
    "TimeBucket",
    "TimeInForce",
    "TradeGroup",
    "TradeMeasure",
    "TradeStatus",
    "TradesBy",
    "TransactionGroup",
    "TransactionMeasure",
    "TransactionReason",
    "TransactionType",
    "TransactionsBy",
    "UserRole",
    "UsersBy",
]
