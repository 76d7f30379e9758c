"""The table of `DjangoStore`. It stays empty in projects that do not use that store."""

from __future__ import annotations

from django.db import models


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
