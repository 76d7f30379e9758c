"""What holds for each route of the page. The app itself says which ones there are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from delivery_service.api_keys import SCOPES, create_key
from delivery_service.app import create_app
from delivery_service.settings import Settings
from fastapi.routing import iter_route_contexts
from sqlalchemy import text

from tests.delivery_service.pages.visiting import Visitor
from tests.delivery_service.running import Service, running

# The API and the health have tests of their own, and keys instead of cookies.
_ELSEWHERE = ("/v1", "/health", "/ready", "/metrics")
_OPEN = {"/", "/login", "/static/{name}"}

_APP = create_app(Settings.read(keys=Fernet.generate_key().decode()))
ROUTES = sorted(
    (method, each.path)
    for each in iter_route_contexts(_APP.routes)
    for method in each.methods or ()
    if each.path and not each.path.startswith(_ELSEWHERE)
)
POSTS = [path for method, path in ROUTES if method == "POST"]
OF_RECORDS = [each for each in ROUTES if "{" in each[1] and each[1] not in _OPEN]


def path_of(template: str, **ids: object) -> str:
    """Return a path with ids in it."""
    return re.sub(r"\{(\w+)\}", lambda found: str(ids[found[1]]), template)


@pytest.fixture(scope="module")
def ids(service: Service) -> dict[str, object]:
    """Records of a tenant: one of each kind."""
    tenant = service.tenant()
    endpoint = service.endpoint(tenant, "http://127.0.0.1:9/")
    delivery = service.state.account(tenant).send_test(endpoint)
    with service.state.sessions.begin() as session:
        key = create_key(session, tenant, "a key", SCOPES)
    return {
        "tenant": tenant,
        "endpoint_id": endpoint,
        "delivery_id": delivery.id,
        "message_id": delivery.message_id,
        "key_id": key.split("_")[1],
    }


@pytest.fixture(scope="module")
def visitor(service: Service) -> Iterator[Visitor]:
    """Somebody of another tenant, who is logged in."""
    with service.visitor(service.tenant()) as each:
        yield each


def test_routes() -> None:
    """All pages are found, and nothing is changed by a GET."""
    assert len(POSTS) > 10
    assert {method for method, _ in ROUTES} == {"GET", "POST"}


@pytest.mark.parametrize(("method", "template"), ROUTES, ids=map(" ".join, ROUTES))
def test_without_login(
    service: Service, ids: dict[str, object], method: str, template: str
) -> None:
    """Whoever is not logged in is led to the login, and learns nothing."""
    with service.visitor() as stranger:
        answer = stranger.request(
            method, path_of(template, name="nothing", **ids), headers={"Origin": service.url}
        )

    is_open = template in _OPEN
    assert is_open or answer.status_code == 303
    assert is_open or answer.headers["location"].startswith("/login?next=/")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("template", [each for each in POSTS if each != "/login"])
@pytest.mark.parametrize(
    "token",
    [{}, {"csrf_token": ""}, {"csrf_token": "another"}, {"csrf_token": "\udc80"}],
    ids=["no token", "empty", "another", "no text"],
)
def test_csrf_token(
    visitor: Visitor, ids: dict[str, object], template: str, token: dict[str, str]
) -> None:
    """Without the token of the session, no form changes anything: the answer is a page."""
    content = "&".join(f"{name}={value}" for name, value in token.items())
    answer = visitor.post(
        path_of(template, **ids),
        content=content.encode("utf-8", "surrogateescape"),
        headers={"Origin": visitor.origin, "Content-Type": "application/x-www-form-urlencoded"},
    )

    assert answer.status_code in {400, 403}
    assert "<h1>Not " in answer.text


ORIGINS = {
    "another site": {"Origin": "https://evil.example"},
    "a page without a site": {"Origin": "null"},
    "another port": {"Origin": "http://127.0.0.1:1"},
    "nothing": {},
    "a subdomain": {"Sec-Fetch-Site": "same-site"},
    "two answers": {"Origin": "{own}", "Sec-Fetch-Site": "cross-site"},
    "our name in theirs": {"Origin": "{own}.evil.example"},
}


@pytest.mark.parametrize("template", POSTS)
@pytest.mark.parametrize("headers", ORIGINS.values(), ids=ORIGINS.keys())
def test_other_sites(
    visitor: Visitor, ids: dict[str, object], template: str, headers: dict[str, str]
) -> None:
    """A form of another site is refused, even with the right token; the login, too."""
    own = {name: value.replace("{own}", visitor.origin) for name, value in headers.items()}
    fields = {"csrf_token": visitor.token(), "email": "a@b", "password": "c"}
    answer = visitor.post(path_of(template, **ids), data=fields, headers=own)

    assert answer.status_code == 403
    assert "DELIVERY_SERVICE_PUBLIC_URL" in answer.text


@pytest.mark.parametrize(("method", "template"), OF_RECORDS, ids=map(" ".join, OF_RECORDS))
def test_other_tenants(
    visitor: Visitor, ids: dict[str, object], method: str, template: str
) -> None:
    """What is another tenant's does not exist: not to be seen, and not to be changed."""
    fields = {
        "csrf_token": visitor.token(),
        "form_id": os.urandom(8).hex(),
        "url": "https://hooks.example/",
        "event_types": "*",
        "headers_are": "kept",
        "overlap": "day",
    }
    path = path_of(template, **ids)
    sent = {"data": fields, "headers": {"Origin": visitor.origin}}
    answer = visitor.request(method, path, **(sent if method == "POST" else {}))  # type: ignore[arg-type]
    missing = visitor.request(
        method,
        path_of(template, endpoint_id="ep_0", delivery_id=10**9, message_id="m", key_id="k"),
        **(sent if method == "POST" else {}),  # type: ignore[arg-type]
    )

    assert answer.status_code == missing.status_code == 404
    assert str(ids["tenant"]) not in answer.text


