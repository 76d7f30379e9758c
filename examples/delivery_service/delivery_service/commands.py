"""What an operator does on the command line."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import typer
import uvicorn
from cryptography.fernet import Fernet
from sqlalchemy import select
from sqlalchemy.orm import Session

from delivery_service import importing, moving
from delivery_service.api_keys import SCOPES, Scope, create_key
from delivery_service.api_keys import list_keys as keys_of
from delivery_service.api_keys import revoke_key as revoke
from delivery_service.app import create_app
from delivery_service.migrating import migrate as migrate_tables
from delivery_service.moves import unmark
from delivery_service.people import add_person as store_person
from delivery_service.people import find_person
from delivery_service.people import set_password as store_password
from delivery_service.state import State
from delivery_service.tables import Person, Tenant
from delivery_service.terminal import (
    DATABASE,
    ask_password,
    day_of,
    errors_in_one_line,
    fail,
    opened,
    read_settings,
    show,
    url_of,
)
from frappe_hooksig.outbox import Worker

log = logging.getLogger("delivery_service")

app = typer.Typer(
    help="A webhook delivery service. Its settings are variables of the environment.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they would show local variables, such as passwords
)

TenantId = Annotated[str, typer.Argument(help="The id of the tenant, such as acme.")]
Email = Annotated[str, typer.Argument(help="How the person logs in.")]
Place = Annotated[
    str, typer.Argument(help="A URL, or env:NAME for a variable with a URL that has a password.")
]
AlthoughKeyLost = Annotated[
    bool,
    typer.Option(
        help="Start also if a key is lost, so that endpoints can get new secrets. What it "
        "encrypted cannot be sent."
    ),
]
#: How long requests may take to end after SIGTERM, in seconds.
_PATIENCE: Final = 20
_LONGEST_NAME: Final = 200  # characters


@app.command()
def new_key() -> None:
    """Print a new key for DELIVERY_SERVICE_KEYS."""
    typer.echo(Fernet.generate_key().decode())


@app.command()
def migrate() -> None:
    """Create the tables, or bring them to the newest version."""
    with opened(is_migrated=False) as state:
        migrate_tables(state.engine, state.outbox)


@app.command()
def check() -> None:
    """Say whether the settings and the tables can be used."""
    with opened(checks_keys=True):
        typer.echo("the settings and the tables can be used")


@app.command()
def create_tenant(
    tenant: TenantId, name: Annotated[str, typer.Argument(help="What people call it.")]
) -> None:
    """Add a tenant."""
    if not re.fullmatch("[a-z0-9-]{1,64}", tenant):
        fail("the id of a tenant has up to 64 small letters, digits and hyphens")
    _short(name)
    with opened() as state, state.sessions.begin() as session:
        if session.get(Tenant, tenant) is not None:
            fail(f"there is a tenant {tenant} already")
        session.add(Tenant(id=tenant, name=name, created_at=int(time.time())))


@app.command()
def list_tenants() -> None:
    """Show the tenants."""
    with opened() as state, state.sessions() as session:
        tenants = session.scalars(select(Tenant).order_by(Tenant.id))
        show(("TENANT", "CREATED", "NAME"), [(t.id, day_of(t.created_at), t.name) for t in tenants])


@app.command("create-key")
def create_api_key(
    tenant: TenantId,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help=f"Among {', '.join(SCOPES)}; by default, all.")
    ] = None,
) -> None:
    """Make an API key and print it. It cannot be had again."""
    wanted = set(scope or SCOPES)
    chosen: tuple[Scope, ...] = tuple(each for each in SCOPES if each in wanted)
    if len(chosen) < len(wanted):
        fail(f"--scope is one of {', '.join(SCOPES)}")
    _short(name)
    with opened() as state, state.sessions.begin() as session:
        _known(state, tenant)
        key = create_key(session, tenant, name, chosen)
    typer.echo(key)


@app.command()
def list_keys(tenant: TenantId) -> None:
    """Show the API keys of a tenant, without their secret parts."""
    with opened() as state, state.sessions() as session:
        _known(state, tenant)
        rows = [
            (
                each.id,
                *map(day_of, (each.created_at, each.last_used_at, each.revoked_at)),
                *(each.scopes, each.name),
            )
            for each in keys_of(session, tenant)
        ]
    show(("KEY", "CREATED", "LAST USED", "REVOKED", "SCOPES", "NAME"), rows)


@app.command()
def revoke_key(
    tenant: TenantId, key: Annotated[str, typer.Argument(help="As list-keys shows it.")]
) -> None:
    """Let an API key be valid no longer."""
    # Whoever pastes a whole key means its id.
    key_id = key.removeprefix("dsk_").partition("_")[0]
    with opened() as state, state.sessions.begin() as session:
        _known(state, tenant)
        if not revoke(session, tenant, key_id):
            fail("this tenant has no such valid key: list-keys shows them")


@app.command()
def add_person(tenant: TenantId, email: Email) -> None:
    """Let somebody log in to the page of a tenant. Their password is asked for, or read."""
    if not re.fullmatch(r"[^@\s]{1,255}@[^@\s]{1,64}", email):
        fail("EMAIL is an address, such as anna@acme.example")
    with opened() as state:
        _known(state, tenant)
        with state.sessions() as session:
            if find_person(session, email) is not None:
                fail(f"{email} can log in already: set-password changes the password")
        password = ask_password()
        with state.sessions.begin() as session:
            store_person(session, tenant, email, password)


@app.command()
def set_password(email: Email) -> None:
    """Give somebody another password, which is asked for or read, and log them out."""
    with opened() as state:
        with state.sessions() as session:
            _person(session, email)
        password = ask_password()
        with state.sessions.begin() as session:
            store_password(session, _person(session, email), password)


@app.command()
def remove_person(email: Email) -> None:
    """Let somebody log in no longer, and log them out."""
    with opened() as state, state.sessions.begin() as session:
        session.delete(_person(session, email))


@app.command()
def list_people(tenant: TenantId) -> None:
    """Show who can log in to the page of a tenant."""
    with opened() as state, state.sessions() as session:
        _known(state, tenant)
        query = select(Person).where(Person.tenant_id == tenant).order_by(Person.email)
        rows = [(each.email, day_of(each.created_at)) for each in session.scalars(query)]
    show(("EMAIL", "CREATED"), rows)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8000,
    proxy: Annotated[
        str, typer.Option(help="The address of a proxy whose X-Forwarded-For is true.")
    ] = "",
    although_key_lost: AlthoughKeyLost = False,  # noqa: FBT002
) -> None:
    """Serve the API and the page, in one process, until SIGTERM or Ctrl+C."""
    with opened(checks_keys=not although_key_lost) as state:
        settings = state.settings
    uvicorn.run(
        create_app(settings),
        host=host,
        port=port,
        proxy_headers=bool(proxy),
        forwarded_allow_ips=proxy,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
    )


@app.command()
def work(
    slots: Annotated[int, typer.Option(help="How many quick attempts run at once.", min=1)] = 16,
    although_key_lost: AlthoughKeyLost = False,  # noqa: FBT002
) -> None:
    """Send what is due, until SIGTERM or Ctrl+C. Several may run at once."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with opened(checks_keys=not although_key_lost) as state:
        worker = Worker(state.outbox, slots=slots)
        log.info("sending what is due, until SIGTERM")
        worker.run()
    log.info("ended")


