"""The web app of a process that dies right after its first commit of a message."""

from __future__ import annotations

import os
import signal

from delivery_service.app import create_app as create_real_app
from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.orm import Session


def _die_if_published(session: Session) -> None:
    if session.info:  # publish() notes there whom to ring
        os.kill(os.getpid(), signal.SIGKILL)


def create_app() -> FastAPI:
    """Return the app."""
    event.listen(Session, "after_commit", _die_if_published)
    return create_real_app()
