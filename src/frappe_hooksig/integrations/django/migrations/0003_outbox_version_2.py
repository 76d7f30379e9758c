"""Brings the tables of an outbox to version 2: formats, and lists that read only what they show."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from frappe_hooksig.integrations.django._outbox_tables import create_tables


class Migration(migrations.Migration):
    """Brings the tables to the newest version. Backwards, the migration before it drops them."""

    dependencies: ClassVar = [("frappe_hooksig", "0002_outbox")]
    operations: ClassVar = [
        migrations.RunPython(
            create_tables, migrations.RunPython.noop, hints={"model_name": "message"}
        ),
    ]