@app.command()
def confirm(
    although_moved: Annotated[  # noqa: FBT002
        bool,
        typer.Option(
            help="Also if it was moved to another database. What was published there is not here, "
            "and if that one is used, too, both send."
        ),
    ] = False,
) -> None:
    """Send from this database, although it was copied or restored."""
    with opened(is_confirmed=False, although_moved=although_moved) as state:
        with state.sessions.begin() as session:
            unmark(session)
        state.outbox.confirm()


@app.command()
def rotate_keys() -> None:
    """Encrypt all secrets with the first key of DELIVERY_SERVICE_KEYS, so that others can go."""
    with opened() as state:
        typer.echo(f"endpoints that are encrypted anew: {state.outbox.rotate_keys()}")


@app.command()
def move(source: Place, target: Place) -> None:
    """Copy everything to an empty database. Stop the service and its workers before."""
    old, new = (
        read_settings(name, database_url=url_of(name, text))
        for name, text in (("SOURCE", source), ("TARGET", target))
    )
    with errors_in_one_line("SOURCE"):
        moving.check_source(old)
    with errors_in_one_line("TARGET"):
        moving.prepare_target(new)
    with errors_in_one_line("SOURCE or TARGET"):
        counts = moving.move(old, new)
    show(("TABLE", "ROWS"), [(name, str(count)) for name, count in counts.items()])
    typer.echo(f"now set {DATABASE} to the new database, and start the service")


@app.command()
def import_subscriptions(
    tenant: TenantId,
    source: Annotated[str, typer.Argument(help="A JSON file, or as for move a database.")],
    table: Annotated[str, typer.Option(help="The table.")] = "webhook_subscriptions",
    dry_run: Annotated[bool, typer.Option(help="Only print what would be done.")] = False,  # noqa: FBT002
) -> None:
    """Add the subscriptions of an older service, with their secrets, so that no receiver changes.

    It is safe to repeat. If one of them cannot be taken, nothing is done.
    """
    with opened() as state:
        _known(state, tenant)
        if "://" in source or source.startswith("env:"):
            with errors_in_one_line("SOURCE"):
                rows = importing.read_table(url_of("SOURCE", source), table)
        else:
            rows = importing.read_file(Path(source))
        account = state.account(tenant)
        steps = importing.plan(rows, account, state.settings)
        show(("", "WHICH", "WHAT"), [(each.what, each.place, each.text) for each in steps])
        counts = Counter(each.what for each in steps)
        if counts["refuse"]:
            fail(f"{counts['refuse']} cannot be taken: nothing is done")
        if dry_run:
            typer.echo(f"{counts['add']} would be added; nothing is done")
            return
        importing.carry_out(steps, account)
        typer.echo(f"{counts['add']} added, {counts['skip']} skipped")


def _known(state: State, tenant: str) -> None:
    with state.sessions() as session:
        if session.get(Tenant, tenant) is None:
            fail(f"there is no tenant {tenant}: add it with create-tenant")


def _short(name: str) -> None:
    if len(name) > _LONGEST_NAME:
        fail(f"NAME has up to {_LONGEST_NAME} characters")


def _person(session: Session, email: str) -> Person:
    person = find_person(session, email)
    if person is None:
        fail(f"nobody logs in with {email}")
    return person
