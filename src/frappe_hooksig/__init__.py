"""Sign and verify webhooks: Frappe's, ERPNext's, and those of other senders."""

from __future__ import annotations

from frappe_hooksig import providers
from frappe_hooksig.delivery import Delivery, VerifiedRequest
from frappe_hooksig.exceptions import (
    BodyTooLarge,
    ConfigurationError,
    HooksigError,
    MalformedPayload,
    PayloadError,
    RawBodyUnavailable,
    Reason,
    StoreError,
    TimestampOutOfTolerance,
    VerificationError,
)
from frappe_hooksig.one_of import OneOf
from frappe_hooksig.scheme import Scheme
from frappe_hooksig.secret import Secret, SecretWarning, generate_secret
from frappe_hooksig.sign import SignedPayload, Signer, sign_payload
from frappe_hooksig.verify import Verification, Verifier, verify_payload

__version__ = "0.1.0"

__all__ = [
    "BodyTooLarge",
    "ConfigurationError",
    "Delivery",
    "HooksigError",
    "MalformedPayload",
    "OneOf",
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
    "Verification",
    "VerificationError",
    "VerifiedRequest",
    "Verifier",
    "generate_secret",
    "providers",
    "sign_payload",
    "verify_payload",
]
