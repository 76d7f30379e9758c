"""Adds the format of an endpoint to the tables of an outbox."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

from frappe_hooksig.integrations.django._outbox_tables import create_tables


class Migration(migrations.Migration):
    """Brings the tables to the version of this release: `create_tables` does that, too.

    Backwards it does nothing, because the column is in nobody's way.
    """

    dependencies: ClassVar = [("frappe_hooksig", "0002_outbox")]
    operations: ClassVar = [
        migrations.RunPython(
            create_tables, migrations.RunPython.noop, hints={"model_name": "message"}
        ),
    ]
