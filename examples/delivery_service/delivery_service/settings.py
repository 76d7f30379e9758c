"""The settings of the service: environment variables that begin with `DELIVERY_SERVICE_`."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX: Final = "DELIVERY_SERVICE_"

_Several = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """What the operator chooses. Lists are separated by commas.

    Attributes:
        database_url: A URL of SQLAlchemy: `sqlite:///file.db` or `postgresql+psycopg://...`.
        keys: Fernet keys that encrypt the secrets of endpoints, the newest first.
        public_url: Where browsers reach the service. Requests with another host are refused.
        broker_url: The URL of Celery's broker, such as `redis://127.0.0.1:6379/0`. Without it,
            `delivery-service work` sends.
        allow_addresses: Networks that endpoints may be in besides the public internet.
        limits_url: Where requests are counted, such as `redis://127.0.0.1:6379/1`. By default in
            each process for itself.
        requests_per_minute: How many requests an API key may make in a minute.
        logins_per_hour: How many logins an address or an account may try in an hour.
        max_endpoints: How many endpoints a tenant may have.
        max_payload: The largest payload of a message, in bytes.
        max_body: The largest body of a request, in bytes.
        retention_days: How long messages are kept after their deliveries have ended.
        session_hours: How long a login lasts.
        timeout: How long an attempt may take, in seconds.
        metrics_token: What Prometheus sends as its bearer token. Without it, there are no metrics.
        installation: The name of this installation, as for `Outbox`.
    """

    # A validation error would otherwise show what it refuses, such as a key.
    model_config = SettingsConfigDict(env_prefix=PREFIX, hide_input_in_errors=True, frozen=True)

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
    retention_days: float = Field(default=30, gt=0)
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

    @field_validator("keys")
    @classmethod
    def _some(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not value:
            msg = f"{PREFIX}KEYS needs a key: make one with `delivery-service new-key`"
            raise ValueError(msg)
        return value

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        parts = urlsplit(value)
        is_origin = parts.scheme in {"http", "https"} and parts.hostname and parts.path in {"", "/"}
        if not is_origin or parts.query or parts.fragment or parts.username:
            msg = f"{PREFIX}PUBLIC_URL must be like https://hooks.example, without a path"
            raise ValueError(msg)
        # Browsers leave out the port that goes without saying.
        standard = ":443" if parts.scheme == "https" else ":80"
        return f"{parts.scheme}://{parts.netloc.lower().removesuffix(standard)}"

    @cached_property
    def host(self) -> str:
        """The name in `public_url`, without a port."""
        return urlsplit(self.public_url).hostname or ""

    @property
    def is_https(self) -> bool:
        """Whether browsers come by HTTPS, so that cookies can demand it."""
        return self.public_url.startswith("https:")
