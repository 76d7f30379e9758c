"""A message that ends the process that sends it, and a secret that is gone, harm nobody else."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from frappe_hooksig.outbox import Worker
from frappe_hooksig.sending import RetrySchedule
from frappe_hooksig.testing import Answer, FakeReceiver
from tests.databases import postgresql
from tests.outbox.trials import (
    POISON,
    SECRET,
    Crew,
    database_at,
    outbox_at,
    path_in,
    publishing,
    receiver,
    tell,
    url_of,
    wait_until,
)
from tests.senders import SECRETS


def test_poison(tmp_path: Path) -> None:
    """A message that kills each process that sends it ends as a dead letter, and no other does."""
    assert_poison_is_alone(path_in(tmp_path), others=40, poisons=1, size=1, lease=0.5)


@pytest.mark.long
@pytest.mark.stress
def test_poison_among_many(tmp_path: Path) -> None:
    """Neither do several of them among a thousand others, with two workers."""
    assert_poison_is_alone(path_in(tmp_path), others=1000, poisons=2, size=2, lease=2)


@pytest.mark.long
@pytest.mark.stress
def test_poison_on_postgresql() -> None:
    """Neither do they on PostgreSQL."""
    with postgresql() as settings:
        assert_poison_is_alone(url_of(settings), others=1000, poisons=2, size=2, lease=2)


def assert_poison_is_alone(
    address: str, *, others: int, poisons: int, size: int, lease: float
) -> None:
    outbox = outbox_at(address, lease=lease)
    outbox.migrate()
    with receiver() as there:
        outbox.add_endpoint(f"{there.url}/ok/1", secret_from=SECRET)
        with publishing(address, outbox) as publish:
            for number in range(others):
                publish("an.event", {"number": number})
                if number % 20 == 10 and number < 20 * poisons:
                    publish("an.event", POISON)
        with Crew(address, f"--lease={lease}", size=size) as crew:
            wait_until(lambda: len(outbox.deliveries(states="dead")) == poisons, 120)
            seconds = there.wait_for(others)
            wait_until(lambda: not outbox.deliveries(states=["due", "claimed"]))
        dead = outbox.deliveries(states="dead", limit=1000)
        seen = there.seen()
    tell(f"{crew.starts} starts, {len(seen)} requests, {seconds:.1f} s after the last death")
    assert {each.reason for each in dead} == {"worker-lost"}
    assert {outbox.payload(each.message_id) for each in dead} == {POISON}
    assert len(dead) == poisons
    assert len({each["id"] for each in seen}) == others
    outbox.close()


def in_a_file(secret: Path) -> tuple[str, Callable[[], object], Callable[[], object]]:
    """Return the reference of a secret in a file, how to delete it, and how to put it back."""
    return f"file:{secret}", secret.unlink, lambda: secret.write_text(SECRETS["whsec"])


def in_the_environment(_: Path) -> tuple[str, Callable[[], object], Callable[[], object]]:
    """Return the same for one in a variable."""
    name = "A_SECRET_OF_A_TRIAL"
    return (
        f"env:{name}",
        lambda: os.environ.pop(name),
        lambda: os.environ.update({name: SECRETS["whsec"]}),
    )


@pytest.mark.parametrize("kept", [in_a_file, in_the_environment])
def test_deleted_secret(
    tmp_path: Path,
    kept: Callable[[Path], tuple[str, Callable[[], object], Callable[[], object]]],
) -> None:
    """Without its secret, an endpoint is paused, and loses nothing."""
    reference, delete, put = kept(tmp_path / "secret")
    put()
    path = path_in(tmp_path)
    outbox = outbox_at(path)
    outbox.migrate()
    with FakeReceiver() as there, FakeReceiver() as other:
        endpoint = outbox.add_endpoint(there.url, secret_from=reference)
        outbox.add_endpoint(other.url, secret_from=f"file:{tmp_path / 'other'}")
        (tmp_path / "other").write_text(SECRETS["whsec"])
        with publishing(path, outbox) as publish, Worker(outbox):
            publish("an.event", {})
            there.wait_for(1, timeout=30)
            delete()
            count = 1
            while outbox.endpoint(endpoint.id).state == "active":
                publish("an.event", {})
                count += 1
                other.wait_for(count, timeout=30)
            publish("an.event", {})
            other.wait_for(count + 1, timeout=30)
            stopped = outbox.endpoint(endpoint.id)
            missing = count + 1 - len(there.requests)
            due = len(outbox.deliveries(endpoint=endpoint.id, states=["due", "claimed"], limit=999))
            put()
            outbox.resume(endpoint.id)
            there.wait_for(count + 1, timeout=30)
        ids = {each.header("webhook-id") for each in there.requests}
    delete()
    assert (stopped.state, stopped.reason) == ("paused", "secret-missing")
    assert missing == due > 0
    assert len(ids) == count + 1
    assert not outbox.deliveries(states="dead")
    outbox.close()


def test_nothing_begins_beside_what_is_sent_alone(tmp_path: Path) -> None:
    """While a delivery is sent alone, its process begins nothing that could end with it."""
    path = path_in(tmp_path)
    outbox = outbox_at(path)
    outbox.migrate()
    (tmp_path / "secret").write_text(SECRETS["whsec"])
    soon = RetrySchedule((0.1,))
    with FakeReceiver([500, Answer(200, delay=0.5), 200]) as there:
        outbox.add_endpoint(there.url, secret_from=f"file:{tmp_path / 'secret'}", schedule=soon)
        with publishing(path, outbox) as publish:
            suspect = publish("an.event", {})
            outbox.drain()
            with closing(database_at(path)) as database:
                database.run(lambda each: each.change("UPDATE hooksig_deliveries SET lost = 3"))
            with Worker(outbox):
                there.wait_for(2, timeout=30)
                publish("an.event", {})
                requests = there.wait_for(3, timeout=30)
    assert [each.header("webhook-id") for each in requests[:2]] == [suspect] * 2
    assert requests[2].at - requests[1].at > 0.4
    outbox.close()
