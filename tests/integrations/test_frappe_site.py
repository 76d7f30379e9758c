"""The stand-in for Frappe answers what real sites answered, request by request."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.frappe_bench import Bench, Site, bench, valkey_url
from tests.loopback import Answer, Server
from tests.vectors import Exchange, frappe_exchanges, frappe_sites

__all__ = ["bench", "valkey_url"]  # fixtures

EXCHANGES = frappe_exchanges()
RECORDED = 134
# Names of recorded requests that are answered otherwise, and why. None are.
NOT_IMITATED: dict[str, str] = {}

# What an answer has beyond its recording: tracebacks and texts of Frappe's own were not kept.
NOT_KEPT = {"exc", "exception", "_server_messages"}
# What a recording tells of the Redis client that is installed: its version and its base classes.
OF_REDIS_PY = {"redis_py", "mro"}

SITES = frappe_sites()


@pytest.fixture(scope="module")
def site(bench: Bench) -> Site:
    """The site that the recordings of a version are from."""
    site = bench.new_site(
        SITES[bench.version]["host"],
        db_name=SITES[bench.version]["db_name"],
        webhook_secret="gehëim-密钥",
        webhook_secrets={"stripe": ["new", "old"]},
    )
    site.sql("insert into tabUser values ('Administrator', 'rigapikey000001')")
    site.set_password("User", "Administrator", "api_secret", "rigapisecret0001")
    site.sql("create table done (what)")
    return site


@pytest.fixture(scope="module")
def server(bench: Bench, site: Site) -> Iterator[Server]:
    """A gunicorn that serves the site."""
    assert site.database.exists()
    with bench.serve("--threads=4") as running:
        yield running


def send(server: Server, site: Site, exchange: Exchange) -> Answer:
    """Send a recorded request as it stood on the wire."""
    lines = [f"{exchange.method} {exchange.path} HTTP/1.1", f"Host: {site.name}"]
    lines += [f"{name}: {value}" for name, value in exchange.headers.items()]
    if "Transfer-Encoding" not in exchange.headers:
        lines.append(f"Content-Length: {len(exchange.body)}")
    return server.send_bytes("\r\n".join([*lines, "", ""]).encode() + exchange.body)


def comparable(answer: Any) -> Any:
    """Return an answer without what cannot be equal."""
    if not isinstance(answer, dict):
        return answer
    left_out = NOT_KEPT | OF_REDIS_PY
    return {name: comparable(value) for name, value in answer.items() if name not in left_out}


def post(server: Server, site: Site, method: str, **arguments: Any) -> Answer:
    """Call a whitelisted method of a site."""
    headers = {"Host": site.name, "Content-Type": "application/json"}
    return server.send(f"/api/method/rigapp.{method}", json.dumps(arguments).encode(), headers)


def done(site: Site, *, at_least: int = 0) -> list[str]:
    """Return what was written by now, and forget it; wait a little for so much of it."""
    deadline = time.monotonic() + 10
    while len(rows := site.sql("select what from done")) < at_least:
        assert time.monotonic() < deadline, rows
        time.sleep(0.02)
    site.sql("delete from done")
    return [what for (what,) in rows]


@pytest.mark.parametrize("name", list(dict.fromkeys(each.name for each in EXCHANGES)))
def test_recorded_answer(bench: Bench, server: Server, site: Site, name: str) -> None:
    """Status, content type and JSON are those of the real site."""
    (exchange,) = (e for e in EXCHANGES if (e.frappe, e.name) == (bench.version, name))

    answer = send(server, site, exchange)

    assert answer.status == exchange.status
    assert answer.headers.get("content-type") == exchange.content_type
    if exchange.json is not None:
        # As text, since NaN is not equal to itself.
        assert json.dumps(comparable(answer.json()), sort_keys=True) == json.dumps(
            comparable(exchange.json), sort_keys=True
        )


def test_nothing_is_left_out() -> None:
    """All that was recorded is sent, and all of it is imitated."""
    recorded = Counter(each.frappe for each in EXCHANGES)
    assert recorded == {"14": RECORDED, "15": RECORDED, "16": RECORDED}
    assert not NOT_IMITATED


def test_errors_show_tracebacks(server: Server, site: Site) -> None:
    """Whoever raises shows the code around it, unless that was switched off."""
    thrown = post(server, site, "api.fail", how="throw").json()
    quiet = post(server, site, "api.fail", how="disable_tb").json()

    (traceback,) = json.loads(thrown["exc"])
    assert traceback.startswith("Traceback (most recent call last):")
    assert "rigapp/api.py" in traceback
    assert thrown["exception"] == "frappe.exceptions.ValidationError: no"
    assert json.loads(json.loads(thrown["_server_messages"])[0])["message"] == "no"
    assert quiet.keys() <= {"exc_type"}


def test_returned_response_of_a_method_in_the_arguments(
    server: Server, site: Site, bench: Bench
) -> None:
    """Where `cmd` names the method, 15 and 16 lose the Response that it returns."""
    refused = post(server, site, "api.ping", cmd="rigapp.api.fail", how="response_obj")

    expected = {"14": (401, {"error": "invalid_signature"}), "15": (200, {}), "16": (200, {})}
    assert (refused.status, refused.json()) == expected[bench.version]


@pytest.mark.parametrize(
    ("then", "status", "kept"),
    [
        ("returns", 200, True),
        ("returns 401", 401, True),
        ("throws", 417, False),
        ("raises", 401, False),
    ],
)
def test_what_is_committed(server: Server, site: Site, then: str, status: int, kept: bool) -> None:  # noqa: FBT001
    """What raises is rolled back; what is returned is committed, a 401 too."""
    assert post(server, site, "work.write", then=then).status == status
    assert done(site) == [then] * kept


def test_get_commits_nothing(server: Server, site: Site) -> None:
    """GET is for reading."""
    path = "/api/method/rigapp.work.write?then=read"

    assert server.send(path, headers={"Host": site.name}, method="GET").status == 200
    assert done(site) == []


def test_password_of_another_key(bench: Bench) -> None:
    """A site without its encryption_key makes one; 16 then finds no password, others raise."""
    site = bench.new_site("restored.localhost")
    site.set_password("User", "Administrator", "api_secret", "rigapisecret0001")
    key = site.config()["encryption_key"]
    with bench.serve() as running:

        def read() -> Any:
            return post(running, site, "work.password_probe").json().get("message")

        readable = read()
        site.config(encryption_key=None)
        unreadable = [read(), read()]
        new_key = site.config()["encryption_key"]
        site.config(encryption_key=key)

        assert readable == read() == "rigapisecret0001"
    assert unreadable == [None if bench.version == "16" else "ValidationError"] * 2
    assert new_key != key


def test_sites_side_by_side(bench: Bench) -> None:
    """Each request has its own site's configuration, database and cache keys, in any thread."""
    sites = [bench.new_site(f"site{n}.localhost", webhook_secret=f"secret {n}") for n in range(3)]
    for site in sites:
        site.sql("create table done (what)")

    def probe(running: Server, site: Site) -> tuple[str, str]:
        assert post(running, site, "work.write", then=site.name).status == 200
        key = post(running, site, "api.cache_probe").json()["message"]["make_key"]
        return post(running, site, "api.secrets_probe").json()["message"]["conf_get"], key

    with bench.serve("--threads=8") as running, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(partial(probe, running), sites * 20))
        unknown = running.send("/api/method/ping", b"", {"Host": "unknown.localhost"})

    expected = [(f"secret {n}", f"b'site{n}_localhost|rig:nonce:1'") for n in range(3)]
    assert answers == expected * 20
    assert [done(site) for site in sites] == [[site.name] * 20 for site in sites]
    assert unknown.status == 404


