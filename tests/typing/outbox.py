"""What type checkers make of an outbox."""

from __future__ import annotations

from typing_extensions import assert_type

from frappe_hooksig import UnknownRecord, providers
from frappe_hooksig.outbox import DeliveryRecord, Endpoint, Message, Outbox
from frappe_hooksig.sending import QUICK

outbox = Outbox("outbox.db")
endpoint = outbox.change_endpoint("ep_1", tenant="acme", url="https://a.example/", rate=None)
assert_type(endpoint, Endpoint)
outbox.change_endpoint("ep_1", scheme=providers.GITHUB, order="key", schedule=QUICK)
assert_type(outbox.messages(event_types="invoice.*", before="msg_1"), list[Message])
assert_type(outbox.payload("msg_1", tenant="acme"), bytes)
assert_type(outbox.delivery(1), DeliveryRecord)
assert_type(outbox.endpoints(after="ep_1", limit=10), list[Endpoint])

try:
    outbox.numbers(endpoint="ep_1")
except UnknownRecord as error:
    assert_type(error.id, object)

outbox.change_endpoint("ep_1", state="paused")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
outbox.change_endpoint("ep_1", order="fifo")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
outbox.change_endpoint("ep_1", rate="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
outbox.delivery("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
