"""What an operator may set, read from the environment once at start; secrets may come from files.

Limits, lifetimes and other constants are not settings: they stand beside the rule they bound. The exceptions are
bounds that depend on who stands in front of us: how many sockets come from one client or one address.
The text under each field is what docs/operations.md says of its variable (`api.reference`).
"""

import os
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

DATABASE_SCHEMES: Final = ("postgresql://", "postgres://", "postgresql+asyncpg://")  # all become the first
REDIS_SCHEMES: Final = ("redis://", "rediss://", "unix://")
SECRET_BYTES_MAX: Final = 4_096  # a URL with a password is one line
TOKEN_LENGTH_MIN: Final = 16
DRAIN_S_MAX: Final = 60.0
READERS_MAX: Final = 16


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
        use_attribute_docstrings=True,
    )

    # The one alias: a field named `home` would otherwise read $HOME.
    home: Path = Field(default=Path(".carbondesk"), validation_alias="CARBONDESK_HOME", validate_default=True)
    """Folder of the embedded servers, their passwords and the demo logins."""

    # The other: a field named `mode` would read $MODE, which is anybody's.
    mode: Literal["development", "production"] = Field(default="development", validation_alias="CARBONDESK_ENV")
    """`production` hides the schema from strangers and refuses to start where the API could change what is written."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    """Port of API and dashboard."""

    database_url: str | None = Field(default=None, repr=False)
    """PostgreSQL 15 or newer, as the login that owns the schema and migrates; none means the embedded one."""

    database_app_url: str | None = Field(default=None, repr=False)
    """Login of the API where it must not be the owner; none means `DATABASE_URL` with a switched role."""

    database_replica_url: str | None = Field(default=None, repr=False)
    """Where analysts read: a streaming replica, some moments behind; none means the database itself, on connections of
    their own."""

    database_sealer_url: str | None = Field(default=None, repr=False)
    """Login of the sealer where it must not be the owner; none means `DATABASE_URL` with a switched role."""

    database_retention_url: str | None = Field(default=None, repr=False)
    """Login of `carbondesk retention`; none means `DATABASE_URL` with a switched role."""

    redis_url: str | None = Field(default=None, repr=False)
    """Redis, as `redis://`, `rediss://` (TLS) or `unix://`; none means the embedded one."""

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

    readers: Annotated[int, Field(ge=0, le=READERS_MAX)] = 1
    """Processes of lower priority that each API process starts to answer analysts and heavy queries; 0: it does so
    itself, one heavy query at a time."""

    drain_s: Annotated[float, Field(ge=0, le=DRAIN_S_MAX, allow_inf_nan=False)] = 0.0
    """Seconds between the request to end and the end of listening; `/readyz` says 503 meanwhile, to load balancers."""

    metrics_token: Annotated[str, Field(min_length=TOKEN_LENGTH_MIN)] | None = Field(default=None, repr=False)
    """Bearer token that may read `/metrics`; none means that only this machine may, and not through a proxy."""

    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """What the log holds; `info` adds a line for each attempt, with its ticket."""

    otlp_endpoint: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    """Where traces go, such as `http://collector:4318`; none means no traces. Needs the extra `otel`."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read what is given by name, then the environment, then the files that it names."""
        return init_settings, env_settings, FileSource(settings_cls)

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

    @field_validator("otlp_endpoint")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return url

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(REDIS_SCHEMES):
            raise ValueError(f"must start with {' or '.join(REDIS_SCHEMES)}")
        return url


class FileSource(PydanticBaseSettingsSource):
    """Read secrets from the files that `…_FILE` names: an environment is seen by more people than a file is."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return what the file of a field holds, if one is named.

        Raises: SettingsError.
        """
        name = variable(field_name, field)
        path = os.environ.get(f"{name}_FILE")
        if not path or not is_secret(field):
            return None, field_name, False
        if os.environ.get(name):
            raise SettingsError(f"{name} and {name}_FILE are both set: keep one of them")
        try:
            with Path(path).open(encoding="utf-8") as file:
                text = file.read(SECRET_BYTES_MAX).strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SettingsError(f"{name}_FILE: {path} cannot be read: {reason}") from None
        if not text:
            raise SettingsError(f"{name}_FILE: {path} is empty")
        return text, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all of them."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: text for name, text in found.items() if text is not None}


def variable(name: str, field: FieldInfo) -> str:
    """Return the environment variable that a field is read from."""
    return str(field.validation_alias or name.upper())


def variables() -> Iterator[tuple[str, FieldInfo]]:
    """Yield every variable that is read, with the field that says what it means."""
    for name, field in Settings.model_fields.items():
        yield variable(name, field), field


def is_secret(field: FieldInfo) -> bool:
    """Tell whether a field is never shown, and may come from a file."""
    return not field.repr


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
