"""Headers that tell browsers what a page may do, and the host that requests must name."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delivery_service.problems import Problem, response_of
from delivery_service.settings import Settings

# Everything comes from this origin, and nothing inline: what a receiver answered is text even if
# the escaping of a template failed.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_YEAR: Final = 31_536_000  # seconds
#: Supervisors ask these by whatever name they know.
ANY_HOST: Final = ("/health", "/ready", "/metrics")


class SecurityHeaders:
    """Add the headers to every answer, and refuse requests for another host.

    A name of somebody else that leads to this server would otherwise let their page read answers
    (DNS rebinding).

    Args:
        app: The app behind it.
        settings: Their `public_url` says which host.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._host = settings.host
        self._wrong_host = (
            f"send requests to {settings.public_url}, which DELIVERY_SERVICE_PUBLIC_URL names"
        )
        self._headers = dict(_HEADERS)
        if settings.is_https:
            self._headers["Strict-Transport-Security"] = f"max-age={_YEAR}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                if "cache-control" not in headers:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        host = Headers(scope=scope).get("host", "").rpartition("@")[2]
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if name.lower().strip("[]") != self._host.strip("[]") and scope["path"] not in ANY_HOST:
            problem = Problem(421, "wrong-host", self._wrong_host)
            await response_of(problem)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)