@pytest.mark.parametrize(
    "path", ["/", "/endpoints", "/endpoints/new", "/deliveries", "/messages", "/keys"]
)
def test_headers(visitor: Visitor, path: str) -> None:
    """Each page forbids all that comes from elsewhere or is inline, and is not kept anywhere."""
    answer = visitor.get(path)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:", answer.text)


UNKNOWN = {
    "no page": "/nothing",
    "no number": "/deliveries/one",
    "a large number": f"/deliveries/{2**63}",
    "a huge number": f"/deliveries/{'9' * 5000}",
    "a negative number": "/deliveries/-1",
    "no id": "/endpoints/%00",
    "a long id": "/endpoints/" + "a" * 1000,
    "another language": "/messages/%F0%9F%92%A5",
    "a key": "/keys/%00/revoke",
    "a file": "/static/..%2Fapp.py",
}


@pytest.mark.parametrize("path", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_not_found(visitor: Visitor, path: str) -> None:
    """What does not exist is a page that says so."""
    answer = visitor.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<h1>Not found</h1>" in answer.text


@pytest.mark.parametrize("path", ["/v1/nothing", "/metrics"])
def test_not_found_elsewhere(visitor: Visitor, path: str) -> None:
    """Programs get no pages."""
    answer = visitor.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


ADDRESSES = {
    "/endpoints/ep_1/pause": "/endpoints/ep_1",
    "/endpoints/ep_1/send-again": "/endpoints/ep_1",
    "/endpoints/%00/pause": "/endpoints",
    "/endpoints/evil.example/pause": "/endpoints",
    "/deliveries/1/send-as-new": "/deliveries/1",
    "/keys/new": "/keys",
    "/logout": "/endpoints",
}


@pytest.mark.parametrize(("path", "target"), ADDRESSES.items(), ids=ADDRESSES.keys())
def test_address_of_a_button(visitor: Visitor, path: str, target: str) -> None:
    """The address of a button, loaded once more, leads to the page above it."""
    answer = visitor.get(path)

    assert (answer.status_code, answer.headers["location"]) == (303, target)


def test_without_database(tmp_path: Path) -> None:
    """Without its database, the service answers with a page, which has the same headers."""
    with running(tmp_path) as broken, broken.visitor() as stranger:
        with broken.state.engine.begin() as connection:
            connection.execute(text("DROP TABLE login_sessions"))
        answer = stranger.get("/endpoints")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "<h1>Not available now</h1>" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "login_sessions" not in answer.text


def test_files(visitor: Visitor) -> None:
    """The files of the page are as their pages name them, and are kept by browsers for ever."""
    paths = re.findall(r'(?:href|src)="(/static/[^"]+)"', visitor.get("/endpoints").text)
    answers = [visitor.get(each) for each in paths]

    assert [each.status_code for each in answers] == [200, 200, 200]
    assert all("immutable" in each.headers["cache-control"] for each in answers)
    assert sorted(each.headers["content-type"].split(";")[0] for each in answers) == [
        "image/svg+xml",
        "text/css",
        "text/javascript",
    ]
