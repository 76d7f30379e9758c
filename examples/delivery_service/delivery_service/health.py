"""Whether the service runs, whether it can work, and how the outbox does."""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Header, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from delivery_service.migrating import check_tables
from delivery_service.moves import Moved
from delivery_service.problems import Problem, documented
from delivery_service.state import Service
from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox import Outbox

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """That it runs."""

    status: str


@router.get("/health", summary="Whether the process runs")
async def health() -> Health:
    """Answer without touching the database, nor a thread that requests may have used up."""
    return Health(status="ok")


@router.get("/ready", summary="Whether it can take requests", responses=documented(503))
def ready(service: Service) -> Health:
    """Look at the tables. A load balancer sends requests elsewhere if this is not 200."""
    try:
        is_confirmed = check_tables(service.engine, service.outbox)
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        detail = "the database cannot be reached"
        raise Problem(503, "not-ready", detail) from error
    except Moved as error:
        # Strangers may read it, and where the new one is is not for them.
        detail = f"the database was moved on {error.day}: `delivery-service check` says where to"
        raise Problem(503, "not-ready", detail) from error
    except ConfigurationError as error:
        raise Problem(503, "not-ready", str(error)) from error
    if not is_confirmed:
        detail = "the database was copied or moved: run `delivery-service confirm`"
        raise Problem(503, "not-ready", detail)
    return Health(status="ok")


@router.get("/metrics", include_in_schema=False)
def metrics(service: Service, authorization: Annotated[str, Header()] = "") -> Response:
    """Answer Prometheus, if it has the token."""
    token = service.settings.metrics_token
    if token is None:
        raise Problem(
            404, "not-found", "there are no metrics without DELIVERY_SERVICE_METRICS_TOKEN"
        )
    expected = f"Bearer {token.get_secret_value()}".encode()
    if not hmac.compare_digest(expected, authorization.encode()):
        raise Problem(401, "unauthorized", "the token is not DELIVERY_SERVICE_METRICS_TOKEN")
    registry = CollectorRegistry()
    registry.register(_OutboxCollector(service.outbox))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _OutboxCollector(Collector):
    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name nothing in advance, so that registering asks no database."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask the outbox."""
        numbers = self._outbox.numbers()
        yield GaugeMetricFamily(
            "outbox_unrouted", "Messages without deliveries yet.", value=numbers.unrouted
        )
        yield GaugeMetricFamily("outbox_due", "Deliveries that are due.", value=numbers.due)
        yield GaugeMetricFamily(
            "outbox_oldest_due_seconds",
            "How long the oldest of them has been due.",
            value=numbers.oldest_due,
        )
        for name, text in (
            ("due", "Deliveries of an endpoint that are due."),
            ("scheduled", "Deliveries of an endpoint that are to be sent later."),
            ("dead", "Dead letters of an endpoint."),
            ("attempts", "Attempts at an endpoint in the last hour."),
            ("delivered", "Attempts at an endpoint in the last hour that arrived."),
        ):
            family = GaugeMetricFamily(f"outbox_endpoint_{name}", text, labels=["endpoint"])
            for each in numbers.endpoints:
                family.add_metric([each.endpoint_id], getattr(each, name))
            yield family
