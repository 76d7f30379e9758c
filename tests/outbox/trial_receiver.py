"""A receiver in a process of its own, which does what its path says: `/hang/3`, `/ok/7`.

What it does at the first part of a path can be changed while it runs (PUT /modes), and what it has
got can be asked for (GET /seen).
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import Any, Final

from frappe_hooksig import Verifier
from frappe_hooksig.exceptions import VerificationError
from frappe_hooksig.providers import STANDARD_WEBHOOKS
from tests.senders import SECRETS

_MODES: Final[dict[str, dict[str, float]]] = {
    "ok": {},
    "hang": {"delay": 20.0},
    "error": {"status": 500},
}
_verifier: Final = Verifier(SECRETS["whsec"], scheme=STANDARD_WEBHOOKS)
_timeless: Final = Verifier(SECRETS["whsec"], scheme=STANDARD_WEBHOOKS, tolerance=86_400)
_seen: Final[list[dict[str, Any]]] = []
_in_flight: Final[Counter[str]] = Counter()


async def _handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split(" ")
            headers = dict(each.split(": ", 1) for each in lines[1:] if each)
            headers = {name.lower(): value for name, value in headers.items()}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            status, answer = await _answered(method, path, headers, body)
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(answer)))
            writer.write(answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _answered(
    method: str, path: str, headers: dict[str, str], body: bytes
) -> tuple[int, bytes]:
    at = time.time()
    if method == "PUT":
        _MODES.update(json.loads(body))
        return 200, b""
    if method == "GET":
        return 200, json.dumps(_seen).encode()
    mode = _MODES[path.split("/")[1]]
    status = int(mode.get("status", 200))
    try:
        (_timeless if mode.get("timeless") else _verifier).verify(body, headers)
    except VerificationError:
        status = 400
    if random.random() < mode.get("fails", 0.0):
        status = 503
    _in_flight[path] += 1
    request = {
        "path": path,
        "id": headers["webhook-id"],
        "at": at,
        "beside": _in_flight[path],
        "signed": int(headers["webhook-timestamp"]),
        "body": body.decode(),
        "status": status,
    }
    _seen.append(request)
    try:
        await asyncio.sleep(mode.get("delay", 0.0))
    finally:
        _in_flight[path] -= 1
    return status, b""


async def _serve() -> None:
    server = await asyncio.start_server(_handle, "127.0.0.1", 0, backlog=1000)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
