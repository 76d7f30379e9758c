"""The table of `DjangoStore`. Who does not use that may leave it empty."""

from __future__ import annotations

from django.db import models


class HandledDelivery(models.Model):
    """A delivery that is being handled or was.

    Attributes:
        key: Tells deliveries apart.
        token: Who is handling it; null if it was handled.
        ends: Until when that holds, in Unix seconds.
    """

    key: models.CharField[str, str] = models.CharField(max_length=100, primary_key=True)
    # Null is what tells it from any token.
    token: models.CharField[str | None, str | None] = models.CharField(max_length=32, null=True)  # noqa: DJ001
    ends: models.FloatField[float, float] = models.FloatField(db_index=True)

    class Meta:
        """Its names."""

        verbose_name = "handled delivery"
        verbose_name_plural = "handled deliveries"

    def __str__(self) -> str:
        return self.key
