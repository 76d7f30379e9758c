"""An app that dies right after its commit: `python -m tests.outbox.producer_app ADDRESS`."""

from __future__ import annotations

import os
import signal
import sys

from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase
from frappe_hooksig.outbox import Outbox


def die(_session: Session) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    url = sys.argv[1]
    outbox = Outbox(SQLAlchemyDatabase(url))
    with Session(create_engine(url)) as session:
        event.listen(session, "after_commit", die)  # before publish() listens, to ring the bell
        sys.stdout.write(outbox.publish(session, "invoice.paid", {"by": "one who dies"}))
        sys.stdout.flush()
        session.commit()
