"""A process that sends to each special address, and tells what it looks up and connects to.

`python -m tests.sending.watched` asks a name server of its own. In `run_with_names()`, the real
resolver is asked: `from tests.sending.watched import main; main(is_real=True)`. An audit hook sees
all connections of a process and cannot be removed from it, so this is no test by itself.
"""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from threading import Thread
from typing import Any

from frappe_hooksig.sending import AddressGuard, Sender
from tests.sending.addresses import (
    NAMES,
    SPECIAL_IPV4,
    SPECIAL_IPV6,
    SPELLINGS,
    Spelling,
    containers_of_ipv4,
    spellings_of_ipv4,
    spellings_of_ipv6,
)
from tests.sending.name_server import Names, NameServer
from tests.sending.servers import SECRET

LOOPBACK = ("127.0.0.1", "::1")
#: What a name server has to answer for `all_spellings()`.
ANSWERS: Names = {name: [[address]] for name, address in NAMES.items()}

_HOST = re.compile(r"(\w+://(?:\[[^]]*\]|[^:/?#]*))(?::\d+)?")
_LOOKS_UP = {"socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}


@dataclass(frozen=True)
class Seen:
    """What came of a URL.

    Attributes:
        url: The URL.
        leads_to: The address that it leads to, or `BAD`.
        name: The name that a name server knows; empty if it is not asked.
        outcome: The outcome of the attempt.
        reason: Its reason.
        looked_up: The hosts that were looked up.
        connected_to: The addresses that were connected to.
    """

    url: str
    leads_to: str
    name: str
    outcome: str
    reason: str
    looked_up: list[str]
    connected_to: list[str]


@dataclass(frozen=True)
class Report:
    """What came of all URLs.

    Attributes:
        guarded: With the default guard.
        allowed: With one that allows loopback, for those that lead to a listener there.
        accepted: How many connections the listeners had with the first guard, and with the second.
    """

    guarded: list[Seen]
    allowed: list[Seen]
    accepted: tuple[int, int]

    @classmethod
    def read(cls, output: str) -> Report:
        """Read what the process has printed."""
        found = json.loads(output)
        guarded, allowed = ([Seen(**each) for each in found[key]] for key in ("guarded", "allowed"))
        first, second = found["accepted"]
        return cls(guarded, allowed, (first, second))


def all_spellings(port: int) -> Iterator[Spelling]:
    """Yield all ways to write all special addresses, those of loopback with a port besides."""
    for each in (*SPELLINGS, *_more_spellings()):
        yield each
        if each.leads_to in LOOPBACK:
            url = _HOST.sub(rf"\1:{port}", each.url, count=1)
            yield Spelling(url, each.leads_to, each.name)


def _more_spellings() -> Iterator[Spelling]:
    for address in SPECIAL_IPV4:
        for host in spellings_of_ipv4(address):
            yield Spelling(f"http://{host}/", address)
        for container in containers_of_ipv4(address):
            yield Spelling(f"https://[{container}]/", container)
    for address in SPECIAL_IPV6:
        for host in spellings_of_ipv6(address):
            yield Spelling(f"http://{host}/", address)


class _Listeners:
    """Servers on loopback that hang up.

    Attributes:
        port: Where each of them listens.
        hosts: Their addresses; a machine may have no IPv6.
        accepted: How many connections there were.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self.port = 0
        self.hosts: list[str] = []
        for host, family in zip(LOOPBACK, (socket.AF_INET, socket.AF_INET6), strict=True):
            with suppress(OSError):
                listener = socket.create_server((host, self.port), family=family)
                self.port = listener.getsockname()[1]
                self.hosts.append(host)
                Thread(target=self._serve, args=(listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            self.accepted += 1
            connection.close()


class _Watch:
    """What happens in this process.

    Attributes:
        looked_up: The hosts that were looked up.
        connected_to: The addresses that a stream was connected to, or something was sent to.
    """

    def __init__(self, resolve: Any) -> None:
        self.looked_up: list[str] = []
        self.connected_to: list[str] = []
        self._resolve = resolve
        sys.addaudithook(self._see)
        socket.getaddrinfo = self._look_up  # type: ignore[assignment]

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            if arguments[0].type != socket.SOCK_DGRAM:  # questions to the name server
                self.connected_to.append(str(arguments[1][0]))
                if arguments[1][0] not in LOOPBACK:
                    msg = "a test reaches out to nobody"
                    raise ConnectionRefusedError(msg)
        elif event in _LOOKS_UP:
            self.looked_up.append(str(arguments[0]))

    def _look_up(self, host: str, *arguments: Any, **options: Any) -> Any:
        self.looked_up.append(host)
        return self._resolve(host, *arguments, **options)

    def send(self, sender: Sender, each: Spelling) -> Seen:
        """Send to a URL."""
        self.looked_up, self.connected_to = [], []
        attempt = sender.send(each.url, {})
        looked_up, connected_to = self.looked_up, self.connected_to
        return Seen(
            **asdict(each),
            outcome=attempt.outcome,
            reason=attempt.reason,
            looked_up=looked_up,
            connected_to=connected_to,
        )


def main(*, is_real: bool = False) -> None:
    """Print a report as JSON."""
    listeners = _Listeners()
    spellings = [*all_spellings(listeners.port)]
    port = f":{listeners.port}"
    there = [each for each in spellings if port in each.url and each.leads_to in listeners.hosts]
    with ExitStack() as stack:
        resolve: Any = socket.getaddrinfo
        if not is_real:
            resolve = stack.enter_context(NameServer(ANSWERS)).resolve
        watch = _Watch(resolve)
        guarded = [watch.send(Sender(SECRET, observe=[]), each) for each in spellings]
        first = listeners.accepted
        guard = AddressGuard(LOOPBACK)
        allowed = [watch.send(Sender(SECRET, guard=guard, observe=[]), each) for each in there]
    report = Report(guarded, allowed, (first, listeners.accepted - first))
    print(json.dumps(asdict(report)))  # noqa: T201


if __name__ == "__main__":
    main()
