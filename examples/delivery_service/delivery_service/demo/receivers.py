"""What your customers write: an app that verifies what it receives."""

# Without `from __future__ import annotations`: FastAPI would look for `webhook` in this module.

import json
import time
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, FastAPI, Request
from starlette.responses import Response

from frappe_hooksig import Delivery, providers
from frappe_hooksig.integrations.fastapi import Refused, Webhook

_LONGEST: Final = 60  # characters of a payload that are shown


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """An app that receives webhooks.

    Attributes:
        name: What it is called on the screen.
        secret: What the service signs with.
        failures: How many requests it answers with 503 first.
    """

    name: str
    secret: str
    failures: int = 0

    def app(self) -> FastAPI:
        """Return the app. It prints a line for each request."""
        app = FastAPI(openapi_url=None)
        webhook = Webhook(providers.STANDARD_WEBHOOKS, secret=self.secret)
        failing = iter(range(self.failures))

        @app.post("/webhooks")
        def receive(delivery: Annotated[Delivery, Depends(webhook)]) -> Response:
            payload = json.dumps(delivery.json())
            text = payload if len(payload) <= _LONGEST else payload[: _LONGEST - 3] + "..."
            is_down = next(failing, None) is not None
            self._print(f"{delivery.id}  {text}", 503 if is_down else 204)
            return Response(status_code=503 if is_down else 204)

        @app.exception_handler(Refused)
        def refused(_request: Request, refusal: Refused) -> Response:
            self._print(f"refused: {refusal.error.reason}", refusal.status_code)
            return refusal.response

        return app

    def _print(self, what: str, status: int) -> None:
        now = time.strftime("%H:%M:%S")
        print(f"{now}  {self.name:10}  {what}  -> {status}", flush=True)
