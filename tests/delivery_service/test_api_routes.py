"""Each route of the API, as its OpenAPI lists them: a new one is tested as soon as it is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

import pytest
from cryptography.fernet import Fernet
from delivery_service.api_keys import SCOPES, Scope, revoke_key
from delivery_service.app import create_app
from delivery_service.problems import CODES
from delivery_service.settings import Settings
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from tests.delivery_service.calling import Caller
from tests.delivery_service.running import Service
from tests.loopback import ROOT

OPENAPI = create_app(Settings.read(keys=Fernet.generate_key().decode())).openapi()
WITHOUT_SCOPE = {"get_me"}


@dataclass(frozen=True)
class Operation:
    """A route of the API.

    Attributes:
        method: Its method.
        path: Its path after `/v1`, with the names of its parameters.
        details: What the OpenAPI says of it.
    """

    method: str
    path: str
    details: dict[str, Any]

    def __str__(self) -> str:
        return str(self.details["operationId"])

    @property
    def scopes(self) -> list[Scope]:
        return [each for one in self.details["security"] for each in one["api_key"]]

    @property
    def body(self) -> dict[str, Any] | None:
        """A body that is as small as possible."""
        if "requestBody" not in self.details:
            return None
        schema = _resolved(self.details["requestBody"]["content"]["application/json"]["schema"])
        schema = _resolved(schema.get("oneOf", [schema])[0])
        needed = {
            name: _resolved(schema["properties"][name]) for name in schema.get("required", [])
        }
        return {name: _example(each) for name, each in needed.items()}

    def call(self, caller: Caller, ids: dict[str, Any]) -> Any:
        """Call it with ids, where it takes any."""
        body = self.body
        body = body and {**body, **{name: ids[name] for name in body if name in ids}}
        path = re.sub(r"\{(\w+)\}", lambda found: str(ids[found[1]]), self.path)
        return caller.call(self.method, path, body)

    def takes_ids(self) -> bool:
        return "{" in self.path or any(name.endswith("_id") for name in self.body or {})


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = OPENAPI["components"]["schemas"].get(name, schema)
    return found


def _example(schema: dict[str, Any]) -> Any:
    of_item = [_resolved(schema.get("items", {}))]
    nested = [
        {name: _example(_resolved(each["properties"][name])) for name in each["required"]}
        for each in of_item
        if "required" in each
    ]
    return [*schema.get("examples", []), nested][0]


OPERATIONS = [
    Operation(method.upper(), path.removeprefix("/v1"), details)
    for path, methods in OPENAPI["paths"].items()
    for method, details in methods.items()
    if path.startswith("/v1")
]
WITH_SCOPE = [each for each in OPERATIONS if str(each) not in WITHOUT_SCOPE]
WITH_IDS = [each for each in OPERATIONS if each.takes_ids()]


@dataclass(frozen=True)
class Owner:
    """A tenant with an endpoint, a message and a delivery."""

    caller: Caller
    ids: dict[str, Any]

    def everything(self) -> list[Any]:
        """Return all that it sees."""
        lists = [
            self.caller.must("GET", f"/{name}")["items"]
            for name in ("endpoints", "messages", "deliveries")
        ]
        return [*lists, self.caller.must("GET", f"/deliveries/{self.ids['delivery_id']}")]


@pytest.fixture(scope="module")
def owner(service: Service) -> Owner:
    caller = service.caller()
    endpoint = caller.add("http://127.0.0.1:9/", headers={"X-Own": "header"})
    tested = caller.must("POST", f"/endpoints/{endpoint['id']}/test", status=202)
    ids = {
        "endpoint_id": endpoint["id"],
        "message_id": tested["message_id"],
        "delivery_id": tested["id"],
    }
    return Owner(caller, ids)


@pytest.fixture(scope="module")
def stranger(service: Service) -> Caller:
    return service.caller()


def test_there_are_routes() -> None:
    """The tests below are about all routes, which are some."""
    assert len(OPERATIONS) > 20
    assert len(WITH_IDS) > 12


def test_the_description_is_openapi() -> None:
    """The description is valid, and each operation has a name, a tag, and words of its own."""
    OPENAPI_31_VALIDATOR.validate(OPENAPI)
    names = [str(each) for each in OPERATIONS]
    assert len(names) == len({*names})
    assert all(each.details["tags"] and each.details["description"] for each in OPERATIONS)
    assert "HTTPValidationError" not in OPENAPI["components"]["schemas"]
    references = {*re.findall(r"#/components/schemas/([^'\"]+)", repr(OPENAPI))}
    assert references <= OPENAPI["components"]["schemas"].keys()


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_words(operation: Operation) -> None:
    """An operation has a summary of its own, and each of its parameters a description."""
    assert operation.details["summary"] != str(operation).replace("_", " ").title()
    assert all(each.get("description") for each in operation.details.get("parameters", []))


def test_codes() -> None:
    """Each code that a refusal of the API has is explained, and no others are."""
    files = [
        each
        for each in (ROOT / "examples" / "delivery_service" / "delivery_service").rglob("*.py")
        if "pages" not in str(each)
    ]
    found = {
        code
        for each in files
        for code in re.findall(r'Problem\(\s*\d+,\s*"([a-z-]+)"', each.read_text("utf-8"))
    }
    of_the_framework = {"bad-request", "method-not-allowed"}
    assert found | of_the_framework == CODES.keys()
    described = OPENAPI["components"]["schemas"]["ProblemBody"]["properties"]["code"]
    assert all(f"- `{each}`: " in described["description"] for each in found)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_refusals_have_one_form(operation: Operation) -> None:
    """Each refusal is documented as a problem."""
    refusals = {
        status: each["content"].keys()
        for status, each in operation.details["responses"].items()
        if status >= "400"
    }
    assert refusals.keys() >= {"401", "403", "413", "422", "429", "503"}
    assert all(kinds == {"application/problem+json"} for kinds in refusals.values())


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_no_key(operation: Operation, owner: Owner, service: Service) -> None:
    """Nothing is done for somebody without a key, or with a wrong one."""
    right = owner.caller.key
    keys = ["", "dsk_", "dsk__", right[:-1], f"{right}a", right.replace("_", "-"), "é", "a" * 5000]
    before = owner.everything()
    answers = [operation.call(service.stranger(key), owner.ids) for key in keys]

    assert [each.status for each in answers] == [401] * len(keys)
    assert {each.headers["www-authenticate"] for each in answers} == {"Bearer"}
    assert owner.everything() == before


@pytest.mark.parametrize("operation", WITH_SCOPE, ids=str)
def test_other_scopes(operation: Operation, owner: Owner, service: Service) -> None:
    """A key with all scopes but one is not enough, and one with that scope alone is."""
    (scope,) = operation.scopes
    others = cast("tuple[Scope, ...]", tuple(each for each in SCOPES if each != scope))
    before = owner.everything()
    refused = operation.call(service.caller(owner.caller.tenant, others), owner.ids)
    assert (refused.status, refused.json()["code"]) == (403, "missing-scope")
    assert owner.everything() == before

    alone = service.caller("", (scope,))
    assert operation.call(alone, owner.ids).status not in {401, 403}


@pytest.mark.parametrize("operation", WITH_IDS, ids=str)
def test_another_tenant(operation: Operation, owner: Owner, stranger: Caller) -> None:
    """What belongs to another tenant is as unknown as what does not exist, and stays as it is."""
    missing = {
        "endpoint_id": f"ep_{'0' * 24}",
        "message_id": f"msg_{'0' * 32}",
        "delivery_id": 999_999_999,
    }
    before = owner.everything()
    answer = operation.call(stranger, owner.ids)
    same = operation.call(stranger, missing)

    assert (answer.status, answer.json()["code"]) == (404, "not-found")
    assert answer.body == same.body
    assert owner.everything() == before


def test_filters_and_cursors_of_another_tenant(owner: Owner, stranger: Caller) -> None:
    """Neither a filter nor a cursor shows anything of another tenant."""
    for _ in range(2):
        owner.caller.publish({})
        owner.caller.add("http://127.0.0.1:9/")
    cursors = {
        name: owner.caller.must("GET", f"/{name}?limit=1")["next"]
        for name in ("endpoints", "messages")
    }
    for name in ("endpoint_id", "message_id"):
        assert stranger.must("GET", f"/deliveries?{name}={owner.ids[name]}")["items"] == []
    for name, cursor in cursors.items():
        path = f"/{name}?cursor={cursor}"
        assert stranger.problem("GET", path) == (404, "unknown-cursor")
        assert owner.caller.must("GET", path)["items"]


def test_a_revoked_key(service: Service) -> None:
    """A key that was revoked is none."""
    caller = service.caller()
    me = caller.must("GET", "/me")
    with service.state.sessions.begin() as session:
        assert not revoke_key(session, "another", me["key_id"])
        assert revoke_key(session, caller.tenant, me["key_id"])

    assert caller.problem("GET", "/me") == (401, "unauthorized")
    assert me["tenant"] == caller.tenant
    assert me["scopes"] == sorted(SCOPES)
