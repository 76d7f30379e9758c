"""What the routes of a process share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine, event
from sqlalchemy.orm import sessionmaker

from delivery_service.account import Account, Sessions
from delivery_service.database import open_engine, open_outbox
from delivery_service.limits import Limits
from delivery_service.moves import refuse_moved
from delivery_service.queueing import connect_celery
from delivery_service.settings import Settings
from frappe_hooksig.outbox import Outbox

if TYPE_CHECKING:
    from celery import Celery


@dataclass(frozen=True, kw_only=True)
class State:
    """What the routes of a process share.

    Attributes:
        settings: What the operator chose.
        engine: Connects requests to the database.
        sessions: Makes sessions of the service's own tables.
        lookups: Makes sessions whose statements are committed each, which saves two round trips.
        outbox: The outbox.
        limits: Counts requests.
        celery: Sends in place of `delivery-service work`, if there is a broker.
    """

    settings: Settings
    engine: Engine
    sessions: Sessions
    lookups: Sessions
    outbox: Outbox
    limits: Limits
    celery: Celery | None

    @classmethod
    def of(cls, settings: Settings) -> State:
        """Open all that the settings name."""
        engine = open_engine(settings)
        outbox = open_outbox(settings, engine)
        broker = settings.broker_url
        sessions = sessionmaker(engine, expire_on_commit=False)
        # Nothing is committed to a database that was moved to another one.
        event.listen(sessions, "before_commit", refuse_moved)
        return cls(
            settings=settings,
            engine=engine,
            sessions=sessions,
            lookups=sessionmaker(engine.execution_options(isolation_level="AUTOCOMMIT")),
            outbox=outbox,
            limits=Limits(settings),
            celery=None if broker is None else connect_celery(broker, outbox),
        )

    def account(self, tenant_id: str) -> Account:
        """Return what a tenant can see and do."""
        return Account(tenant_id, self.outbox, self.sessions, self.settings)

    def close(self) -> None:
        """Close all connections."""
        self.outbox.close()
        self.engine.dispose()


# Not in a thread: those are for what waits for the database.
async def _state(request: Request) -> State:
    state: State = request.app.state.service
    return state


Service = Annotated[State, Depends(_state)]
