"""How much a stranger may ask for: sizes of bodies, and how often."""

from __future__ import annotations

import hashlib
import math
import time
from typing import Final

from limits import (
    RateLimitItem,
    RateLimitItemPerDay,
    RateLimitItemPerHour,
    RateLimitItemPerMinute,
)
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from delivery_service.problems import Problem, response_of
from delivery_service.settings import Settings


class Limits:
    """Counts requests of API keys, logins, and uses of a form."""

    def __init__(self, settings: Settings) -> None:
        storage = storage_from_string(settings.limits_url.get_secret_value(), wrap_exceptions=True)
        self._known = MovingWindowRateLimiter(storage)
        # Memory keeps the name of each moving window for ever, and these names strangers choose.
        self._chosen = FixedWindowRateLimiter(storage)
        self._requests = RateLimitItemPerMinute(settings.requests_per_minute)
        self._logins = RateLimitItemPerHour(settings.logins_per_hour)

    def count_request(self, key_id: str) -> None:
        """Count a request of an API key.

        Raises:
            Problem: It has made too many.
        """
        self._hit(self._known, self._requests, "key", key_id)

    def count_login(self, email: str, address: str, device: str | None) -> None:
        """Count a login before its password is checked, so that many at once are counted, too.

        Args:
            email: The account, whether there is one or not.
            address: Where it comes from.
            device: The browser, if somebody has logged in to the account there before. Then only
                its own logins count: no stranger can lock it out.

        Raises:
            Problem: There were too many.
        """
        strangers = (("address", address), _account(email))
        for kind, name in strangers if device is None else (("device", device),):
            self._hit(self._chosen, self._logins, "login", kind, _name(name))

    def forget_logins(self, email: str, device: str | None) -> None:
        """Begin to count anew for an account, after a right password.

        Its address keeps its count: otherwise, whoever has an account could guess other passwords
        for ever.
        """
        kind, name = _account(email) if device is None else ("device", device)
        self._chosen.clear(self._logins, "login", kind, _name(name))

    def is_first_use(self, form_id: str, person_id: int) -> bool:
        """Whether a form has not been sent before: by a second click, or when a page reloads.

        Raises:
            Problem: The person has sent too many: each is remembered for a day.
        """
        self._hit(self._known, _FORMS, "forms", str(person_id))
        return self._chosen.hit(_ONCE, "form", _name(form_id))

    def _hit(self, limiter: RateLimiter, item: RateLimitItem, *names: str) -> None:
        if limiter.hit(item, *names):
            return
        stats = limiter.get_window_stats(item, *names)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        raise Problem(
            429,
            "too-many-requests",
            f"too many requests; try again in {seconds} s",
            headers={"Retry-After": str(seconds)},
        )


_ONCE: Final = RateLimitItemPerDay(1)
_FORMS: Final = RateLimitItemPerHour(200)


def _account(email: str) -> tuple[str, str]:
    return "account", email.casefold()


def _name(text: str) -> str:
    # What a stranger typed is as long as they like.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


_TOO_LARGE: Final = "the body has more than {} bytes (DELIVERY_SERVICE_MAX_BODY)"


class BodyLimit:
    """Refuse bodies that are too large, before they are in memory.

    Args:
        app: The app behind it.
        most: The largest body, in bytes.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless its body is too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        problem = Problem(413, "too-large", _TOO_LARGE.format(self._most))
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if any(each.isdigit() and int(each[:20]) > self._most for each in lengths):
            await response_of(problem)(scope, receive, send)
            return
        length = 0

        async def counted() -> Message:
            nonlocal length
            message = await receive()
            length += len(message.get("body", b""))
            if length > self._most:
                raise problem
            return message

        await self._app(scope, counted, send)
