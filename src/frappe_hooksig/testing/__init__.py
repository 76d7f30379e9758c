"""Test what you build on this package. The tests run in pytest and in unittest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frappe_hooksig.testing._captured_outbox import (
        CapturedMessage,
        CapturedOutbox,
        CapturedRequest,
    )
    from frappe_hooksig.testing._cases import HostileCase
    from frappe_hooksig.testing._deliveries import delivery
    from frappe_hooksig.testing._fake_receiver import (
        Answer,
        AnswerLike,
        FakeReceiver,
        ReceivedRequest,
    )
    from frappe_hooksig.testing._hostile import HostileOptions, hostile_requests
    from frappe_hooksig.testing._judging import (
        Judgement,
        Mistake,
        check_receiver,
        judge_receiver,
    )
    from frappe_hooksig.testing._override import Clock, fresh_store, override
    from frappe_hooksig.testing._recorded import RecordedEvent, recorded_events
    from frappe_hooksig.testing._redelivery import redeliver
    from frappe_hooksig.testing._requests import SignedRequest, signed_request
    from frappe_hooksig.testing._stores import (
        AsyncStoreConformance,
        SharedAsyncStoreConformance,
        SharedStoreConformance,
        StoreConformance,
    )

__all__ = [
    "Answer",
    "AnswerLike",
    "AsyncStoreConformance",
    "CapturedMessage",
    "CapturedOutbox",
    "CapturedRequest",
    "Clock",
    "FakeReceiver",
    "HostileCase",
    "HostileOptions",
    "Judgement",
    "Mistake",
    "ReceivedRequest",
    "RecordedEvent",
    "SharedAsyncStoreConformance",
    "SharedStoreConformance",
    "SignedRequest",
    "StoreConformance",
    "check_receiver",
    "delivery",
    "fresh_store",
    "hostile_requests",
    "judge_receiver",
    "override",
    "recorded_events",
    "redeliver",
    "signed_request",
]

# Each name is imported on first use: a test that signs a request loads no tests of stores.
_MODULES = {
    "_captured_outbox": ("CapturedMessage", "CapturedOutbox", "CapturedRequest"),
    "_cases": ("HostileCase",),
    "_deliveries": ("delivery",),
    "_fake_receiver": ("Answer", "AnswerLike", "FakeReceiver", "ReceivedRequest"),
    "_hostile": ("HostileOptions", "hostile_requests"),
    "_judging": ("Judgement", "Mistake", "check_receiver", "judge_receiver"),
    "_override": ("Clock", "fresh_store", "override"),
    "_recorded": ("RecordedEvent", "recorded_events"),
    "_redelivery": ("redeliver",),
    "_requests": ("SignedRequest", "signed_request"),
    "_stores": (
        "AsyncStoreConformance",
        "SharedAsyncStoreConformance",
        "SharedStoreConformance",
        "StoreConformance",
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # hidden, because type checkers would then accept any name in this module

    def __getattr__(name: str) -> object:
        """Import a public name on first use, and keep it in this module."""
        from importlib import import_module

        if name not in _HOMES:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
