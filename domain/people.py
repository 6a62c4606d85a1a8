"""People: who may sign in and what a request about a person must look like. Law: every holder is a user."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from domain import errors
from domain.ledger import Balance
from domain.market import Order

NAME_LENGTH_MAX = 64  # a display name in a table cell
EMAIL_LENGTH_MAX = 254  # RFC 5321 path
TEXT_LENGTH_MAX = 2_000  # descriptions, notes, reasons: a screenful
REFERENCE_LENGTH_MAX = 140  # a SEPA remittance line
PASSWORD_LENGTH_MIN = 15  # NIST SP 800-63B for a single factor
PASSWORD_LENGTH_MAX = 128  # bounds the hashing work
IDEMPOTENCY_KEY_LENGTH_MAX = 64  # a UUID with room to spare

# The same whatever is wrong, so that nobody learns who has an account.
WRONG_CREDENTIALS = "Email address and password do not match an account that may sign in."

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


class UserRole(StrEnum):
    """What a user is: ADMIN runs the desk, ANALYST reads, TRADER trades for himself, MARKET_MAKER never signs in."""

    ADMIN = "ADMIN"
    ANALYST = "ANALYST"
    TRADER = "TRADER"
    MARKET_MAKER = "MARKET_MAKER"


class KycStatus(StrEnum):
    """How far the identity check of a user has come."""

    NONE = "NONE"
    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


class DepositStatus(StrEnum):
    """Where a requested deposit stands."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class User:
    """A user as stored, without the password hash."""

    id: UUID
    email: str
    name: str
    role: UserRole
    is_active: bool
    kyc_status: KycStatus
    created_at: datetime
    kyc_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in session; its token is known to the client only."""

    id: UUID
    user_id: UUID
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    ip_address: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the database says at the start of the operation."""

    user: User
    session: Session


@dataclass(frozen=True, slots=True)
class Deposit:
    """A trader's announced bank transfer. Units: amount EUR."""

    id: UUID
    user_id: UUID
    amount: Decimal
    reference: str
    status: DepositStatus
    reason: str | None
    created_at: datetime
    decided_at: datetime | None
    decided_by: UUID | None
    ticket_id: str


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to create, its shape checked."""

    email: str
    name: str
    role: UserRole
    password: str


@dataclass(frozen=True, slots=True)
class UserChange:
    """What to change of a user; None leaves a field as it is."""

    name: str | None = None
    role: UserRole | None = None
    is_active: bool | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a user holds and whether somebody else runs the desk: what a change of his rights is decided on."""

    open_orders: int
    balances: tuple[Balance, ...]
    other_admins: int


@dataclass(frozen=True, slots=True)
class UserOutcome:
    """A user as an action left it and as it was before, the orders cancelled and the sessions ended with it."""

    user: User
    before: User | None = None
    cancelled_orders: tuple[Order, ...] = ()
    sessions_revoked: int = 0


@dataclass(frozen=True, slots=True)
class PasswordOutcome:
    """A user with a new password and a new session; all others of his were ended."""

    user: User
    session: Session
    sessions_revoked: int


@dataclass(frozen=True, slots=True)
class SessionsOutcome:
    """The sessions of a user that were ended."""

    user: User
    session_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class LoginOutcome:
    """A new session and its user."""

    user: User
    session: Session


@dataclass(frozen=True, slots=True)
class DepositOutcome:
    """A deposit as an action left it, and as it was before."""

    deposit: Deposit
    before: Deposit | None = None


def uuid_or_none(text: str | None) -> UUID | None:
    """Read an id; a malformed one names nothing."""
    try:
        return UUID(text) if text and len(text) in (32, 36) else None
    except ValueError:
        return None


def text(value: str, *, field: str, length_max: int, label: str) -> str:
    """Return required text without surrounding white space.

    Raises: InvalidInput (empty, longer than length_max).
    """
    cleaned = value.strip()
    if not cleaned:
        raise errors.InvalidInput(f"{label} must not be empty.", field=field)
    return _short(cleaned, field=field, length_max=length_max, label=label)


def optional_text(value: str | None, *, field: str, length_max: int, label: str) -> str | None:
    """Return optional text without surrounding white space; empty is None.

    Raises: InvalidInput (longer than length_max).
    """
    cleaned = value.strip() if value else ""
    return _short(cleaned, field=field, length_max=length_max, label=label) if cleaned else None


def _short(value: str, *, field: str, length_max: int, label: str) -> str:
    if len(value) > length_max:
        raise errors.InvalidInput(
            f"{label} has at most {length_max} characters.", field=field, length=len(value), lengthMax=length_max
        )
    return value


