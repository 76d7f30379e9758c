"""What servers and frameworks keep headers in, made from (name, value) pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.message import Message
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from frappe_hooksig._headers import Environ
from fuzz.dice import Dice
from fuzz.oracle import Pairs

#: Those that cannot be tried here, because their framework is not installed.
MISSING = tuple(name for name in ("starlette", "werkzeug") if find_spec(name) is None)

_WERKZEUG: Any = None if "werkzeug" in MISSING else import_module("werkzeug.datastructures")
_STARLETTE: Any = None if "starlette" in MISSING else import_module("starlette.datastructures")


class _Subclass(dict[str, object]):
    """A dict that is not a plain one."""


class _Multi:
    """Headers with a way to ask for all values, as several frameworks have them."""

    def __init__(self, pairs: Pairs) -> None:
        self._values: dict[str, list[object]] = {}
        for name, value in _present(pairs):
            # As the wire has it: names of ASCII, in any case.
            key = name.lower() if name.isascii() else name
            self._values.setdefault(key, []).append(value)

    def get(self, name: str) -> object:
        """Return the first value."""
        return (self._values.get(name.lower()) or [None])[0]

    def getlist(self, name: str) -> list[object]:
        """Return all values."""
        return self._values.get(name.lower(), [])


def _bytes_pairs(pairs: Pairs) -> list[tuple[bytes, Any]]:
    return [(_raw(name), _raw(value) if isinstance(value, str) else value) for name, value in pairs]


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _latin(name: str) -> str:
    """Return a name as servers do that read it byte for byte."""
    return name if name.isascii() else _raw(name).decode("latin-1")


def _generator(pairs: Pairs) -> Iterator[tuple[str, object]]:
    return iter(list(pairs))


def _message(pairs: Pairs) -> Any:
    message: Any = Message()
    for name, value in _present(pairs):
        message[_latin(name)] = value
    return message


def _texts(pairs: Pairs) -> Iterator[tuple[str, str]]:
    """Yield the pairs as far as they can come over a wire."""
    for name, value in _present(pairs):
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        yield _latin(name), text if isinstance(text, str) else "\0"


def _present(pairs: Pairs) -> Iterator[tuple[str, object]]:
    """Yield the pairs without None, which dicts of some servers hold, but nothing that reads."""
    return ((name, value) for name, value in pairs if value is not None)


def _werkzeug(pairs: Pairs) -> Any:
    try:
        return _WERKZEUG.Headers(list(_texts(pairs)))
    except ValueError:  # a line break, which no server lets through
        return list(pairs)


def _scope(pairs: Pairs) -> Any:
    """Return what an ASGI server hands over."""
    return [(_raw(name).lower(), _raw(text)) for name, text in _texts(pairs)]


def _environ(pairs: Pairs) -> dict[str, str]:
    """Return what a WSGI server hands over, where doubled headers are joined."""
    environ: dict[str, str] = {}
    for name, text in _texts(pairs):
        if "_" not in name and name.isascii():  # servers drop them: they would look like others
            key = f"HTTP_{name.upper().replace('-', '_')}"
            environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ


def _lists(pairs: Pairs) -> dict[str, list[object]]:
    """Return what AWS hands over."""
    found: dict[str, list[object]] = {}
    for name, value in _present(pairs):
        found.setdefault(name, []).append(value)
    return found


def _starlette(pairs: Pairs) -> Any:
    return _STARLETTE.Headers(raw=_scope(pairs))


_CARRIERS: dict[str, Callable[[Pairs], Any]] = {
    "dict": dict,
    "dict subclass": _Subclass,
    "str pairs": list,
    "bytes pairs": _bytes_pairs,
    "generator": _generator,
    "mapping proxy": lambda pairs: MappingProxyType(dict(pairs)),
    "email message": _message,
    "getlist": _Multi,
    "werkzeug": _werkzeug,
    "werkzeug environ": lambda pairs: _WERKZEUG.EnvironHeaders(_environ(pairs)),
    "starlette": _starlette,
    "scope": _scope,
    "environ": lambda pairs: Environ(_environ(pairs)),
    "whole environ": lambda pairs: {"wsgi.multithread": False, **_environ(pairs)},
    "lists": _lists,
}

#: How to make each that can be tried here, by name.
CARRIERS = {name: make for name, make in _CARRIERS.items() if name.split()[0] not in MISSING}

# What goes the short way more often: it costs little.
_DRAWN = (*_CARRIERS, *["dict"] * 4, *["scope", "environ"] * 2)


def drawn(dice: Dice) -> str:
    """Return the name of a carrier; what is not installed is drawn too, so that cases stay."""
    name = dice.pick(_DRAWN)
    return name if name in CARRIERS else "str pairs"
