"""What one tenant can do, also by several requests at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from delivery_service.tables import EndpointDescription
from sqlalchemy import select

from tests.delivery_service.calling import Caller
from tests.delivery_service.running import Service


def test_changed_while_it_is_deleted(acme: Caller, service: Service) -> None:
    """A change comes before an endpoint is deleted, or finds none; nothing of it is left."""
    statuses: set[int] = set()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(30):
            path = f"/endpoints/{acme.add('https://partner.example/')['id']}"
            changed = [
                pool.submit(acme.call, "PATCH", path, {"description": f"a {number}"})
                for number in range(3)
            ]
            acme.must("DELETE", path, status=204)
            statuses |= {each.result().status for each in changed}
    with service.state.sessions() as session:
        left = session.scalars(select(EndpointDescription).filter_by(tenant_id=acme.tenant)).all()

    assert statuses == {200, 404}
    assert left == []
