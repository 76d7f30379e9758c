"""Look up the addresses of a host, within a deadline.

`socket.getaddrinfo()` has no time limit: a name server that keeps silent holds it for half a
minute. So it runs in a thread that is left behind when the deadline has passed.
"""

from __future__ import annotations

import os
import socket
from concurrent.futures import Future, wait
from ipaddress import ip_address
from threading import Condition, Thread
from typing import Any, NamedTuple

from frappe_hooksig.sending._deadline import Deadline

# How many look-ups may run at once. A name that hangs occupies one for as long as its name server
# keeps silent. So names of one domain have a few of them only, and leave the others to the rest.
_MOST = 64
_MOST_OF_DOMAIN = 8


class Address(NamedTuple):
    """An address to connect to.

    Attributes:
        family: Its family, such as `socket.AF_INET`.
        sockaddr: What `socket.connect()` takes.
    """

    family: int
    sockaddr: tuple[Any, ...]

    @property
    def text(self) -> str:
        """The address without its port."""
        return str(self.sockaddr[0])


def look_up(host: str, port: int, deadline: Deadline) -> list[Address]:
    """Return the addresses of a host, each once.

    Args:
        host: A name, or an address without brackets.
        port: The port to connect to.
        deadline: When to give up.

    Raises:
        OSError: The host has no address; a `TimeoutError` if it was not found in time.
        UnicodeError: No host can have this name.
    """
    try:
        version = ip_address(host).version
    except ValueError:
        # A forked process has no threads of its parent, and a lock of the parent may be taken.
        process = os.getpid()
        running = _running.get(process) or _running.setdefault(process, _LookUps())
        return running.find(host, port, deadline)
    family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004
    return [Address(family, (host, port))]


class _LookUps:
    """The look-ups that run in one process. Callers that ask for the same name share one."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, int], Future[list[Address]]] = {}
        self._changed = Condition()

    def find(self, host: str, port: int, deadline: Deadline) -> list[Address]:
        """See `look_up()`."""
        key = (host, port)
        with self._changed:
            while (found := self._running.get(key)) is None and not self._has_room(host):
                self._changed.wait(deadline.left())
            if found is None:
                found = Future[list[Address]]()
                name = "frappe_hooksig look-up"
                thread = Thread(target=self._run, args=(key, found), name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # this process has as many threads as it may
                    raise OSError(None, "no thread can be started") from error
                self._running[key] = found
        wait([found], deadline.left())
        if not found.done():
            raise TimeoutError
        return found.result()

    def _has_room(self, host: str) -> bool:
        domain = _domain_of(host)
        same = sum(_domain_of(name) == domain for name, _ in self._running)
        return len(self._running) < _MOST and same < _MOST_OF_DOMAIN

    def _run(self, key: tuple[str, int], found: Future[list[Address]]) -> None:
        try:
            several = socket.getaddrinfo(*key, type=socket.SOCK_STREAM)
            addresses = [Address(family, sockaddr) for family, _, _, _, sockaddr in several]
            result, problem = list(dict.fromkeys(addresses)), None
        except (OSError, UnicodeError) as error:
            result, problem = [], error
        with self._changed:
            del self._running[key]
            self._changed.notify_all()
        if problem is None:
            found.set_result(result)
        else:
            found.set_exception(problem)


def _domain_of(host: str) -> tuple[str, ...]:
    return tuple(host.split(".")[-2:])


# By the id of the process.
_running: dict[int, _LookUps] = {}
