"""Logging in: sessions, and how often a stranger may guess."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator

import pytest
from delivery_service.people import LONGEST_PASSWORD, find_person, set_password
from delivery_service.tables import LoginSession, Person
from sqlalchemy import update

from tests.delivery_service.pages.visiting import PASSWORD, SESSION, Visitor, email_of
from tests.delivery_service.running import Service, running


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on which few logins are possible."""
    with running(tmp_path_factory.mktemp("strict"), logins_per_hour="3") as service:
        yield service


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service behind a proxy that speaks HTTPS."""
    url = "https://hooks.example"
    with running(tmp_path_factory.mktemp("https"), public_url=url) as service:
        yield service


def test_login(service: Service, tenant: str) -> None:
    """Whoever has the password sees the endpoints of their tenant."""
    with service.visitor() as visitor:
        answer = visitor.log_in(f" {email_of(tenant).upper()} ")

        assert (answer.status_code, answer.headers["location"]) == (303, "/endpoints")
        assert f"The {tenant}" in visitor.get("/endpoints").text


WRONG = {
    "another password": (email_of("{tenant}"), "wrong"),
    "no password": (email_of("{tenant}"), ""),
    "a longer password": (email_of("{tenant}"), "a" * LONGEST_PASSWORD * 10),
    "nobody": ("nobody@people.example", PASSWORD),
    "NUL": ("a\0b", PASSWORD),
    "a long email": ("a" * 400, PASSWORD),
    "nothing": ("", ""),
    "SQL": ("' OR 1=1 --", PASSWORD),
}


@pytest.mark.parametrize(("email", "password"), WRONG.values(), ids=WRONG.keys())
def test_wrong(service: Service, tenant: str, email: str, password: str) -> None:
    """Whatever is wrong, the answer is the same, and there is no cookie."""
    with service.visitor() as visitor:
        answer = visitor.log_in(email.replace("{tenant}", tenant), password)

    assert answer.status_code == 403
    assert "The email or the password is wrong." in answer.text
    assert "set-cookie" not in answer.headers


def test_time(service: Service, tenant: str) -> None:
    """It takes as long for somebody as for nobody."""
    with service.state.sessions.begin() as session:
        person = find_person(session, email_of(tenant))
        assert person
        set_password(session, person, PASSWORD)  # hashed as the service does it

    def seconds(email: str) -> float:
        with service.visitor() as visitor:
            start = time.perf_counter()
            visitor.log_in(email, "wrong")
            return time.perf_counter() - start

    known = statistics.median(seconds(email_of(tenant)) for _ in range(3))
    unknown = statistics.median(seconds("nobody@people.example") for _ in range(3))

    assert 0.4 < known / unknown < 2.5


def test_addresses_in_a_socket_for_both_versions(strict: Service) -> None:
    """A stranger with IPv4 does not use up the logins of all others with IPv4."""

    def status(address: str, email: str) -> int:
        headers = {"Origin": strict.url, "X-Forwarded-For": address}
        with strict.visitor() as visitor:
            data = {"email": email, "password": "wrong"}
            return visitor.post("/login", data=data, headers=headers).status_code

    hasty = [status("::ffff:192.0.2.1", f"{number}@mapped.example") for number in range(4)]

    assert hasty == [403, 403, 403, 429]
    assert status("192.0.2.1", "4@mapped.example") == 429
    assert status("::ffff:192.0.2.2", "5@mapped.example") == 403


def test_new_session(service: Service, tenant: str, visitor: Visitor) -> None:
    """Each login begins a session of its own, and the one before ends."""
    before = visitor.cookies[SESSION]
    visitor.log_in(email_of(tenant))
    after = visitor.cookies[SESSION]
    with service.visitor() as thief:
        thief.cookies.set(SESSION, before)

        assert before != after
        assert thief.get("/endpoints").status_code == 303


def test_chosen_session(service: Service, tenant: str) -> None:
    """A session that a stranger has chosen beforehand is not taken."""
    with service.visitor() as visitor:
        visitor.cookies.set(SESSION, "chosen", domain="127.0.0.1")
        visitor.log_in(email_of(tenant))

        assert "chosen" not in visitor.cookies.jar.__repr__()


def test_logout(service: Service, visitor: Visitor) -> None:
    """After a logout, the cookie is worth nothing, and the page says so once."""
    cookie = visitor.cookies[SESSION]
    answer = visitor.submit("/logout")

    assert SESSION not in visitor.cookies
    assert "You are logged out." in visitor.get(answer.headers["location"]).text
    assert "You are logged out." not in visitor.get("/login").text
    with service.visitor() as thief:
        thief.cookies.set(SESSION, cookie)
        assert thief.get("/endpoints").status_code == 303


def test_expiry(service: Service, visitor: Visitor, tenant: str) -> None:
    """A session ends after its hours, whatever the browser thinks."""
    assert visitor.get("/endpoints").status_code == 200
    with service.state.sessions.begin() as session:
        people = Person.__table__.select().where(Person.tenant_id == tenant)
        (person,) = session.execute(people)
        session.execute(
            update(LoginSession)
            .where(LoginSession.person_id == person.id)
            .values(expires_at=int(time.time()))
        )

    answers = [visitor.get("/keys"), visitor.get("/keys")]
    form = visitor.get("/login").text

    assert {each.headers["location"] for each in answers} == {"/login?next=/keys"}
    assert "Your session has ended" in form
    assert "Your session has ended" not in visitor.get("/login").text


def test_update_after_the_end(service: Service) -> None:
    """A page that updates itself leads to a login that says that the session has ended."""
    with service.visitor() as visitor:
        visitor.cookies.set(SESSION, "ended", domain="127.0.0.1")
        answer = visitor.get("/deliveries/1", headers={"HX-Request": "true"})
        form = visitor.get(answer.headers["hx-redirect"]).text

    assert answer.status_code == 401
    assert "location" not in answer.headers
    assert "Your session has ended" in form


def test_update_without_session(service: Service) -> None:
    """A page that updates itself leads to the login, and does not show it inside."""
    with service.visitor() as visitor:
        answer = visitor.get("/deliveries/1", headers={"HX-Request": "true"})

    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/login?next=/deliveries/1"
    assert not answer.content


TARGETS = {
    "/deliveries/12": "/deliveries/12",
    "/keys": "/keys",
    "//evil.example": "/endpoints",
    "https://evil.example/endpoints": "/endpoints",
    "/\\evil.example": "/endpoints",
    "/endpoints//evil.example": "/endpoints",
    "/endpoints/../../evil": "/endpoints",
    "/endpoints@evil.example": "/endpoints",
    "/endpoints\r\nX: y": "/endpoints",
    "/endpoints\n": "/endpoints",
    "javascript:alert(1)": "/endpoints",
    "/logout": "/endpoints",
    "": "/endpoints",
}


@pytest.mark.parametrize(("given", "target"), TARGETS.items())
def test_no_open_redirect(service: Service, tenant: str, given: str, target: str) -> None:
    """A login leads to a page of the service, whatever a link says."""
    with service.visitor() as visitor:
        answer = visitor.log_in(email_of(tenant), next=given)
        form = visitor.get("/login", params={"next": given})

    assert answer.headers["location"] == target
    assert f'name="next" value="{target}"' in form.text


def cookies_of(headers: list[str]) -> dict[str, str]:
    """Return the attributes of the cookies that an answer sets."""
    return {each.partition("=")[0]: each.partition(";")[2] for each in headers}


def test_cookies(service: Service, tenant: str, https: Service) -> None:
    """Scripts and other sites cannot use the cookies; by HTTPS, no other host can set them."""
    with service.visitor() as visitor:
        plain = cookies_of(visitor.log_in(email_of(tenant)).headers.get_list("set-cookie"))
    own = https.tenant()
    with https.visitor() as visitor:
        answer = visitor.log_in(email_of(own))
        secure = cookies_of(answer.headers.get_list("set-cookie"))

    assert plain.keys() == {SESSION, "delivery-service-device"}
    assert secure.keys() == {"__Host-session", "__Host-device"}
    for attributes in (*plain.values(), *secure.values()):
        assert "HttpOnly" in attributes
        assert "SameSite=lax" in attributes
        assert "Path=/" in attributes
        assert "Domain" not in attributes
    assert all("Secure" in each for each in secure.values())
    assert "max-age=31536000" in answer.headers["strict-transport-security"]


def test_guessing(strict: Service) -> None:
    """After some logins, an address and an account have to wait; a page says how long."""
    tenant = strict.tenant()
    with strict.visitor() as visitor:
        statuses = [visitor.log_in(email_of(tenant), f"wrong {each}").status_code for each in "abc"]
        last = visitor.log_in(email_of(tenant))

    assert (statuses, last.status_code) == ([403, 403, 403], 429)
    assert 0 < int(last.headers["retry-after"]) <= 3600
    assert "<h1>Too many requests</h1>" in last.text
    assert re.search(r"<p>Try again in (an hour|\d+ minutes)\.</p>", last.text)
    assert '<a class="button" href="/login">' in last.text
