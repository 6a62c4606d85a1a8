"""What an operator may set, read from the environment once at start.

Limits, lifetimes and other constants are not settings: they stand beside the rule they bound. The exceptions are
bounds that depend on who stands in front of us: how many sockets come from one client or one address.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DATABASE_SCHEMES: Final = ("postgresql://", "postgres://", "postgresql+asyncpg://")  # all become the first
REDIS_SCHEMES: Final = ("redis://", "rediss://", "unix://")


class SettingsError(Exception):
    """Say which variables hold values that cannot be used."""


DATABASES = (
    "database_url",
    "database_app_url",
    "database_replica_url",
    "database_sealer_url",
    "database_retention_url",
)


class Settings(BaseSettings):
    """Hold the settings of one process; a field is read from the variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True,  # `make run PORT=` means the default
        frozen=True,
        hide_input_in_errors=True,  # a refused DATABASE_URL holds a password
    )

    # The one alias: a field named `home` would otherwise read $HOME.
    home: Path = Field(default=Path(".carbondesk"), validation_alias="CARBONDESK_HOME", validate_default=True)
    """Folder of the embedded servers, their passwords and the demo logins."""

    # The other: a field named `mode` would read $MODE, which is anybody's.
    mode: Literal["development", "production"] = Field(default="development", validation_alias="CARBONDESK_ENV")
    """Production hides the schema from strangers and refuses to start where the API could change what is written."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000

    database_url: str | None = Field(default=None, repr=False)
    """Login that owns the schema and migrates; none means the embedded PostgreSQL."""

    database_app_url: str | None = Field(default=None, repr=False)
    """Login of the API where it must not be the owner; none means `database_url` with a switched role."""

    database_replica_url: str | None = Field(default=None, repr=False)
    """Where analysts read: a streaming replica, some moments behind; none means the database itself, on connections of
    their own."""

    database_sealer_url: str | None = Field(default=None, repr=False)
    """Login of the sealer where it must not be the owner; none means `database_url` with a switched role."""

    database_retention_url: str | None = Field(default=None, repr=False)
    """Login of `carbondesk retention`; none means `database_url` with a switched role."""

    redis_url: str | None = Field(default=None, repr=False)
    """None means the embedded Redis."""

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Proxies in front of us, as addresses or networks with commas between; only they may say who the client is."""

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names that browsers may ask us by, with commas between; none means any."""

    session_requests_per_s: Annotated[int, Field(ge=1)] = 500
    """What one session may ask of a process; ten seconds of it at once."""

    address_requests_per_s: Annotated[int, Field(ge=1)] = 200
    """What an address may ask of a process without a session; ten seconds of it at once."""

    demo: bool = True
    """Whether a first start fills the market with demo people, orders and trades."""

    socket_subscriptions_max: Annotated[int, Field(ge=1)] = 32
    """Operations that one web socket runs at once."""

    session_sockets_max: Annotated[int, Field(ge=1)] = 16
    """Web sockets that one session has open at once, in each process."""

    address_sockets_max: Annotated[int, Field(ge=1)] = 64
    """Web sockets that one address without a session has open at once, in each process; raise it behind a proxy."""

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @field_validator(
        "database_url", "database_app_url", "database_replica_url", "database_sealer_url", "database_retention_url"
    )
    @classmethod
    def _postgresql(cls, url: str | None) -> str | None:
        if url is None:
            return None
        scheme, separator, rest = url.partition("://")
        if scheme + separator not in DATABASE_SCHEMES:
            raise ValueError(f"must start with {DATABASE_SCHEMES[0]}")
        return DATABASE_SCHEMES[0] + rest

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, proxies: object) -> object:
        return [part.strip() for part in proxies.split(",") if part.strip()] if isinstance(proxies, str) else proxies

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _hosts(cls, hosts: object) -> object:
        return [part.strip().lower() for part in hosts.split(",") if part.strip()] if isinstance(hosts, str) else hosts

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(REDIS_SCHEMES):
            raise ValueError(f"must start with {' or '.join(REDIS_SCHEMES)}")
        return url


def require_servable(settings: Settings) -> None:
    """Refuse to serve in production with one login for everything.

    Raises: SettingsError.
    """
    if settings.mode == "production" and settings.database_app_url is None:
        raise SettingsError(
            "CARBONDESK_ENV=production: set DATABASE_APP_URL to a login of its own for the API, one that does not own "
            "the database; with one login, whoever takes the API over can change tickets. docs/security.md says how"
        )


def load() -> Settings:
    """Read the settings from the environment.

    Raises: SettingsError, naming each variable that was refused.
    """
    try:
        return Settings()
    except ValidationError as error:
        refused = [_named(str(problem["loc"][0]), problem["msg"]) for problem in error.errors()]
        raise SettingsError("; ".join(refused)) from None


def _named(field: str, message: str) -> str:
    return f"{field.upper()}: {message.removeprefix('Value error, ')}"
