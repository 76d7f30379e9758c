"""Frappe's exceptions, each with the status that it is answered with; any other is a 500."""

from __future__ import annotations

from werkzeug.exceptions import NotFound


class ValidationError(Exception):
    http_status_code = 417


class FrappeTypeError(TypeError):
    http_status_code = 417


class AuthenticationError(Exception):
    http_status_code = 401


class SessionExpired(Exception):
    http_status_code = 401


class PermissionError(Exception):
    http_status_code = 403


class CSRFTokenError(Exception):
    http_status_code = 400


class InvalidAuthorizationToken(CSRFTokenError):
    pass


class TooManyRequestsError(Exception):
    http_status_code = 429


class DoesNotExistError(ValidationError):
    http_status_code = 404


class RateLimitExceededError(ValidationError):
    http_status_code = 429


class InvalidSignatureError(ValidationError):
    pass


class IncorrectSitePath(NotFound):
    pass


class DuplicateEntryError(Exception):
    http_status_code = 409


class RetryBackgroundJobError(Exception):
    pass
