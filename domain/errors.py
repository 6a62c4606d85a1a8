"""Refusals are data: one tree, one code per leaf, declared in order of precedence.

Two problems at once → the first in the list is the answer. Everything that is not a `DomainError` is a fault.

    DomainError
    ├─ InvalidInput  InvalidPrice  InvalidQuantity  InvalidAmount            the shape of the request
    ├─ MarketMakerNotFound  OrderNotFound  UserNotFound  NotFound            what it names
    ├─ EmailTaken  NameTaken  IdempotencyConflict                            what it collides with
    ├─ InvalidCredentials  TooManyAttempts                                   who asks
    └─ SideNotAllowed  MarketMakerInactive  UserInactive  KycRequired        what the rules of the market say
       MarketHalted  OrderNotOpen  AlreadyDecided  InsufficientBalance
       SelfTrade  NoLiquidity  Busy
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar


class ErrorCode(StrEnum):
    """Why an action was refused, in order of precedence."""

    INVALID_INPUT = "INVALID_INPUT"
    INVALID_PRICE = "INVALID_PRICE"
    INVALID_QUANTITY = "INVALID_QUANTITY"
    INVALID_AMOUNT = "INVALID_AMOUNT"
    MARKET_MAKER_NOT_FOUND = "MARKET_MAKER_NOT_FOUND"
    ORDER_NOT_FOUND = "ORDER_NOT_FOUND"
    USER_NOT_FOUND = "USER_NOT_FOUND"
    NOT_FOUND = "NOT_FOUND"
    EMAIL_TAKEN = "EMAIL_TAKEN"
    NAME_TAKEN = "NAME_TAKEN"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    TOO_MANY_ATTEMPTS = "TOO_MANY_ATTEMPTS"
    SIDE_NOT_ALLOWED = "SIDE_NOT_ALLOWED"
    MARKET_MAKER_INACTIVE = "MARKET_MAKER_INACTIVE"
    USER_INACTIVE = "USER_INACTIVE"
    KYC_REQUIRED = "KYC_REQUIRED"
    MARKET_HALTED = "MARKET_HALTED"
    ORDER_NOT_OPEN = "ORDER_NOT_OPEN"
    ALREADY_DECIDED = "ALREADY_DECIDED"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    SELF_TRADE = "SELF_TRADE"
    NO_LIQUIDITY = "NO_LIQUIDITY"
    BUSY = "BUSY"


class DomainError(Exception):
    """A refusal: a message that says what to do, the input field it is about, and the figures decided on."""

    code: ClassVar[ErrorCode]

    def __init__(self, message: str, *, field: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.details = details


class InvalidInput(DomainError):
    code = ErrorCode.INVALID_INPUT


class InvalidPrice(DomainError):
    code = ErrorCode.INVALID_PRICE


class InvalidQuantity(DomainError):
    code = ErrorCode.INVALID_QUANTITY


class InvalidAmount(DomainError):
    code = ErrorCode.INVALID_AMOUNT


class MarketMakerNotFound(DomainError):
    code = ErrorCode.MARKET_MAKER_NOT_FOUND


class OrderNotFound(DomainError):
    code = ErrorCode.ORDER_NOT_FOUND


class UserNotFound(DomainError):
    code = ErrorCode.USER_NOT_FOUND


class NotFound(DomainError):
    code = ErrorCode.NOT_FOUND


class EmailTaken(DomainError):
    code = ErrorCode.EMAIL_TAKEN


class NameTaken(DomainError):
    code = ErrorCode.NAME_TAKEN


class IdempotencyConflict(DomainError):
    code = ErrorCode.IDEMPOTENCY_CONFLICT


class InvalidCredentials(DomainError):
    code = ErrorCode.INVALID_CREDENTIALS


class TooManyAttempts(DomainError):
    code = ErrorCode.TOO_MANY_ATTEMPTS


class SideNotAllowed(DomainError):
    code = ErrorCode.SIDE_NOT_ALLOWED


class MarketMakerInactive(DomainError):
    code = ErrorCode.MARKET_MAKER_INACTIVE


class UserInactive(DomainError):
    code = ErrorCode.USER_INACTIVE


class KycRequired(DomainError):
    code = ErrorCode.KYC_REQUIRED


class MarketHalted(DomainError):
    code = ErrorCode.MARKET_HALTED


class OrderNotOpen(DomainError):
    code = ErrorCode.ORDER_NOT_OPEN


class AlreadyDecided(DomainError):
    code = ErrorCode.ALREADY_DECIDED


class InsufficientBalance(DomainError):
    code = ErrorCode.INSUFFICIENT_BALANCE


class SelfTrade(DomainError):
    code = ErrorCode.SELF_TRADE


class NoLiquidity(DomainError):
    code = ErrorCode.NO_LIQUIDITY


class Busy(DomainError):
    code = ErrorCode.BUSY
