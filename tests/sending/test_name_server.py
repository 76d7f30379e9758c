"""The name server of the tests: it answers as it is told, and the real resolver believes it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.sending.name_server import (
    NO_NAME,
    SILENCE,
    Infos,
    Names,
    NameServer,
    Question,
    run_with_names,
)

NAMES: Names = {
    "rebind.example": [["8.8.8.8"], ["127.0.0.1", "::1"]],
    "many.example": [["8.8.8.8", "1.1.1.1", "2a00:1450::1", "10.0.0.1"]],
    "gone.example": [["8.8.8.8"], NO_NAME],
    "empty.example": [[]],
    "silent.example": [SILENCE],
    "xn--bcher-kva.example": [["8.8.4.4"]],
    "alias.example": [["b.example", "c.d.example", "8.8.8.8", "2a00:1450::1"]],
}


@pytest.fixture
def server() -> Iterator[NameServer]:
    """A server that runs."""
    with NameServer(NAMES) as running:
        yield running


def addresses(infos: Infos) -> list[str]:
    """Return the addresses of an answer."""
    return [str(info[4][0]) for info in infos]


def test_answers_in_turn(server: NameServer) -> None:
    """Each question gets the next answer, and the last one again and again."""
    found = [addresses(server.resolve("Rebind.example.", 80, 0, socket.SOCK_STREAM))]
    found += [addresses(server.resolve("rebind.example", 80, 0, socket.SOCK_STREAM))] * 2

    assert found == [["8.8.8.8"], ["127.0.0.1", "::1"], ["127.0.0.1", "::1"]]
    assert server.count("rebind.example") == server.count("rebind.example", "AAAA") == 2


def test_is_like_the_real_function(server: NameServer) -> None:
    """The answer has the form of that of `socket.getaddrinfo()`."""
    for host in ("8.8.8.8", "127.1", "::1", "localhost", None):
        for kind in (0, socket.SOCK_STREAM):
            expected = socket.getaddrinfo(host, "http", 0, kind)
            assert server.resolve(host, "http", 0, kind) == expected
    numeric = socket.getaddrinfo("8.8.4.4", 443, type=socket.SOCK_STREAM)

    assert server.resolve("bücher.example", 443, type=socket.SOCK_STREAM) == numeric
    assert server.asked[0] == Question("xn--bcher-kva.example", "A")


def test_families(server: NameServer) -> None:
    """Only the requested family is asked for."""
    options = (80, socket.AF_INET6, socket.SOCK_STREAM)

    assert addresses(server.resolve("many.example", *options)) == ["2a00:1450::1"]
    assert server.asked == [Question("many.example", "AAAA")]


def test_alias(server: NameServer) -> None:
    """An answer may have a chain of names before the addresses."""
    found = server.resolve("alias.example", 80, 0, socket.SOCK_STREAM)

    assert addresses(found) == ["8.8.8.8", "2a00:1450::1"]


@pytest.mark.parametrize("name", ["absent.example", "empty.example"])
def test_no_address(server: NameServer, name: str) -> None:
    """A name that does not exist and a name without addresses are one error."""
    with pytest.raises(socket.gaierror) as caught:
        server.resolve(name, 80)

    assert caught.value.errno == socket.EAI_NONAME


def test_silence(server: NameServer) -> None:
    """Who asks waits for no longer than its patience."""
    server.patience = 0.1
    with pytest.raises(socket.gaierror) as caught:
        server.resolve("silent.example", 80)

    assert caught.value.errno == socket.EAI_AGAIN


def test_nonsense_is_not_answered(server: NameServer) -> None:
    """A message that is no question does not end the server."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for message in (b"", b"x", b"\0" * 12, b"\xff" * 40):
            client.sendto(message, server.address)

    assert addresses(server.resolve("many.example", 80))[0] == "8.8.8.8"


REAL = """\
import socket

def show(name):
    try:
        infos = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
        print(name, *sorted(info[4][0] for info in infos))
    except socket.gaierror as error:
        print(name, error.errno == socket.EAI_NONAME)

for name in ("rebind.example", "rebind.example", "many.example", "gone.example", "gone.example",
             "absent.example", "silent.example", "127.1", "localhost", "alias.example"):
    show(name)
"""


@pytest.mark.stress
@pytest.mark.long
def test_real_resolver() -> None:
    """In namespaces of its own, a process resolves names by its C library, and asks the server."""
    ran = run_with_names(REAL, NAMES)

    assert ran.output.splitlines() == [
        "rebind.example 8.8.8.8",
        "rebind.example 127.0.0.1 ::1",
        "many.example 1.1.1.1 10.0.0.1 2a00:1450::1 8.8.8.8",
        "gone.example 8.8.8.8",
        "gone.example True",
        "absent.example True",
        "silent.example False",
        "127.1 127.0.0.1",
        "localhost 127.0.0.1",
        "alias.example 2a00:1450::1 8.8.8.8",
    ]
    assert ran.asked.count(Question("rebind.example", "A")) == 2
    assert Question("localhost", "A") not in ran.asked


@pytest.mark.stress
@pytest.mark.long
def test_code_that_fails() -> None:
    """An error of the code is one of the test."""
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_with_names("1 / 0", {})
