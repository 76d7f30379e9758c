"""The table of `DjangoStore`, and those of an outbox. They stay empty where these are not used.

The models of the outbox are for reading. `Outbox` writes their tables, which have more columns:
secrets and headers are not here, so that nobody can filter by them.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from django.db import models
from django.utils.timezone import localtime


class HandledDelivery(models.Model):
    """A delivery that is being handled, or was handled.

    Attributes:
        key: Identifies the delivery: the SHA-256 of its key, in hex.
        token: Identifies the claim on the delivery; null once the delivery was handled.
        ends: The end of the claim's lease, or of the retention once the delivery was handled, in
            Unix seconds.
        duration: The lease or the retention, in seconds. A row that ends later than that from now
            was written before the clock was put back.
    """

    key: models.CharField[str, str] = models.CharField(max_length=64, primary_key=True)
    # Null, not "": no token can equal it.
    token: models.CharField[str | None, str | None] = models.CharField(max_length=32, null=True)  # noqa: DJ001
    ends: models.FloatField[float, float] = models.FloatField(db_index=True)
    duration: models.FloatField[float, float] = models.FloatField()

    class Meta:
        """The names of the model."""

        verbose_name = "handled delivery"
        verbose_name_plural = "handled deliveries"

    def __str__(self) -> str:
        return self.key


class Endpoint(models.Model):
    """Where messages are sent to; see `outbox.Endpoint`. Times are milliseconds since 1970."""

    id: models.CharField[str, str] = models.CharField(max_length=40, primary_key=True)
    tenant: models.CharField[str, str] = models.CharField(max_length=64)
    url: models.TextField[str, str] = models.TextField("URL")
    state: models.CharField[str, str] = models.CharField(max_length=10)
    reason: models.CharField[str, str] = models.CharField(max_length=64)
    message: models.TextField[str, str] = models.TextField()
    created_at: models.BigIntegerField[int, int] = models.BigIntegerField()
    failing_since: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(
        null=True
    )
    failures: models.IntegerField[int, int] = models.IntegerField()

    class Meta:
        """The table, which `Outbox` creates."""

        managed = False
        db_table = "hooksig_endpoints"

    def __str__(self) -> str:
        return f"{self.host} ({self.id})"

    @property
    def host(self) -> str:
        """The host of the URL. Its path may have a token."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


class Message(models.Model):
    """What was published; see `outbox.Message`. Times are milliseconds since 1970."""

    seq: models.BigAutoField[int, int] = models.BigAutoField(primary_key=True)
    id: models.CharField[str, str] = models.CharField(max_length=255)
    tenant: models.CharField[str, str] = models.CharField(max_length=64)
    event_type: models.CharField[str, str] = models.CharField(max_length=128)
    key: models.CharField[str | None, str | None] = models.CharField(  # noqa: DJ001
        max_length=255, null=True, db_column="lane"
    )
    idempotency_key: models.CharField[str | None, str | None] = models.CharField(  # noqa: DJ001
        max_length=255, null=True
    )
    payload: models.BinaryField[bytes, bytes] = models.BinaryField()
    size: models.IntegerField[int, int] = models.IntegerField()
    created_at: models.BigIntegerField[int, int] = models.BigIntegerField()
    is_routed: models.IntegerField[int, int] = models.IntegerField()

    class Meta:
        """The table, which `Outbox` creates."""

        managed = False
        db_table = "hooksig_messages"

    def __str__(self) -> str:
        return self.id


class Delivery(models.Model):
    """A message on its way to an endpoint; see `outbox.DeliveryRecord`.

    The endpoint of a delivery may be deleted. Times are milliseconds since 1970.
    """

    id: models.BigAutoField[int, int] = models.BigAutoField(primary_key=True)
    message: models.ForeignKey[Message, Message] = models.ForeignKey(
        Message, models.DO_NOTHING, db_column="message", db_constraint=False
    )
    endpoint: models.ForeignKey[Endpoint | None, Endpoint | None] = models.ForeignKey(
        Endpoint, models.DO_NOTHING, db_column="endpoint", db_constraint=False, null=True
    )
    sent_as: models.CharField[str, str] = models.CharField(max_length=255)
    state: models.IntegerField[int, int] = models.IntegerField()
    due_at: models.BigIntegerField[int, int] = models.BigIntegerField()
    attempts: models.IntegerField[int, int] = models.IntegerField()
    lost: models.IntegerField[int, int] = models.IntegerField()
    created_at: models.BigIntegerField[int, int] = models.BigIntegerField()
    ended_at: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(null=True)
    status: models.IntegerField[int | None, int | None] = models.IntegerField(null=True)
    reason: models.CharField[str, str] = models.CharField(max_length=64)
    problem: models.TextField[str, str] = models.TextField()

    class Meta:
        """The table, which `Outbox` creates."""

        managed = False
        db_table = "hooksig_deliveries"
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return self.sent_as


class Attempt(models.Model):
    """An attempt to deliver; see `outbox.AttemptRecord`.

    Its primary key has two columns, which Django 4.2 does not know: `delivery` is only a part.
    """

    delivery: models.BigIntegerField[int, int] = models.BigIntegerField(primary_key=True)
    number: models.IntegerField[int, int] = models.IntegerField()
    started_at: models.BigIntegerField[int, int] = models.BigIntegerField()
    took_ms: models.IntegerField[int, int] = models.IntegerField()
    outcome: models.CharField[str, str] = models.CharField(max_length=16)
    status: models.IntegerField[int | None, int | None] = models.IntegerField(null=True)
    reason: models.CharField[str, str] = models.CharField(max_length=64)
    problem: models.TextField[str, str] = models.TextField()
    answer: models.BinaryField[bytes, bytes] = models.BinaryField()
    address: models.CharField[str | None, str | None] = models.CharField(max_length=64, null=True)  # noqa: DJ001

    class Meta:
        """The table, which `Outbox` creates."""

        managed = False
        db_table = "hooksig_attempts"

    def __str__(self) -> str:
        return f"attempt {self.number}"


def time_of(milliseconds: Any) -> datetime | None:
    """Return a time in one of these tables, in the current time zone."""
    if milliseconds is None:
        return None
    return localtime(datetime.fromtimestamp(milliseconds / 1000, timezone.utc))
