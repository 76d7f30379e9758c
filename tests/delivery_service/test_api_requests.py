"""What strangers send to the API: nothing is lost on its way, understood in two ways, or a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.delivery_service.calling import PROBLEM, Caller, problem_in
from tests.delivery_service.conftest import MOST, MOST_OF_PAYLOAD
from tests.delivery_service.running import Service
from tests.loopback import send_to


@pytest.fixture(scope="module")
def endpoint(acme: Caller) -> str:
    """Return the path of an endpoint that stays as it is."""
    return f"/endpoints/{acme.add('https://partner.example/')['id']}"


def _published(caller: Caller, payload: str) -> bytes:
    raw = b'{"event_type": "test.json", "payload": %b}' % payload.encode("utf-8", "surrogatepass")
    answer = caller.call("POST", "/messages", raw=raw)
    assert answer.status == 202, answer
    return caller.call("GET", f"/messages/{answer.json()['id']}/payload").body


@pytest.mark.parametrize(
    ("payload", "arrives"),
    [
        ("null", "null"),
        ("false", "false"),
        ('""', '""'),
        ('"null"', '"null"'),
        ("[]", "[]"),
        ('{"b": 1, "a": 2}', '{"b":1,"a":2}'),
        ("-0.0", "-0.0"),
        ("1e2", "100.0"),
        ("0.1", "0.1"),
        ("1.0", "1.0"),
        ("100000000000000000.0", "1e+17"),
        ("0.1000000000000000000000", "0.1"),
        ("5.960464477539063e-08", "5.960464477539063e-08"),
        ("5.9604644775390625E-8", "5.960464477539063e-08"),
        ("0.10000000000000001", "0.1"),
        ("123456789012345.67", "123456789012345.67"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("5e-324", "5e-324"),
        ("9" * 100, "9" * 100),
        (r'"\u0000\u001f\u2028é\ud83d\ude00"', '"\\u0000\\u001f\u2028é😀"'),
        ('"\\\\ud800"', '"\\\\ud800"'),
        ("[" * 63 + "]" * 63, "[" * 63 + "]" * 63),
        ('{"__proto__": {"a": 1}, "": 0}', '{"__proto__":{"a":1},"":0}'),
    ],
)
def test_payloads_arrive(payload: str, arrives: str, acme: Caller) -> None:
    """Any JSON is carried: its values and their order are the same, white space is dropped."""
    assert _published(acme, payload).decode() == arrives


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("NaN", id="NaN"),
        pytest.param("-Infinity", id="infinity"),
        pytest.param("1e400", id="overflow"),
        pytest.param("1e-400", id="underflow"),
        pytest.param("9007199254740993.0", id="digits"),
        pytest.param("3.14159265358979323846", id="more-digits"),
        pytest.param("9" * 101, id="long-integer"),
        pytest.param("9" * 10_000, id="huge-integer"),
        pytest.param("0." + "1" * 10_000, id="huge-fraction"),
        pytest.param("1e" + "9" * 50, id="huge-exponent"),
        pytest.param('{"a": 1, "a": 2}', id="doubled"),
        pytest.param(r'{"a": 1, "\u0061": 2}', id="doubled-escaped"),
        pytest.param(r'"\ud800"', id="surrogate"),
        pytest.param(r'{"\uDFFF": 1}', id="surrogate-name"),
        pytest.param('"\ud800"', id="surrogate-bytes"),
        pytest.param("[" * 64 + "]" * 64, id="deep"),
        pytest.param("[" * 30_000, id="very-deep"),
        pytest.param('{"a":' * 9_000, id="very-deep-objects"),
        pytest.param("01", id="octal"),
        pytest.param("'a'", id="quotes"),
        pytest.param('"a\tb"', id="control"),
        pytest.param("", id="nothing"),
        pytest.param("1 //", id="comment"),
    ],
)
def test_payloads_that_would_change(payload: str, acme: Caller) -> None:
    """What receivers would get otherwise than it was written is refused, with its cause."""
    raw = b'{"event_type": "a", "payload": %b}' % payload.encode("utf-8", "surrogatepass")
    assert acme.problem("POST", "/messages", raw=raw) == (400, "malformed-json")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\xef\xbb\xbf{}", id="mark"),
        pytest.param('{"event_type": "a", "payload": 1}'.encode("utf-16"), id="utf-16"),
        pytest.param(b"\xff", id="no-utf-8"),
        pytest.param(b"\0", id="nul"),
        pytest.param(b"{}{}", id="two"),
        pytest.param(b'{"event_type": "a", "event_type": "b", "payload": 1}', id="doubled"),
    ],
)
def test_bodies_that_are_not_json(raw: bytes, acme: Caller) -> None:
    """A body is one JSON text in UTF-8."""
    assert acme.problem("POST", "/messages", raw=raw) == (400, "malformed-json")


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json", "é"],
)
def test_other_content_types(kind: str, acme: Caller) -> None:
    """A form of another page cannot send JSON, so nothing else is taken."""
    answer = acme.call("POST", "/messages", raw=b"{}", headers={"Content-Type": kind})
    assert problem_in(answer) == (415, "unsupported-media-type")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param([], id="list"),
        pytest.param("text", id="text"),
        pytest.param({}, id="empty"),
        pytest.param({"payload": 1}, id="no-type"),
        pytest.param({"event_type": "a"}, id="no-payload"),
        pytest.param({"event_type": 1, "payload": 1}, id="number-as-type"),
        pytest.param({"event_type": "a\n", "payload": 1}, id="line-feed"),
        pytest.param({"event_type": "a b", "payload": 1}, id="space"),
        pytest.param({"event_type": "é", "payload": 1}, id="letter"),
        pytest.param({"event_type": "a.", "payload": 1}, id="dot"),
        pytest.param({"event_type": "a" * 129, "payload": 1}, id="long-type"),
        pytest.param({"event_type": "a", "payload": 1, "key": ""}, id="empty-key"),
        pytest.param({"event_type": "a", "payload": 1, "key": "a\0"}, id="nul"),
        pytest.param({"event_type": "a", "payload": 1, "key": "a" * 256}, id="long-key"),
        pytest.param({"event_type": "a", "payload": 1, "idempotency_key": 7}, id="number-as-key"),
        pytest.param({"event_type": "a", "payload": 1, "tenant": "other"}, id="tenant"),
        pytest.param({"event_type": "a", "payload": 1, "id": "msg_1"}, id="id"),
    ],
)
def test_messages_that_are_refused(body: object, acme: Caller) -> None:
    """A message has the fields that are documented, and no others."""
    assert acme.problem("POST", "/messages", body) == (422, "invalid-request")


@pytest.mark.parametrize(
    "extra",
    [
        {"tenant": "other"},
        {"id": "ep_" + "0" * 24},
        {"state": "disabled"},
        {"scheme": "github"},
        {"method": "PUT"},
        {"secret_from": "env:PATH"},
        {"headers_from": {"X-A": "file:/etc/passwd"}},
        {"schedule": []},
        {"installation": "x"},
        {"format": "none"},
        {"format": None},
        {"format": ["standard"]},
        {"format": {}},
        {"secret": "short"},
        {"secret": "whsec_" + "A" * 33},
        {"secret": ["whsec_"]},
        {"event_types": []},
        {"event_types": ["a"] * 51},
        {"event_types": ["a.*.b"]},
        {"event_types": ["*a"]},
        {"headers": {"Host": "internal"}},
        {"headers": {"transfer-encoding": "chunked"}},
        {"headers": {"Webhook-Signature": "v1,x"}},
        {"headers": {"Webhook-Id": "x"}},
        {"headers": {"Content-Length": "0"}},
        {"headers": {"Connection": "close"}},
        {"headers": {"X-A": "a\r\nX-B: b"}},
        {"headers": {"X-A": "é"}},
        {"headers": {"X A": "a"}},
        {"headers": {"X-A": "a" * 2001}},
        {"headers": {f"X-{each}": "a" for each in range(21)}},
        {"headers": {"X-A": "1", "x-a": "2"}},
        {"headers": [["X-A", "1"]]},
        {"description": "a\0"},
        {"description": "\ud800"},
        {"description": "a" * 201},
        {"concurrency": 0},
        {"concurrency": 10**400},
        {"concurrency": True},
        {"concurrency": "1"},
        {"rate": 0},
        {"order": "none "},
    ],
    ids=json.dumps,
)
def test_endpoints_that_are_refused(extra: dict[str, Any], acme: Caller, endpoint: str) -> None:
    """Nothing but what is documented can be chosen for an endpoint, neither now nor later."""
    before = acme.must("GET", endpoint)
    body = {"url": "https://partner.example/", **extra}
    status, code = acme.problem("POST", "/endpoints", body)

    assert (status, code) in {
        (422, "invalid-request"),
        (422, "unusable"),
        (400, "malformed-json"),
    }
    assert acme.problem("PATCH", endpoint, extra)[0] == status
    assert acme.must("GET", endpoint) == before


@pytest.mark.parametrize(
    "url",
    [
        "",
        "partner.example",
        "ftp://partner.example/",
        "file:///etc/passwd",
        "//partner.example",
        "https://",
        "https:///path",
        "https://user:password@partner.example/",
        "https://partner.example:0/",
        "https://partner.example:65536/",
        "https://partner.example\\@10.0.0.1/",
        "https://partner.example/a b",
        "https://partner.example/\r\nHost: a",
        "https://pärtner.example/",
        "https://1.2.3/",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://010.0.0.1/",
        "https://[::1]/",
        "https://[fe80::1%25eth0]/",
        "https://a..b/",
        "https://partner.example/#fragment",
        "https://partner.example/" + "a" * 2000,
    ],
)
def test_urls_that_are_refused(url: str, acme: Caller, endpoint: str) -> None:
    """A URL is one that all readers understand alike."""
    assert acme.problem("POST", "/endpoints", {"url": url}) == (422, "invalid-request")
    assert acme.problem("PATCH", endpoint, {"url": url}) == (422, "invalid-request")


def test_a_refusal_repeats_nothing(acme: Caller) -> None:
    """What was sent may be a secret in the wrong place: no refusal has any of it."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    url = {"url": "https://partner.example/"}
    bodies: list[Any] = [
        {secret: secret},
        {**url, "secret": f" {secret}"},
        {**url, "secret": f"{secret}="},
        {**url, "format": secret},
        {**url, "format": "x-webhook", "secret": f"{secret}é"},
        {**url, "headers": {secret: secret}},
        {**url, "headers": {"Authorization": f"{secret}\n"}},
        {**url, "headers": {"Host": secret}},
        {**url, "event_types": [f"{secret} "]},
        {"url": f"https://{secret}:{secret}@partner.example/"},
        [secret],
        secret,
    ]
    answers = [acme.call("POST", "/endpoints", body) for body in bodies]
    answers += [
        acme.call("GET", f"/endpoints/{secret}"),
        acme.call("GET", f"/deliveries?{secret}={secret}"),
        acme.call("GET", f"/deliveries?cursor={secret}"),
        acme.call("GET", f"/deliveries?since={secret}"),
        acme.call("GET", f"/{secret}"),
        acme.call("POST", "/endpoints", raw=f'"{secret}'.encode()),
    ]

    assert {each.status for each in answers} <= {400, 404, 422}
    assert not [each for each in answers if secret[8:].encode() in each.body]
    assert not any(secret[8:] in str(each.headers) for each in answers)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=a",
        "limit=" + "9" * 5000,
        "limit=-1",
        "before=1",
        "endpoint=ep_1",
        "state=lost",
        "endpoint_id=a",
        "message_id=msg_%00",
        "since=yesterday",
        "since=1700000000",
        "since=2026-11-30",
        "since=2026-11-30T09:30:00",
        "since=2026-02-30T09:30:00Z",
        "since=2026-11-30T09:30:00%2B24:00",
        "until=%D9%A2026-11-30T09:30:00Z",
        "event_type=a%0A",
        "event_type=%FF",
    ],
)
def test_filters_that_are_refused(query: str, acme: Caller) -> None:
    """A filter that nobody reads would show more than was asked for, so it is refused."""
    assert acme.problem("GET", f"/deliveries?{query}") == (422, "invalid-request")


