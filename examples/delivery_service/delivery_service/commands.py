"""What an operator does on the command line."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
import uvicorn
from cryptography.fernet import Fernet
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from delivery_service.api_keys import SCOPES, Scope, create_key
from delivery_service.migrating import migrate as migrate_tables
from delivery_service.people import add_person as store_person
from delivery_service.settings import PREFIX, Settings
from delivery_service.state import State
from delivery_service.tables import Tenant
from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox import Worker

app = typer.Typer(
    help="A webhook delivery service. Its settings are environment variables: see the README.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would show local variables, such as passwords
)

TenantId = Annotated[str, typer.Argument(help="The id of the tenant, such as acme.")]


@app.command()
def new_key() -> None:
    """Print a new key for DELIVERY_SERVICE_KEYS."""
    typer.echo(Fernet.generate_key().decode())


@app.command()
def migrate() -> None:
    """Create the tables, or bring them to the newest version."""
    with _opened() as state:
        migrate_tables(state.engine, state.outbox)


@app.command()
def create_tenant(tenant: TenantId, name: str) -> None:
    """Add a tenant."""
    if not re.fullmatch("[a-z0-9-]{1,64}", tenant):
        _fail("the id of a tenant has up to 64 small letters, digits and hyphens")
    with _opened() as state, state.sessions.begin() as session:
        if session.get(Tenant, tenant) is not None:
            _fail(f"there is a tenant {tenant} already")
        session.add(Tenant(id=tenant, name=name, created_at=int(time.time())))


@app.command("create-key")
def create_api_key(
    tenant: TenantId,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[list[str], typer.Option(help=f"Among {', '.join(SCOPES)}.")] = list(SCOPES),  # noqa: B006
) -> None:
    """Make an API key and print it. It cannot be had again."""
    chosen: tuple[Scope, ...] = tuple(each for each in SCOPES if each in scope)
    if len(chosen) < len(set(scope)):
        _fail(f"--scope is one of {', '.join(SCOPES)}")
    with _opened() as state, state.sessions.begin() as session:
        _known(state, tenant)
        typer.echo(create_key(session, tenant, name, chosen))


@app.command()
def add_person(
    tenant: TenantId,
    email: str,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
) -> None:
    """Let somebody log in to the page of a tenant. The password is asked for."""
    with _opened() as state, state.sessions.begin() as session:
        _known(state, tenant)
        try:
            store_person(session, tenant, email, password)
        except ValueError as error:
            _fail(str(error))


@app.command()
def serve(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Answer the API and the page. See the README for gunicorn."""
    with _opened():  # a setting that cannot be used is told at once
        pass
    uvicorn.run("delivery_service.app:create_app", factory=True, host=host, port=port)


@app.command()
def work(slots: Annotated[int, typer.Option(help="How many quick attempts at once.")] = 16) -> None:
    """Send what is due, until SIGTERM or Ctrl+C. Run as many as you like."""
    with _opened() as state:
        Worker(state.outbox, slots=slots).run()


@app.command()
def confirm() -> None:
    """Send from this database, although it was copied or moved here."""
    with _opened() as state:
        state.outbox.confirm()


@contextmanager
def _opened() -> Generator[State]:
    """Open what the settings name, and say what is wrong with them in one line."""
    try:
        state = State.of(Settings())  # pyright: ignore[reportCallIssue]  # of the environment
    except ValidationError as error:
        for each in error.errors():
            name = PREFIX + "_".join(map(str, each["loc"])).upper()
            typer.echo(f"{name}: {each['msg']}", err=True)
        raise typer.Exit(2) from None
    except (ConfigurationError, ValueError) as error:
        _fail(str(error))
    try:
        yield state
    except ConfigurationError as error:
        _fail(str(error))
    except SQLAlchemyError as error:
        _fail(f"{PREFIX}DATABASE_URL: the database refuses: {type(error).__name__}")
    finally:
        state.close()


def _known(state: State, tenant: str) -> None:
    with state.sessions() as session:
        if session.get(Tenant, tenant) is None:
            _fail(f"there is no tenant {tenant}: add it with create-tenant")


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(2)
