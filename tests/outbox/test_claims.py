"""What a process takes to send next."""

from __future__ import annotations

import pytest

from frappe_hooksig.outbox._claims import Claims, Pace, claim, is_due
from frappe_hooksig.outbox._database import Connection, time_of
from tests.outbox.places import Place
from tests.outbox.post import Post, attempt, room


def test_claimed(store: Place) -> None:
    """A claim has what is needed to send, and nobody else gets the same delivery."""
    post = Post(store)
    endpoint = post.endpoint()
    (message,) = post.publish()
    post.route()

    (claimed,) = post.claims(room()).claimed

    assert (claimed.endpoint, claimed.sent_as, claimed.process) == (endpoint, message, "p1")
    assert (claimed.payload, claimed.is_json, claimed.size) == (b'{"number": 0}', True, 13)
    assert claimed.key == ("p1", claimed.id)
    assert b"number" not in repr(claimed).encode()
    assert not post.claims(room("p2")).claimed


def test_payload_that_is_not_json(sqlite: Place) -> None:
    """Bytes are sent as they are."""
    post = Post(sqlite)
    post.endpoint()
    post.publish(payload=b"\x00\xff")
    post.route()

    (claimed,) = post.claims(room()).claimed

    assert (claimed.payload, claimed.is_json) == (b"\x00\xff", False)


def test_nothing_due(sqlite: Place) -> None:
    """Without deliveries, and without room, nothing is claimed."""
    post = Post(sqlite)
    post.endpoint()
    nothing = post.claims(room())
    post.publish()
    post.route()

    assert (nothing.claimed, nothing.wake_at) == ([], None)
    assert not post.claims(room(quick=0, slow=0)).claimed


def test_due_later(sqlite: Place) -> None:
    """What is due later says when."""
    post = Post(sqlite)
    post.endpoint()
    post.publish()
    post.route()
    before = post.now()
    post.settle(post.claims(room()).claimed, attempt("refused"))

    later = post.claims(room())

    assert not later.claimed
    assert later.wake_at is not None
    assert before + 50 <= later.wake_at <= post.now() + 50
    assert not post.place.run(lambda each: is_due(each, time_of(each)))
    assert post.place.run(lambda each: is_due(each, time_of(each) + 1000))


def test_paused(sqlite: Place) -> None:
    """A paused endpoint gets nothing, and what is due for it counts for nobody."""
    post = Post(sqlite)
    endpoint = post.endpoint()
    post.publish()
    post.route()
    post.outbox.pause(endpoint)

    assert not post.claims(room()).claimed
    assert not post.place.run(lambda each: is_due(each, time_of(each)))


def test_turns(store: Place) -> None:
    """Each endpoint gets its turn, however much is due for the first one."""
    post = Post(store)
    first, second, third = (post.endpoint(event_types=["order.paid"]) for _ in range(3))
    post.publish(5)
    post.route()
    post.outbox.pause(second)
    post.outbox.pause(third)
    post.claims(room(quick=2))
    post.outbox.resume(second)
    post.outbox.resume(third)
    post.outbox.change_endpoint(second, concurrency=8)
    post.outbox.change_endpoint(third, concurrency=8)

    claimed = [each.endpoint for each in post.claims(room(quick=5)).claimed]

    # The first one has two in flight, so the others come before it.
    assert sorted(claimed) == sorted([second, third, first, second, third])


def test_concurrency(store: Place) -> None:
    """Processes together begin as many attempts at an endpoint as it may have at once."""
    post = Post(store)
    post.endpoint(concurrency=3)
    post.publish(5)
    post.route()

    first = post.claims(room("p1", quick=2))
    second = post.claims(room("p2"))
    third = post.claims(room("p3"))

    assert [len(each.claimed) for each in (first, second, third)] == [2, 1, 0]
    assert third.wake_at is not None
    assert not post.place.run(lambda each: is_due(each, time_of(each)))


def test_rate(store: Place) -> None:
    """An endpoint with a rate gets what it allows, and says when there is more."""
    post = Post(store)
    post.endpoint(concurrency=100, rate=5)
    post.publish(20)
    post.route()

    burst = post.claims(room())
    more = post.claims(room())

    assert len(burst.claimed) == 5
    assert (more.claimed, more.waits_for_rate) == ([], True)
    assert more.wake_at is not None
    assert 0 < more.wake_at - post.now() <= 201
    assert len(post.claims(room(), later=1000).claimed) == 5