@pytest.mark.parametrize(
    "cursor", ["a", "AAAA", "-", "_" * 100, "ZXBf", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"]
)
@pytest.mark.parametrize("name", ["endpoints", "messages", "deliveries"])
def test_cursors_that_are_refused(name: str, cursor: str, acme: Caller) -> None:
    """A cursor that this list has not made is refused."""
    assert acme.problem("GET", f"/{name}?cursor={cursor}") == (404, "unknown-cursor")
    assert acme.problem("GET", f"/{name}?cursor={cursor}%3D") == (422, "invalid-request")


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-30T09:30:00Z",
        "2026-11-30t09:30:00.123456789z",
        "2026-11-30T09:30:00.5%2B05:30",
        "0001-01-01T00:00:00%2B23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_times(time: str, acme: Caller) -> None:
    """A time of RFC 3339 is taken, whatever its zone and however far away it is."""
    acme.must("GET", f"/messages?since={time}")
    acme.must("GET", f"/deliveries?until={time}")


@pytest.mark.parametrize("ids", ["0", "-1", "1.5", "a", "9" * 19, "9" * 5000, "%00", "%F0%9F"])
def test_ids_that_nothing_has(ids: str, acme: Caller) -> None:
    """What is no id leads nowhere."""
    assert acme.problem("GET", f"/deliveries/{ids}") == (404, "not-found")
    assert acme.problem("GET", f"/messages/{ids}") == (404, "not-found")
    assert acme.problem("DELETE", f"/endpoints/{ids}") == (404, "not-found")


@pytest.mark.parametrize("path", ["/messages", "/messages/bulk", "/endpoints"])
def test_large_bodies(path: str, acme: Caller) -> None:
    """A body that is too large is refused, also if nothing says in advance how large it is."""
    pieces = [b" " * 8192] * (MOST // 8192) + [b"{}"]
    assert acme.problem("POST", path, raw=pieces) == (413, "too-large")
    assert acme.problem("POST", path, raw=b"".join(pieces)) == (413, "too-large")


@pytest.mark.parametrize("raw", [b"{", [b" " * MOST, b" "]], ids=["malformed", "large"])
def test_strangers_make_no_work(raw: bytes | list[bytes], service: Service) -> None:
    """Nobody reads the body of somebody without a key."""
    assert service.stranger().problem("POST", "/messages", raw=raw) == (401, "unauthorized")


def test_the_largest_body(acme: Caller) -> None:
    """A body up to the limit is taken, also in pieces; a payload has a limit of its own."""
    body = b'{"event_type": "a", "payload": "%b"}' % (b"a" * (MOST_OF_PAYLOAD - 2))
    raw = body + b" " * (MOST - len(body))
    assert acme.call("POST", "/messages", raw=raw).status == 202
    assert acme.call("POST", "/messages", raw=[raw[:100], raw[100:]]).status == 202
    large = {"event_type": "a", "payload": "a" * (MOST_OF_PAYLOAD - 1)}
    assert acme.problem("POST", "/messages", large) == (413, "payload-too-large")
    letters = {"event_type": "a", "payload": "é" * (MOST_OF_PAYLOAD // 2)}
    assert acme.problem("POST", "/messages", letters) == (413, "payload-too-large")


@pytest.mark.parametrize("count", [0, 101], ids=["none", "many"])
def test_bulk_is_bounded(count: int, acme: Caller) -> None:
    """One request publishes 1 to 100 messages."""
    several = {"messages": [{"event_type": "a", "payload": 1}] * count}
    assert acme.problem("POST", "/messages/bulk", several) == (422, "invalid-request")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nowhere", (404, "not-found")),
        ("GET", "/endpoints/", (404, "not-found")),
        ("GET", "//endpoints", (404, "not-found")),
        ("GET", "/messages/../me", (404, "not-found")),
        ("PUT", "/endpoints", (405, "method-not-allowed")),
        ("DELETE", "/messages", (405, "method-not-allowed")),
        ("TRACE", "/me", (405, "method-not-allowed")),
    ],
)
def test_other_routes(method: str, path: str, expected: tuple[int, str], acme: Caller) -> None:
    """What is no route is refused in the same form as everything else."""
    assert acme.problem(method, path) == expected


def test_methods_of_a_path(acme: Caller, endpoint: str) -> None:
    """A path tells all of its methods, and a path for several is no id."""
    paths = {
        "/endpoints": "GET, POST",
        endpoint: "DELETE, GET, PATCH",
        "/messages/bulk": "POST",
        "/deliveries/send-again": "POST",
    }
    answers = {path: acme.call("OPTIONS", path) for path in paths}

    assert {each.status for each in answers.values()} == {405}
    assert {path: each.headers["allow"] for path, each in answers.items()} == paths
    assert acme.problem("GET", "/messages/bulk") == (405, "method-not-allowed")


def test_other_hosts(acme: Caller) -> None:
    """A page of somebody else whose name leads here cannot call the API."""
    answer = send_to(acme.port, "/v1/me", headers={"Host": "attacker.example"}, method="GET")
    assert problem_in(answer) == (421, "wrong-host")
    assert answer.json()["detail"].startswith("send requests to http://127.0.0.1:")


def test_a_key_is_found_in_one_header_only(service: Service, acme: Caller) -> None:
    """A key in the URL, or as another scheme, is none: URLs are logged."""
    key = acme.key
    nobody = service.stranger()
    assert nobody.problem("GET", "/me", headers={"Authorization": f"Basic {key}"})[0] == 401
    assert nobody.problem("GET", "/me", headers={"Authorization": key})[0] == 401
    assert nobody.problem("GET", "/me", headers={"X-Api-Key": key})[0] == 401
    assert nobody.problem("GET", f"/endpoints?api_key={key}")[0] == 401


def test_the_kind_of_a_problem(acme: Caller) -> None:
    """Each refused field is named, with what is wrong."""
    answer = acme.call("POST", "/messages", {"event_type": "a b", "payload": 1, "extra": 1})
    assert answer.headers["content-type"] == PROBLEM
    fields = {each["field"]: each["message"] for each in answer.json()["fields"]}
    assert fields.keys() == {"body.event_type", "body.extra"}
    assert fields["body.event_type"].startswith("An event type is up to 128 letters")


@pytest.mark.parametrize(
    ("path", "body", "field", "says"),
    [
        ("/endpoints", {"url": "ftp://a/"}, "body.url", "A URL must be like https://"),
        ("/endpoints", {}, "body.url", "Field required"),
        ("/endpoints", {"secret": "whsec_"}, "body.secret", "A secret is whsec_ and the base64 of"),
        (
            "/endpoints",
            {"format": "x-webhook", "secret": "a"},
            "body.secret",
            "A secret is 24 to 200 letters",
        ),
        ("/endpoints", {"event_types": ["a*"]}, "body.event_types.0", "It must be an event type"),
        ("/endpoints", {"headers": {"a": "b"}}, "body.headers.a.?", "The name of a header is 3"),
        ("/endpoints", {"headers": {"x-a": "é"}}, "body.headers.x-a", "The value of a header is"),
        ("/endpoints", {"description": "a\n"}, "body.description", "It must be one line of up to"),
        ("/endpoints", {"standard": 1}, "body.standard", "Extra inputs are not permitted"),
        ("/messages", {"key": "a b"}, "body.key", "A key is up to 255 visible ASCII characters"),
        ("/messages/bulk", {"messages": [{}]}, "body.messages.0.payload", "Field required"),
        ("/deliveries/send-again", {"since": "now"}, "body.since", "A time must be like 2026-"),
        (
            "/deliveries/send-again",
            {"endpoint_id": "ep_1"},
            "body.endpoint_id",
            "The id of an endpoint is ep_ and",
        ),
    ],
)
def test_words_for_fields(
    path: str, body: dict[str, Any], field: str, says: str, acme: Caller
) -> None:
    """What is wrong with a field is a whole sentence for people, and never a pattern."""
    answer = acme.call("POST", path, body)
    fields = {each["field"]: each["message"] for each in answer.json()["fields"]}

    assert fields[field].startswith(says)
    assert "pattern" not in answer.body.decode()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("message_id=1", "The id of a message is msg_ and"),
        ("cursor=%3D", "A cursor is `next` of the page before"),
        ("until=now", "A time must be like 2026-"),
        ("event_type=-*", "It must be an event type such as"),
    ],
)
def test_words_for_filters(query: str, says: str, acme: Caller) -> None:
    """A filter that is refused says what it is like."""
    (field,) = acme.call("GET", f"/deliveries?{query}").json()["fields"]
    assert (field["field"], field["message"][: len(says)]) == (
        f"query.{query.partition('=')[0]}",
        says,
    )


def test_words_for_paths(acme: Caller) -> None:
    """A path that does not exist leads to the description, and another method to those it takes."""
    details = [
        acme.call(method, path).json()["detail"]
        for method, path in (
            ("GET", "/nowhere"),
            ("PUT", "/endpoints"),
            ("GET", f"/messages/msg_{'0' * 32}"),
        )
    ]
    assert details == [
        "there is nothing at this path; see /v1/openapi.json",
        "this path takes GET, POST",
        "there is no message with this id",
    ]


def test_words_of_the_library(acme: Caller) -> None:
    """A refusal of the library has the names of fields, and not those of parameters."""
    acme.publish(1, idempotency_key="words")
    body = {"event_type": "invoice.paid", "payload": 2, "idempotency_key": "words"}
    conflict = acme.call("POST", "/messages", body).json()["detail"]
    assert conflict.startswith("idempotency_key was used before, with another payload")
