"""Start the service, ready to try, until Ctrl+C or SIGTERM."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Final

import uvicorn
from cryptography.fernet import Fernet
from fastapi import FastAPI

from delivery_service.account import Account, NewMessage
from delivery_service.api_keys import SCOPES, create_key
from delivery_service.app import create_app
from delivery_service.demo.receivers import Receiver
from delivery_service.migrating import migrate
from delivery_service.people import add_person
from delivery_service.settings import PREFIX, Settings
from delivery_service.state import State
from delivery_service.tables import Tenant
from frappe_hooksig import generate_secret
from frappe_hooksig.outbox import Worker
from frappe_hooksig.sending import RetrySchedule

_PORT: Final = 8000
_TENANT: Final = "acme"
_EMAIL: Final = "anna@acme.example"
# Nobody who watches waits for the usual ones, which take days.
_QUICK: Final = RetrySchedule((2, 4, 8, 16, 32), jitter=0)
_ONCE: Final = RetrySchedule(())  # so that there is a dead letter to look at
_PATIENCE: Final = 3  # seconds until open connections are closed

_TEXT: Final = """\
The service is at  {url}  (Ctrl+C ends it; nothing stays)

  page       {url}/
  login      {email}
  password   {password}
  reference  {url}/v1/openapi.json

To try the API, copy this into another terminal:

  export API={url}/v1
  export AUTH="Authorization: Bearer {key}"
  export JSON="Content-Type: application/json"
  export RECEIVER={receiver}
  export SECRET={secret}

Subscribe:

  curl -sS "$API/endpoints" -H "$AUTH" -H "$JSON" \\
    -d '{{"url": "'$RECEIVER'", "secret": "'$SECRET'", "event_types": ["invoice.*"]}}'

Publish:

  curl -sS "$API/messages" -H "$AUTH" -H "$JSON" \\
    -d '{{"event_type": "invoice.paid", "payload": {{"name": "INV-00001"}}}}'

List deliveries:

  curl -sS "$API/deliveries" -H "$AUTH"

Send one again, with its id of that list, such as the one that is "dead":

  curl -sS -X POST "$API/deliveries/1/send-again" -H "$AUTH"

What the receivers get. "accounts" is down for its first two requests, and is tried again.
"ledger" is down for its first one, which is given up at once: send it again.
"""


def main() -> int:
    """Run it; return the exit status."""
    is_over = Event()

    def end(_number: int, _frame: object) -> None:
        is_over.set()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, end)
    for name in [each for each in os.environ if each.startswith(PREFIX)]:
        del os.environ[name]  # those of another service that is developed here
    # The receivers' lines say it all.
    logging.getLogger("frappe_hooksig").setLevel(logging.CRITICAL)
    with ExitStack() as running:
        folder = Path(running.enter_context(TemporaryDirectory(prefix="delivery-service-")))
        listener = running.enter_context(_listener(_PORT))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings.read(
            database_url=f"sqlite:///{folder / 'service.db'}",
            keys=Fernet.generate_key().decode(),
            public_url=url,
            allow_addresses=("127.0.0.1",),
        )
        state = State.of(settings)
        running.callback(state.close)
        migrate(state.engine, state.outbox)
        password, key = _seed(state)

        shop = Receiver(name="shop", secret=generate_secret("whsec"))
        accounts = Receiver(name="accounts", secret=generate_secret("whsec"), failures=2)
        ledger = Receiver(name="ledger", secret=generate_secret("whsec"), failures=1)
        receivers = (shop, accounts, ledger)
        places = [
            running.enter_context(_served(each.app(), running.enter_context(_listener(0))))
            for each in receivers
        ]
        running.enter_context(_served(create_app(settings), listener))
        print(
            _TEXT.format(
                url=url,
                email=_EMAIL,
                password=password,
                key=key,
                receiver=f"{places[0]}/webhooks",
                secret=shop.secret,
            ),
            flush=True,
        )
        account = state.account(_TENANT)
        _subscribe(account, receivers, places)
        running.enter_context(Worker(state.outbox))
        _publish(account)
        is_over.wait()
        print("ending", flush=True)
    return 0


def _seed(state: State) -> tuple[str, str]:
    """Add a tenant with a person and an API key; return the password and the key."""
    password = secrets.token_urlsafe(12)
    with state.sessions.begin() as session:
        session.add(Tenant(id=_TENANT, name="Acme", created_at=int(time.time())))
        session.flush()
        add_person(session, _TENANT, _EMAIL, password)
        return password, create_key(session, _TENANT, "make service", SCOPES)


def _subscribe(account: Account, receivers: Sequence[Receiver], places: Sequence[str]) -> None:
    choices = (("order.*", _QUICK), ("*", _QUICK), ("order.*", _ONCE))
    for receiver, place, (event_type, schedule) in zip(receivers, places, choices, strict=True):
        account.add_endpoint(
            f"{place}/webhooks",
            description=f"The receiver {receiver.name}",
            secret=receiver.secret,
            event_types=[event_type],
            schedule=schedule,
        )


def _publish(account: Account) -> None:
    for number in (1, 2):
        order = {"name": f"SO-0000{number}", "grand_total": number * 100}
        account.publish([NewMessage(event_type="order.created", payload=order)])


def _listener(port: int) -> socket.socket:
    """Listen on a port of this machine, or on another one if it is taken."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return socket.create_server(("127.0.0.1", 0))


@contextmanager
def _served(app: FastAPI, listener: socket.socket) -> Generator[str]:
    """Serve an app in a thread; what it is there for is its URL."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
