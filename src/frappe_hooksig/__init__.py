"""Sign and verify webhooks of Frappe, ERPNext and other senders."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frappe_hooksig import providers
    from frappe_hooksig.delivery import Delivery, VerifiedRequest
    from frappe_hooksig.exceptions import (
        BodyTooLarge,
        ConfigurationError,
        EndpointNotActive,
        HooksigError,
        IdempotencyConflict,
        MalformedPayload,
        PayloadError,
        RawBodyUnavailable,
        Reason,
        SecretWarning,
        StoreError,
        TimestampOutOfTolerance,
        UnknownRecord,
        VerificationError,
    )
    from frappe_hooksig.multi import MultiVerifier
    from frappe_hooksig.scheme import Scheme
    from frappe_hooksig.secret import Secret, generate_secret
    from frappe_hooksig.sign import SignedPayload, Signer, sign_payload
    from frappe_hooksig.streaming import Verification
    from frappe_hooksig.verify import Verifier, verify_payload

__version__ = "0.1.0"

__all__ = [
    "BodyTooLarge",
    "ConfigurationError",
    "Delivery",
    "EndpointNotActive",
    "HooksigError",
    "IdempotencyConflict",
    "MalformedPayload",
    "MultiVerifier",
    "PayloadError",
    "RawBodyUnavailable",
    "Reason",
    "Scheme",
    "Secret",
    "SecretWarning",
    "SignedPayload",
    "Signer",
    "StoreError",
    "TimestampOutOfTolerance",
    "UnknownRecord",
    "Verification",
    "VerificationError",
    "VerifiedRequest",
    "Verifier",
    "generate_secret",
    "providers",
    "sign_payload",
    "verify_payload",
]

# Each name is imported on first use. A program that only verifies loads no signing code, one that
# only signs loads no verifying code, and neither loads all providers.
_MODULES = {
    "delivery": ("Delivery", "VerifiedRequest"),
    "multi": ("MultiVerifier",),
    "scheme": ("Scheme",),
    "secret": ("Secret", "generate_secret"),
    "sign": ("SignedPayload", "Signer", "sign_payload"),
    "streaming": ("Verification",),
    "verify": ("Verifier", "verify_payload"),
}
# Its own modules, as `frappe_hooksig.exceptions` after a plain `import frappe_hooksig`.
_SUBMODULES = {*_MODULES, "exceptions", "explain", "freshness", "observe", "providers", "replay"}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # hidden, because type checkers would then accept any name in this module

    def __getattr__(name: str) -> object:
        """Import a public name on first use, and keep it in this module."""
        from importlib import import_module

        if name in _SUBMODULES:
            return import_module(f"frappe_hooksig.{name}")
        if name not in __all__:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        module = import_module(f"frappe_hooksig.{_HOMES.get(name, 'exceptions')}")
        value: object = getattr(module, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
