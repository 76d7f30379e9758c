"""Create the table of events."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Create the table of events."""

    initial = True
    dependencies: ClassVar = []
    operations: ClassVar = [
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=100, unique=True)),
                ("task", models.CharField(max_length=20)),
                ("name", models.CharField(max_length=200)),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("is_done", models.BooleanField(default=False)),
            ],
        )
    ]
