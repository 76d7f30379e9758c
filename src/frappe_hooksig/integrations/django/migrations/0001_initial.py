"""Creates the table of `DjangoStore`."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Creates the table."""

    initial = True
    dependencies: ClassVar = []
    operations: ClassVar = [
        migrations.CreateModel(
            name="HandledDelivery",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("token", models.CharField(max_length=32, null=True)),
                ("ends", models.FloatField(db_index=True)),
                ("duration", models.FloatField()),
            ],
            options={
                "verbose_name": "handled delivery",
                "verbose_name_plural": "handled deliveries",
            },
        ),
    ]