def email(value: str, *, field: str = "email") -> str:
    """Return an address as it is stored; uniqueness ignores case.

    Raises: InvalidInput.
    """
    cleaned = text(value, field=field, length_max=EMAIL_LENGTH_MAX, label="The email address")
    if not _EMAIL.fullmatch(cleaned):
        raise errors.InvalidInput("Enter a valid email address.", field=field)
    return cleaned


def password(value: str, *, field: str = "password") -> str:
    """Return a password that may be set.

    Raises: InvalidInput; its details never hold the password.
    """
    if not PASSWORD_LENGTH_MIN <= len(value) <= PASSWORD_LENGTH_MAX:
        raise errors.InvalidInput(
            f"A password has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters.", field=field, length=len(value)
        )
    return value


def new_password(current: str, new: str) -> str:
    """Return a new password of one's own.

    Raises: InvalidInput.
    """
    checked = password(new, field="newPassword")
    if current == new:
        raise errors.InvalidInput("The new password is the current one. Choose another.", field="newPassword")
    return checked


def new_user(email_address: str, name: str, role: UserRole, secret: str) -> NewUser:
    """Check the shape of a user to create.

    Raises: InvalidInput.
    """
    if role is UserRole.MARKET_MAKER:
        raise errors.InvalidInput(
            "A market maker is made by createMarketMaker; it has no password and never signs in.", field="role"
        )
    return NewUser(
        email=email(email_address),
        name=text(name, field="name", length_max=NAME_LENGTH_MAX, label="The name"),
        role=role,
        password=password(secret),
    )


def check_change(change: UserChange) -> UserChange:
    """Return a change whose shape is right.

    Raises: InvalidInput.
    """
    if change.role is UserRole.MARKET_MAKER:
        raise errors.InvalidInput("A user cannot become a market maker; createMarketMaker makes one.", field="role")
    name = change.name
    return replace(
        change,
        name=None if name is None else text(name, field="name", length_max=NAME_LENGTH_MAX, label="The name"),
        password=None if change.password is None else password(change.password),
    )


def decide_change(before: User, change: UserChange, standing: Standing, *, is_own: bool) -> User:
    """Return the user as a checked change leaves it.

    Raises: InvalidInput (own password, the last active admin, a role that would strand what the user holds).
    """
    if is_own and change.password is not None:
        raise errors.InvalidInput(
            "Change your own password with changePassword: it asks for the current one.", field="password"
        )
    after = replace(
        before,
        name=before.name if change.name is None else change.name,
        role=before.role if change.role is None else change.role,
        is_active=before.is_active if change.is_active is None else change.is_active,
    )
    was_admin, is_admin = (one.role is UserRole.ADMIN and one.is_active for one in (before, after))
    if was_admin and not is_admin and not standing.other_admins:
        raise errors.InvalidInput(
            "This is the last active admin. Create or activate another one first.",
            field="role" if after.is_active else "isActive",
            otherAdmins=0,
        )
    held = tuple(balance for balance in standing.balances if balance.total)
    if after.role is not before.role and (standing.open_orders or held):
        raise errors.InvalidInput(
            f"A {before.role} who has open orders or balances keeps the role. Cancel the orders and withdraw first.",
            field="role",
            role=before.role.value,
            openOrders=standing.open_orders,
            balances={
                balance.asset.value: {"available": f"{balance.available:f}", "locked": f"{balance.locked:f}"}
                for balance in held
            },
        )
    return after


def ends_sessions(before: User, after: User, change: UserChange) -> bool:
    """Tell whether whoever is signed in as this user must sign in again."""
    return change.password is not None or after.role is not before.role or not after.is_active


def reason(value: str) -> str:
    """Return why something was rejected, which the person concerned reads.

    Raises: InvalidInput.
    """
    return text(value, field="reason", length_max=TEXT_LENGTH_MAX, label="The reason")


def found(user: User | None, user_id: str, *, field: str = "id") -> User:
    """Return the user who was named and signs in; one behind a market maker is changed as that market maker.

    Raises: UserNotFound.
    """
    if user is None or user.role is UserRole.MARKET_MAKER:
        raise errors.UserNotFound("There is no such user.", field=field, id=user_id)
    return user


def decide_deposit(deposit: Deposit | None, deposit_id: str) -> Deposit:
    """Return a deposit that may still be decided.

    Raises: NotFound, AlreadyDecided.
    """
    if deposit is None:
        raise errors.NotFound("There is no such deposit.", field="id", id=deposit_id)
    if deposit.status is not DepositStatus.PENDING:
        raise errors.AlreadyDecided(
            f"This deposit is {deposit.status.value} already.", field="id", status=deposit.status.value
        )
    return deposit
