"""Creates the tables of an outbox, where one can live."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models

from frappe_hooksig.integrations.django._outbox_tables import create_tables, drop_tables


class Migration(migrations.Migration):
    """Creates the tables, and names the models that read them.

    Django creates nothing for a model that is not managed, so its other columns are not here.
    """

    dependencies: ClassVar = [("frappe_hooksig", "0001_initial")]
    operations: ClassVar = [
        migrations.RunPython(create_tables, drop_tables, hints={"model_name": "message"}),
        migrations.CreateModel(
            name="Endpoint",
            fields=[
                ("id", models.CharField(max_length=40, primary_key=True, serialize=False)),
            ],
            options={"db_table": "hooksig_endpoints", "managed": False},
        ),
        migrations.CreateModel(
            name="Message",
            fields=[("seq", models.BigAutoField(primary_key=True, serialize=False))],
            options={"db_table": "hooksig_messages", "managed": False},
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[("id", models.BigAutoField(primary_key=True, serialize=False))],
            options={
                "db_table": "hooksig_deliveries",
                "managed": False,
                "verbose_name_plural": "deliveries",
            },
        ),
        migrations.CreateModel(
            name="Attempt",
            fields=[("delivery", models.BigIntegerField(primary_key=True, serialize=False))],
            options={"db_table": "hooksig_attempts", "managed": False},
        ),
    ]
