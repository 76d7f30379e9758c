"""The events that were received."""

from __future__ import annotations

from django.db import models


class Event(models.Model):
    """An event that was verified, and is handled by `manage.py work`."""

    #: The same for each attempt to deliver it.
    key: models.CharField[str, str] = models.CharField(max_length=100, unique=True)
    #: Which function of `work` handles it.
    task: models.CharField[str, str] = models.CharField(max_length=20)
    #: The argument of that function.
    name: models.CharField[str, str] = models.CharField(max_length=200)
    failures: models.PositiveSmallIntegerField[int, int] = models.PositiveSmallIntegerField(
        default=0
    )
    is_done: models.BooleanField[bool, bool] = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.task} {self.name}"
