"""The settings of the service: environment variables that begin with `DELIVERY_SERVICE_`."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from limits.storage import storage_from_string
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy.engine import make_url

from frappe_hooksig import ConfigurationError
from frappe_hooksig.sending import AddressGuard

PREFIX: Final = "DELIVERY_SERVICE_"


class UnusableSettings(Exception):
    """Settings that are missing or cannot be used.

    Attributes:
        problems: A sentence for each, which names the variable.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(self.problems)


_Several = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """What the operator chooses. Lists are separated by commas.

    Attributes:
        database_url: A URL of SQLAlchemy: `sqlite:///file.db` or `postgresql+psycopg://...`.
        keys: Fernet keys that encrypt the secrets of endpoints, the newest first.
        public_url: Where browsers reach the service. Requests with another host are refused.
        broker_url: The URL of Celery's broker, such as `redis://127.0.0.1:6379/0`. Without it,
            `delivery-service work` sends.
        allow_addresses: Addresses, networks and names that endpoints may have besides those of the
            public internet.
        limits_url: Where requests are counted, such as `redis://127.0.0.1:6379/1`. By default in
            each process for itself.
        requests_per_minute: How many requests an API key may make in a minute.
        logins_per_hour: How many logins an address or an account may try in an hour. After a right
            password, the account's count begins anew.
        max_endpoints: How many endpoints a tenant may have.
        max_payload: The largest payload of a message, in bytes.
        max_body: The largest body of a request, in bytes.
        retention_days: How long messages are kept after their deliveries have ended.
        session_hours: How long a login lasts.
        timeout: How long an attempt may take, in seconds.
        metrics_token: What Prometheus sends as its bearer token. Without it, there are no metrics.
        installation: The name of this installation, as for `Outbox`.
    """

    # A validation error would otherwise show what it refuses, such as a key. A variable without a
    # value is one that is not set, and no token that everybody knows.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, hide_input_in_errors=True, frozen=True
    )

    database_url: SecretStr = SecretStr("sqlite:///delivery_service.db")
    keys: Annotated[tuple[SecretStr, ...], NoDecode]
    public_url: str = "http://127.0.0.1:8000"
    broker_url: SecretStr | None = None
    allow_addresses: _Several = ()
    limits_url: SecretStr = SecretStr("memory://")
    requests_per_minute: int = Field(default=600, ge=1)
    logins_per_hour: int = Field(default=20, ge=1)
    max_endpoints: int = Field(default=100, ge=1, le=10_000)
    max_payload: int = Field(default=256 * 1024, ge=1, le=25 * 1024 * 1024)
    max_body: int = Field(default=4 * 1024 * 1024, ge=1024)
    retention_days: float = Field(default=30, ge=0.01, le=3650)
    session_hours: float = Field(default=12, gt=0)
    timeout: float = Field(default=15, ge=0.1, le=60)
    metrics_token: SecretStr | None = None
    installation: str | None = None

    @field_validator("keys", "allow_addresses", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(each.strip() for each in value.split(",") if each.strip())
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: SecretStr) -> SecretStr:
        try:
            dialect = make_url(value.get_secret_value()).get_dialect()
        except Exception:  # noqa: BLE001  # it may name a part of a password
            dialect = None
        if dialect is None or dialect.name not in {"sqlite", "postgresql"}:
            msg = "must be like sqlite:////var/lib/hooks.db or postgresql+psycopg://user@host/name"
            raise ValueError(msg) from None
        try:
            dialect.import_dbapi()
        except ImportError:
            msg = f"needs {dialect.driver}, which is not installed"
            if dialect.driver == "psycopg":
                msg += ": in a checkout, pip install './examples/delivery_service[postgresql]'"
            raise ValueError(msg) from None
        return value

    @field_validator("keys")
    @classmethod
    def _some(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        try:
            several = [Fernet(each.get_secret_value()) for each in value]
        except ValueError:
            several = []
        if not several:
            msg = "must be keys that `delivery-service new-key` makes, separated by commas"
            raise ValueError(msg) from None
        return value

    @field_validator("allow_addresses")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            AddressGuard(value)
        except ConfigurationError:
            msg = "must be addresses, networks and names, separated by commas"
            raise ValueError(msg) from None
        return value

    @field_validator("limits_url")
    @classmethod
    def _counted(cls, value: SecretStr) -> SecretStr:
        try:
            storage_from_string(value.get_secret_value())
        except Exception:  # noqa: BLE001  # it may name a part of a password
            msg = "must be memory://, or like redis://127.0.0.1:6379/1 with the package redis"
            raise ValueError(msg) from None
        return value

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        parts = urlsplit(value)
        is_origin = parts.scheme in {"http", "https"} and parts.hostname and parts.path in {"", "/"}
        if not is_origin or parts.query or parts.fragment or parts.username:
            msg = "must be like https://hooks.example, without a path"
            raise ValueError(msg)
        # Browsers leave out the port that goes without saying.
        standard = ":443" if parts.scheme == "https" else ":80"
        return f"{parts.scheme}://{parts.netloc.lower().removesuffix(standard)}"

    @classmethod
    def read(cls, **given: Any) -> Settings:
        """Return the settings of the environment.

        Args:
            given: Values to use in place of the environment's.

        Raises:
            UnusableSettings: Something is missing or cannot be used.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            problems = [(each["loc"], each["msg"]) for each in error.errors(include_input=False)]
        # Outside the handler, so that the error has no context with what was given.
        raise UnusableSettings([_sentence(*each) for each in problems])

    @cached_property
    def host(self) -> str:
        """The name in `public_url`, without a port."""
        return urlsplit(self.public_url).hostname or ""

    @property
    def is_https(self) -> bool:
        """Whether browsers come by HTTPS, so that cookies can demand it."""
        return self.public_url.startswith("https:")


def _sentence(place: tuple[int | str, ...], message: str) -> str:
    name = PREFIX + str(place[0]).upper()
    if message == "Field required":
        return (
            f"{name} is not set: give it the key that the database was used with. For a new "
            "database, `delivery-service new-key` makes one"
        )
    text = message.removeprefix("Value error, ")
    return f"{name} {text[0].lower()}{text[1:]}"
