"""A name server on loopback that answers as a test tells it, and two ways to have it asked.

`NameServer.resolve()` takes the place of `socket.getaddrinfo()` in this process.
`run_with_names()` runs code in a process of its own, whose real `getaddrinfo()` asks the server.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Literal, TypeAlias

from typing_extensions import Self

ROOT = Path(__file__).parents[2]

# What a server says of a name: its addresses (none at all is an answer too), after the names that
# it is an alias of (CNAME), if any; that there is no such name; nothing, so that who asks has to
# wait.
NO_NAME: Literal["no-name"] = "no-name"
SILENCE: Literal["silence"] = "silence"
Answer: TypeAlias = Sequence[str] | Literal["no-name", "silence"]
Names: TypeAlias = Mapping[str, Sequence[Answer]]
Infos: TypeAlias = list[tuple[Any, Any, int, str, Any]]

# RFC 1035 section 3.2, RFC 3596 section 2.1.
_TYPES = {1: "A", 28: "AAAA"}
_FAMILIES = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}
_CNAME = 5
_POINTER = 0xC0  # where a name goes on elsewhere in the message: RFC 1035 section 4.1.4
_NO_SUCH_NAME = 3
_LENGTH_OF_IPV4 = 4
_LONGEST_MESSAGE = 65535

# Before a test puts something else in its place.
_real_getaddrinfo = socket.getaddrinfo


@dataclass(frozen=True)
class Question:
    """What was asked.

    Attributes:
        name: The name, in lower case and without trailing dot.
        type: `A` or `AAAA`; a number for anything else.
    """

    name: str
    type: str


class NameServer:
    """A DNS server for UDP (RFC 1035). Use it as a context manager.

    Args:
        names: For each name, what is answered to the first question for its A records, to the
            second, and so on; and in the same way for AAAA. The last answer is repeated. Other
            names do not exist.
        host: Where to listen.
        port: Where to listen; any free port by default.

    Attributes:
        asked: All questions so far.
        patience: How long `resolve()` waits for an answer, in seconds.
    """

    def __init__(self, names: Names, host: str = "127.0.0.1", port: int = 0) -> None:
        self.asked: list[Question] = []
        self.patience = 10.0
        self._names = names
        self._lock = Lock()
        self._is_closing = Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.address: tuple[str, int] = self._socket.getsockname()
        self._thread = Thread(target=self._serve, name="name server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._is_closing.set()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()

    def count(self, name: str, type: str = "A") -> int:  # noqa: A002
        """Return how often a name was asked for."""
        return self.asked.count(Question(name, type))

    def resolve(
        self,
        host: str | bytes | None,
        port: str | int | None,
        family: int = 0,
        type: int = 0,  # noqa: A002
        proto: int = 0,
        flags: int = 0,
    ) -> Infos:
        """Do what `socket.getaddrinfo()` does, but ask this server.

        A test cannot tell the real one where to ask: it reads `/etc/resolv.conf`, which has no
        ports, and belongs to the machine. So the Sender's tests put this in its place, with
        `monkeypatch.setattr(socket, "getaddrinfo", server.resolve)`. All else is real: numbers and
        `localhost` are left to the real function, names go through IDNA, and each call sends DNS
        questions and waits for the answers. `run_with_names()` shows that the real function does
        the same.

        Raises:
            gaierror: There is no such name, it has no address, or the server says nothing.
        """
        with suppress(socket.gaierror):
            numeric = flags | socket.AI_NUMERICHOST
            return _real_getaddrinfo(host, port, family, type, proto, numeric)
        assert host is not None
        name = (host if isinstance(host, bytes) else host.encode("idna")).decode().lower()
        if name == "localhost":
            return _real_getaddrinfo(host, port, family, type, proto, flags)
        found: Infos = []
        for kind, its_family in _FAMILIES.items():
            if family in {0, its_family}:
                for address in self._ask(name.removesuffix("."), kind):
                    found += _real_getaddrinfo(
                        address, port, its_family, type, proto, socket.AI_NUMERICHOST
                    )
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    def _ask(self, name: str, kind: str) -> list[str]:
        """Send a question to the server, and return the addresses in the answer."""
        deadline = time.monotonic() + self.patience
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(self.address)
            client.settimeout(0.05)
            client.send(_question(name, kind))
            while time.monotonic() < deadline and not self._is_closing.is_set():
                with suppress(TimeoutError):
                    return _addresses_in(client.recv(_LONGEST_MESSAGE))
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def _serve(self) -> None:
        while True:
            message, client = self._socket.recvfrom(_LONGEST_MESSAGE)
            if self._is_closing.is_set():
                return
            with suppress(ValueError, IndexError, struct.error):  # no question: no answer
                question, end = _read_question(message)
                answer = self._next_answer(question)
                if answer != SILENCE:
                    self._socket.sendto(_answered(message[:end], question, answer), client)

    def _next_answer(self, question: Question) -> Answer:
        with self._lock:
            place = self.asked.count(question)
            self.asked.append(question)
        answers = self._names.get(question.name, [NO_NAME])
        return answers[min(place, len(answers) - 1)]


def _labels(name: str) -> bytes:
    parts = [label.encode() for label in name.split(".")]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def _question(name: str, kind: str) -> bytes:
    number = next(number for number, its_kind in _TYPES.items() if its_kind == kind)
    head = struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, 0)  # recursion is desired
    return head + _labels(name) + struct.pack("!2H", number, 1)


def _read_question(message: bytes) -> tuple[Question, int]:
    """Return the first question of a message, and where it ends."""
    labels, at = [], 12
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length
    (number,) = struct.unpack_from("!H", message, at + 1)
    name = ".".join(labels).lower()
    return Question(name, _TYPES.get(number, str(number))), at + 5


def _answered(question: bytes, asked: Question, answer: Answer) -> bytes:
    """Return the message with an answer."""
    records: list[bytes] = []
    owner = b"\xc0\x0c"  # a pointer to the name in the question
    for each in [] if isinstance(answer, str) else answer:
        if _is_address(each):
            data = ip_address(each).packed
            kind = 1 if len(data) == _LENGTH_OF_IPV4 else 28
            if _TYPES[kind] == asked.type:
                records.append(_record(owner, kind, data))
        else:
            alias_of = _labels(each)
            records.append(_record(owner, _CNAME, alias_of))
            owner = alias_of
    flags = 0x8180 | (_NO_SUCH_NAME if answer == NO_NAME else 0)
    head = question[:2] + struct.pack("!5H", flags, 1, len(records), 0, 0)
    return head + question[12:] + b"".join(records)


def _is_address(text: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(text).packed)
    return False


def _record(owner: bytes, kind: int, data: bytes) -> bytes:
    # Type, class, no time to live, length.
    return owner + struct.pack("!2HIH", kind, 1, 0, len(data)) + data


def _addresses_in(message: bytes) -> list[str]:
    """Return the addresses in an answer of this server."""
    (records,) = struct.unpack_from("!H", message, 6)
    _, at = _read_question(message)
    found = []
    for _ in range(records):
        while 0 < message[at] < _POINTER:
            at += 1 + message[at]
        at += 2 if message[at] else 1
        kind, _, _, length = struct.unpack_from("!2HIH", message, at)
        at += 10 + length
        if kind != _CNAME:
            found.append(str(ip_address(message[at - length : at])))
    return found


# A process of its own, in which the real `getaddrinfo` asks the server.

_SERVER = ("127.0.0.53", 53)
_MOUNTS = Path("/proc/self/ns/mnt")
_FLAG_UP, _GET_FLAGS, _SET_FLAGS = 0x1, 0x8913, 0x8914  # netdevice(7)
_WITHOUT_ROOT = () if os.name != "posix" or os.getuid() == 0 else ("--map-root-user",)
_APART = ("unshare", *_WITHOUT_ROOT, "--mount", "--net")


@dataclass(frozen=True)
class Ran:
    """What code has done.

    Attributes:
        output: What it has printed.
        asked: What the name server was asked meanwhile.
    """

    output: str
    asked: list[Question]


def run_with_names(code: str, names: Names, timeout: float = 60) -> Ran:
    """Run Python code whose `socket.getaddrinfo()` is the real one, and asks a server of ours.

    The code runs in a mount namespace and a network namespace of its own. There, the file
    `/etc/resolv.conf` names the server, and there is no other network than loopback: receivers have
    to be started by the code. This needs Linux, and root or namespaces for users.

    Args:
        code: The code. It can import from `tests`.
        names: As for `NameServer`.
        timeout: How long it may take, in seconds.

    Raises:
        AssertionError: The code has failed.
    """
    mounts = str(_MOUNTS.readlink())
    options = [json.dumps(dict(names)), code, str(timeout), mounts]
    done = subprocess.run(
        [*_APART, sys.executable, "-m", __name__, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["status"] == 0, said["errors"]
    return Ran(said["output"], [Question(*each) for each in said["asked"]])


def _main(names: str, code: str, timeout: str, mounts_of_machine: str) -> None:
    """Be the first process in the namespaces."""
    assert str(_MOUNTS.readlink()) != mounts_of_machine, "this would mount files over the machine's"
    _start_loopback()
    with TemporaryDirectory() as folder, NameServer(json.loads(names), *_SERVER) as server:
        _cover(
            "/etc/resolv.conf", f"nameserver {_SERVER[0]}\noptions timeout:1 attempts:1\n", folder
        )
        _cover("/etc/nsswitch.conf", "hosts: files dns\n", folder)
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=float(timeout),
            check=False,
        )
        asked = [(each.name, each.type) for each in server.asked]
    said = {"status": done.returncode, "output": done.stdout, "errors": done.stderr, "asked": asked}
    print(json.dumps(said))  # noqa: T201


def _start_loopback() -> None:
    """Start the interface `lo`, which is down in a new namespace."""
    request = bytearray(struct.pack("16sH22x", b"lo", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        ioctl(any_socket, _GET_FLAGS, request)
        (flags,) = struct.unpack_from("H", request, 16)
        struct.pack_into("H", request, 16, flags | _FLAG_UP)
        ioctl(any_socket, _SET_FLAGS, request)


def _cover(path: str, content: str, folder: str) -> None:
    """Have a file look otherwise in this mount namespace."""
    cover = Path(folder, Path(path).name)
    cover.write_text(content, "ascii")
    subprocess.run(["mount", "--bind", cover, path], check=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
