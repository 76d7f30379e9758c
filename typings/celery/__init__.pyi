# What this package and its tests use of Celery, which has no types.
from collections.abc import Callable, Mapping
from typing import Any

class Signature: ...

class Task:
    name: str
    acks_late: bool
    ignore_result: bool
    time_limit: float | None
    def apply_async(
        self, args: tuple[Any, ...] | None = None, *, retry: bool = ..., **options: Any
    ) -> object: ...
    def s(self) -> Signature: ...

class Celery:
    conf: Any
    tasks: Mapping[str, Task]
    def __init__(
        self, main: str | None = None, *, broker: str | None = None, **options: Any
    ) -> None: ...
    def send_task(self, name: str, **options: Any) -> object: ...
    def task(self, *, name: str, **options: Any) -> Callable[[Callable[[], object]], Task]: ...
    def signature(self, name: str, *, options: Mapping[str, Any]) -> Signature: ...
    def add_periodic_task(
        self, schedule: float, sig: Signature, *, name: str, **options: Any
    ) -> str: ...
