"""Take the pictures of the page that the documentation shows.

Run it with `python -m tests.delivery_service.screenshots`; another folder can be named. Each
picture has a palette, so that it is small.
"""

from __future__ import annotations

import struct
import sys
import tempfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Final

from delivery_service.account import NewMessage

from frappe_hooksig.sending import RetrySchedule
from frappe_hooksig.testing import Answer, FakeReceiver
from tests.delivery_service.pages.browser import PHONE, Browser, browser
from tests.delivery_service.pages.visiting import email_of
from tests.delivery_service.running import Service, running
from tests.loopback import ROOT

IMAGES: Final = ROOT / "docs" / "images"
WINDOW: Final = (1120, 700)
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOURS: Final = 256
_QUICK: Final = RetrySchedule((0.1, 3600.0))
_PAYLOAD: Final = {"invoice": "INV-0042", "customer": "Acme", "total": "118.00"}


def main() -> None:
    """Take the pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    folder.mkdir(parents=True, exist_ok=True)
    answers = [Answer(503, b'{"error": "maintenance until 10:30"}')]
    with (
        tempfile.TemporaryDirectory() as files,
        running(Path(files)) as service,
        FakeReceiver() as shop,
        FakeReceiver(answers) as books,
        browser(Path(files) / "browser") as window,
    ):
        paths = _fill(service, shop.url, books.url)
        window.resize(WINDOW)
        window.log_in(service.url, email_of(paths["tenant"]))
        for name, path, size in (
            ("endpoints", "/endpoints", WINDOW),
            ("deliveries", "/deliveries", WINDOW),
            ("delivery", paths["delivery"], (WINDOW[0], 960)),
            ("phone", "/deliveries", PHONE),
        ):
            window.resize(size)
            window.open(service.url + path)
            _keep(window, folder / f"delivery-service-{name}.png")


def _fill(service: Service, shop: str, books: str) -> dict[str, str]:
    """Send messages to endpoints of which one fails; return the tenant and a path."""
    tenant = service.tenant()
    account = service.state.account(tenant)
    service.endpoint(tenant, f"{shop}webhooks", description="Shop")
    failing = service.endpoint(
        tenant,
        f"{books}hooks/erp",
        description="Bookkeeping",
        event_types=["invoice.*"],
        schedule=_QUICK,
    )
    moving = service.endpoint(
        tenant, "https://hooks.example/orders", description="Warehouse", event_types=["order.*"]
    )
    account.pause(moving, "they move to another server until Friday")
    for event_type in ("invoice.paid", "order.made", "customer.created", "invoice.paid") * 3:
        account.publish([NewMessage(event_type=event_type, payload=_PAYLOAD)])
        service.state.outbox.drain(linger=1)
    delivery = account.deliveries(endpoint=failing)[-1]
    return {"tenant": tenant, "delivery": f"/deliveries/{delivery.id}"}


def _keep(window: Browser, path: Path) -> None:
    window.driver.execute_script("document.documentElement.style.overflow = 'hidden'")
    path.write_bytes(with_palette(window.driver.get_screenshot_as_png()))


def with_palette(png: bytes) -> bytes:
    """Return a picture with 8 bits for each pixel instead of 24."""
    width, height, pixels = _pixels(png)
    palette = [each for each, _ in Counter(pixels).most_common(_COLOURS)]
    place = {colour: number for number, colour in enumerate(palette)}
    for colour in {*pixels} - place.keys():
        place[colour] = min(range(len(palette)), key=lambda n: _distance(palette[n], colour))
    rows = b"".join(
        b"\0" + bytes(place[each] for each in pixels[start : start + width])
        for start in range(0, width * height, width)
    )
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", b"".join(palette)),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def _pixels(png: bytes) -> tuple[int, int, list[bytes]]:
    """Return the width, the height and the colours of a picture that Chromium has taken."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind) in {(8, 2), (8, 6)}, (depth, kind)
    size = 3 if kind == 2 else 4
    data, place = b"", 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += length + 12
    raw = zlib.decompress(data)
    line = width * size
    before, pixels = bytearray(line), list[bytes]()
    for start in range(0, len(raw), line + 1):
        row = bytearray(raw[start + 1 : start + 1 + line])
        _unfilter(raw[start], row, before, size)
        pixels += [bytes(row[each : each + 3]) for each in range(0, line, size)]
        before = row
    return width, height, pixels


def _unfilter(kind: int, row: bytearray, above: bytearray, size: int) -> None:
    """Undo what a filter of PNG has done to a row, in its place."""
    for place in range(len(row)):
        left = row[place - size] if place >= size else 0
        corner = above[place - size] if place >= size else 0
        up = above[place]
        nearest = min((left, up, corner), key=lambda each: abs(left + up - corner - each))
        row[place] = (row[place] + (0, left, up, (left + up) // 2, nearest)[kind]) & 255


if __name__ == "__main__":
    main()
