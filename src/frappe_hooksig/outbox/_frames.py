"""Errors without the frames that they came through, whose local variables may be secret."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

_T = TypeVar("_T")
_P = ParamSpec("_P")


def without_frames(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return a function whose errors have no frames with its arguments.

    Error reporters show the local variables of every frame: a secret, a payload, a URL with a
    token.
    """

    @wraps(function)
    def inner(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        problem: Exception
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # it is raised below
            problem = error
        del args, kwargs
        raise without_traceback(problem)

    return inner


def without_traceback(problem: Exception) -> Exception:
    """Return an error whose frames are gone, and those of its causes: Django's and SQLAlchemy's.

    The context of an error is left alone: it may be what the caller is handling.
    """
    each: BaseException | None = problem
    while each is not None and each.__traceback__ is not None:
        each.__traceback__ = None
        each = each.__cause__
    return problem