def test_jobs(bench: Bench, server: Server, site: Site) -> None:
    """A worker does what was left to it by requests that were committed, and commits it."""
    for arguments in (
        {"job": "record", "what": "rolled back", "throws": True},
        {"job": "record_and_fail", "what": "failed"},
        {"job": "record_at_second_try", "what": "tried twice"},
        {"job": "record", "what": "last"},
    ):
        post(server, site, "work.leave", **arguments)
    with bench.work() as worker:
        # Who does a job again is Administrator, whoever left it.
        assert done(site, at_least=2) == ["tried twice, Administrator", "last, Guest"]
        assert worker.has_logged("ValueError: this job fails", 1)

    logged = site.sql("select method from `tabError Log` where error like '%this job fails%'")
    assert logged == [("rigapp.work.record_and_fail",)]


def test_deduplicated_jobs(bench: Bench, server: Server, site: Site) -> None:
    """A job of the same id is left once, which 14 does not know."""
    for _ in range(2):
        once = {"job_id": "1", "deduplicate": True}
        post(server, site, "work.leave", job="record", what="once", **once)
    post(server, site, "work.leave", job="record", what="last")
    with bench.work():
        expected = ["last, Guest"] if bench.version == "14" else ["once, Guest", "last, Guest"]
        assert done(site, at_least=len(expected)) == expected
