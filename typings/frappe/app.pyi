from collections.abc import Iterable
from typing import Any

def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]: ...
