"""`ExplainToLog`: says in the log why a signature does not match, while you develop."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from frappe_hooksig._keys import redacted
from frappe_hooksig.exceptions import ConfigurationError, Reason
from frappe_hooksig.observe._event import Event
from frappe_hooksig.observe._raw import RawObserver, RawRequest

if TYPE_CHECKING:
    from frappe_hooksig.explain import Explanation
    from frappe_hooksig.secret import Secrets

_log = logging.getLogger("frappe_hooksig")

_REASONS = {reason.value for reason in Reason} - {Reason.BODY_TOO_LARGE.value}


class ExplainToLog(RawObserver):
    """Explains refused requests in the log, while you develop.

    Pass it in `observe=`, beside `log`. It explains one request at a time, in a thread of its own,
    for half a second at most; requests that come meanwhile get no explanation. Do not use it in
    production: half a second of computing for each refused request is much.

    Args:
        secret: The secret that the sender should use, or several. The route never shows its own.
        also: Other secrets that may have signed, such as those of other webhooks.

    Raises:
        ConfigurationError: A secret is missing.
    """

    max_body = 1_048_576
    backlog = 1
    is_awaited = False

    def __init__(self, secret: Secrets, *, also: Secrets = ()) -> None:
        from frappe_hooksig.explain import explain

        self._explain = explain
        self._secrets = redacted(secret)
        self._others = redacted(also)
        del secret, also  # error reporters show the local variables of every frame
        if not self._secrets:
            msg = "ExplainToLog needs the secret that the sender should use"
            raise ConfigurationError(msg)

    def _take(self, event: Event, request: RawRequest) -> None:
        """Explain a request, and write one line about it."""
        if event.reason not in _REASONS:
            return
        explanation = self._explain(
            request.body,
            request.headers,
            self._secrets,
            scheme=request.scheme,
            method=request.method,
            url=request.url,
            also=self._others,
            budget=0.5,
        )
        line = f"webhook explained at {event.method} {event.path}: {_told(explanation)}"
        _log.warning("%s", line.encode("unicode_escape").decode())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


def _told(explanation: Explanation) -> str:
    """Return what an explanation says, in one line."""
    if explanation.verdict == "genuine":
        return "it is genuine for the secret of ExplainToLog; the route uses another one"
    found = "; ".join(
        f"{each.code} ({'proved' if each.is_proved else 'a hint'}): {each.title} "
        f"Evidence: {each.evidence}. Remedy: {each.remedy}"
        for each in explanation.findings
    )
    return found or "no cause found; frappe-hooksig explain searches longer"
