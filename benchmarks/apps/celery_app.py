"""A task of Celery for each message, as `benchmarks/tables/outbox.py` compares it."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from benchmarks.apps.outbox_programs import send

app: Any = Celery("benchmarks", broker=os.environ["HOOKSIG_BENCH_BROKER"])
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True
task: Any = app.task(name="send")(send)
