"""From Frappe 15 on, arguments are converted to what a whitelisted method is annotated with."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ForwardRef, Union

from pydantic import ConfigDict, TypeAdapter, ValidationError

import frappe


def validate_argument_types(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if frappe.request:
            kwargs |= {
                name: converted(name, kwargs[name], annotation, fn)
                for name, annotation in fn.__annotations__.items()
                # Under `from __future__ import annotations` they are strings, which say nothing.
                if name in kwargs and not isinstance(annotation, (str, ForwardRef))
            }
        return fn(*args, **kwargs)

    return wrapper


def converted(name: str, value: Any, annotation: Any, fn: Callable[..., Any]) -> Any:
    """Return an argument as its annotation or the type of its default wants it."""
    default = inspect.signature(fn).parameters[name].default
    if default is not inspect.Parameter.empty:
        annotation = Union[annotation, type(default)]  # noqa: UP007
    adapter: TypeAdapter[Any] = TypeAdapter(
        annotation, config=ConfigDict(arbitrary_types_allowed=True)
    )
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        msg = f"{name!r} is of another type than {annotation}"
        raise frappe.FrappeTypeError(msg) from error