def test_slow_endpoints(sqlite: Place) -> None:
    """A slow endpoint gets half of the places for such ones, and no other."""
    post = Post(sqlite)
    slow, quick = post.endpoint(), post.endpoint()
    post.publish(8)
    post.route()

    claimed = post.claims(room(quick=3, slow=4, paces={slow: "slow"})).claimed

    assert [(each.endpoint, each.pace) for each in claimed].count((slow, "slow")) == 2
    assert [(each.endpoint, each.pace) for each in claimed].count((quick, "quick")) == 3
    assert not post.claims(room(quick=0, slow=1)).claimed
    one = post.claims(room(quick=0, slow=1, paces={slow: "slow", quick: "slow"})).claimed
    assert len(one) == 1


def test_new_endpoints(sqlite: Place) -> None:
    """An endpoint that a process does not know yet gets one attempt, from a part of the places."""
    post = Post(sqlite)
    known, *new = (post.endpoint() for _ in range(4))
    post.publish(8)
    post.route()
    paces: dict[str, Pace] = dict.fromkeys(new, "new")

    claimed = post.claims(room(quick=4, new=2, paces=paces)).claimed
    trying = {each.endpoint for each in claimed if each.pace == "new"}
    others = post.claims(room(quick=4, new=2, paces=paces, trying=trying)).claimed

    assert sorted(each.pace for each in claimed) == ["new", "new", "quick", "quick"]
    assert [each.endpoint for each in claimed].count(known) == 2
    assert {each.endpoint for each in others if each.pace == "new"} == {*new} - trying
    assert not post.claims(room(quick=0, paces=paces)).claimed


def test_endpoint_that_fails_elsewhere(sqlite: Place) -> None:
    """If others have seen failures, an endpoint that a process does not know counts as slow."""
    post = Post(sqlite)
    endpoint = post.endpoint()
    post.publish(3)
    post.route()
    new: dict[str, Pace] = {endpoint: "new"}
    post.settle(post.claims(room(quick=1, paces=new)).claimed, attempt("refused"))

    (failed,) = post.claims(room(slow=1, paces=new)).claimed
    post.settle([failed], attempt())
    (recovered,) = post.claims(room(quick=1, paces=new)).claimed

    assert (failed.pace, failed.was_good) == ("slow", False)
    assert (recovered.pace, recovered.was_good) == ("new", True)


def test_bytes(sqlite: Place) -> None:
    """Payloads have a number of bytes in total, unless there is only one."""
    post = Post(sqlite)
    post.endpoint()
    post.publish(3, payload=b"x" * 100)
    post.publish(1, payload=b"x" * 10)
    post.route()

    bounded = post.claims(room(size=215)).claimed
    busy = post.claims(room(size=99, is_idle=False)).claimed
    large = post.claims(room(size=99)).claimed

    assert [each.size for each in bounded] == [100, 100, 10]
    assert not busy
    assert [each.size for each in large] == [100]


@pytest.fixture
def lost(sqlite: Place) -> Post:
    """Return an outbox with five deliveries, one of which was lost three times."""
    post = Post(sqlite)
    post.endpoint(rate=100)
    post.endpoint(rate=100, event_types=["other"])
    post.publish(5)
    post.route()
    post.place.change("UPDATE hooksig_deliveries SET lost = 3 WHERE id = 3")
    return post


def test_alone(lost: Post) -> None:
    """A delivery that was lost three times is sent alone."""
    claims = lost.claims(room())

    assert [each.id for each in claims.claimed] == [3]
    assert [each.id for each in lost.claims(room("p2")).claimed] == [1, 2, 4, 5]


def test_waits_to_be_alone(lost: Post) -> None:
    """Nothing begins while it waits, and what does not begin uses up no rate."""
    claims = lost.claims(room(is_idle=False))

    assert (claims.claimed, claims.waits_to_be_alone) == ([], True)
    assert lost.place.rows("SELECT DISTINCT rate_at FROM hooksig_endpoints") == [(0,)]


def test_contended(server_place: Place) -> None:
    """Who finds that another process is claiming takes nothing, and says so."""
    post = Post(server_place)
    post.endpoint()
    post.publish(2)
    post.route()

    def turn(connection: Connection) -> Claims:
        connection.rows("SELECT id FROM hooksig_endpoints {locked}")
        return post.claims(room("p2"))

    contended = server_place.database().run(turn)

    assert (contended.claimed, contended.is_contended) == ([], True)
    assert len(post.claims(room("p2")).claimed) == 2


def test_claimed_meanwhile(server_place: Place) -> None:
    """Claims that another process commits during a transaction count in it."""
    post = Post(server_place)
    post.endpoint(concurrency=2)
    post.publish(4)
    post.route()

    def turn(connection: Connection) -> tuple[int, int]:
        connection.rows("SELECT COUNT(*) FROM hooksig_deliveries")
        theirs = post.claims(room("p2")).claimed
        return len(theirs), len(claim(connection, time_of(connection), room("p1")).claimed)

    assert server_place.database().run(turn) == (2, 0)
