"""Time and memory of `explain()` in the worst case: `python -m tests.explain.worst`.

A request of 25 MiB that nothing explains, 16 secrets, and the headers of all senders, with each
kind of scheme as the receiver's. Then the same for an ordinary request of 4 KiB.
"""

from __future__ import annotations

import base64
import json
import resource
import subprocess
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Sequence
from random import Random

from frappe_hooksig import Scheme, SecretWarning, generate_secret, providers
from frappe_hooksig.explain import explain
from tests.selection import layout, one_of_each

SIZE = 25 * 1024 * 1024  # bytes
SECRETS = 16
URL = "https://hooks.example.com/in?b=2&a=1"


def items(size: int) -> bytes:
    """Return JSON of about a size."""
    one = {"item_code": "IT-0001", "qty": 2.5, "note": "Café <b>", "at": "2026-11-22 08:00:00"}
    most = size // (len(json.dumps(one)) + 2) - 1
    return json.dumps({"modified": "2026-11-22 08:00:00.123456", "items": [one] * most}).encode()


BODIES: dict[str, Callable[[int], bytes]] = {
    "json": items,
    "lines": lambda size: b"\r\n" * (size // 2),
    "digits": lambda size: b"0" * size,
    "gzip": lambda size: zlib.compress(b"1" * size, wbits=31),
    "text": lambda size: ("\U0001f680" * (size // 4)).encode(),
}


def headers_of(schemes: Sequence[Scheme], chance: Random) -> list[tuple[str, str]]:
    """Return signature headers of all schemes, with signatures that nobody made."""
    names = dict.fromkeys(name for each in schemes for name in each.signature_headers)
    digests = [chance.randbytes(size) for size in (16, 20, 32, 48, 64)]
    found = [(name, f"t=1700000000,v1={digests[2].hex()}") for name in names]
    found += [("X-Signature", each.hex()) for each in digests]
    return [*found, ("Date", "Sun, 22 Nov 2026 08:00:00 GMT"), ("Host", "internal:8000")]


def measured(name: str, kind: str, size: int, secrets: int) -> dict[str, object]:
    """Explain one request in this process. Return the figures."""
    warnings.simplefilter("ignore", SecretWarning)
    chance = Random(1)
    scheme = providers.get(name)
    several = [generate_secret(scheme.secret_format) for _ in range(secrets)]
    if size == SIZE:
        headers = headers_of([*map(providers.get, providers.names())], chance)
    else:
        signature = base64.b64encode(chance.randbytes(32)).decode()
        headers = [(scheme.signature_headers[0], signature), ("Host", "hooks.example.com")]
    url = URL if scheme.signs_url else None
    body = BODIES[kind](size)
    wall, worked = time.perf_counter(), time.process_time()
    found = explain(body, headers, several, scheme=scheme, method="POST", url=url)
    return {
        "verdict": found.verdict,
        "wall s": round(time.perf_counter() - wall, 3),
        "CPU s": round(time.process_time() - worked, 3),
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "untried": found.untried,
    }


def main(arguments: Sequence[str]) -> int:
    """Measure each case in a process of its own, and print a line for it."""
    if arguments:
        name, kind, size, secrets = arguments
        sys.stdout.write(json.dumps(measured(name, kind, int(size), int(secrets))) + "\n")
        return 0
    kinds = one_of_each(map(providers.get, providers.names()), layout)
    cases = [(each.name, "json", SIZE, SECRETS) for each in kinds]
    cases += [("frappe", kind, SIZE, SECRETS) for kind in BODIES]
    cases += [(each.name, "json", 4096, 1) for each in kinds]
    for case in cases:
        command = [sys.executable, "-m", "tests.explain.worst", *map(str, case)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        sys.stdout.write(f"{case[0]:<20} {case[1]:<7} {case[2]:>9} {output}")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
