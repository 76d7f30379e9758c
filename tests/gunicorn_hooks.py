"""What gunicorn is to log besides: which of its processes are ready, so that a test can wait."""

from __future__ import annotations

from typing import Any


def post_worker_init(worker: Any) -> None:
    worker.log.info("Worker is ready")
