from collections.abc import Callable
from typing import Any

class Signal:
    def connect(self, receiver: Callable[..., object], *, weak: bool) -> object: ...
    def send(self, sender: object, **named: Any) -> object: ...

worker_before_create_process: Signal
