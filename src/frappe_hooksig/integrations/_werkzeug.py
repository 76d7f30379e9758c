"""Code that the Flask and Frappe adapters share: both use Werkzeug's requests."""

from __future__ import annotations

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from frappe_hooksig._headers import Environ, Headers
from frappe_hooksig.integrations._framework import Admission, Framework
from frappe_hooksig.integrations._responses import WebhookResponse
from frappe_hooksig.integrations._urls import RequestTarget, target_of_environ

# No header can have this key: WSGI prefixes the keys of headers with HTTP_.
_ADMISSION = "frappe_hooksig.admission"


class WerkzeugRequests(Framework):
    """Werkzeug's requests and responses, for the flow of a route.

    Attributes:
        response_class: The framework's own response.
    """

    response_class: type[Response] = Response

    def headers_of(self, request: Request) -> Headers:
        # Not request.headers: they search the environ once for each header.
        return Environ(request.environ)

    def target_of(self, request: Request) -> RequestTarget:
        return target_of_environ(request.environ)

    def keep(self, request: Request, admission: Admission) -> None:
        request.environ[_ADMISSION] = admission

    def status_of_error(self, error: BaseException) -> int | None:
        return error.code if isinstance(error, HTTPException) else None

    def respond(self, response: WebhookResponse) -> Response:
        answer = self.response_class(response.body, response.status, response.headers)
        if not response.body:
            del answer.headers["Content-Type"]  # Werkzeug's default
        return answer


def admission_of(request: Request) -> Admission | None:
    """Return the admission of a request, or None if it was not verified."""
    admission: Admission | None = request.environ.get(_ADMISSION)
    return admission
