"""What becomes of a delivery, and of its endpoint."""

from __future__ import annotations

import pytest

from frappe_hooksig.outbox._settling import Fault
from frappe_hooksig.sending import RetrySchedule
from tests.outbox.places import Place
from tests.outbox.post import DAY, Post, attempt, room


@pytest.fixture
def post(store: Place) -> Post:
    """Return an outbox in each kind of place, with one endpoint and two deliveries."""
    post = Post(store)
    post.endpoint()
    post.publish(2)
    post.route()
    return post


@pytest.fixture
def simple(sqlite: Place) -> Post:
    """Return an outbox in a SQLite file, with one endpoint and 30 deliveries."""
    post = Post(sqlite)
    post.endpoint(concurrency=20)
    post.publish(30)
    post.route()
    return post


def test_delivered(post: Post) -> None:
    """A delivery that arrived has ended."""
    claimed = post.claims(room()).claimed

    events = post.settle(claimed, attempt(status=204, answer=b"\x00ok", address="127.0.0.1"))

    (each, _) = post.outbox.deliveries()
    (record,) = post.outbox.attempts(each.id)
    assert events == []
    assert (str(each.state), each.attempts, each.status) == ("delivered", 1, 204)
    assert each.ended_at is not None
    assert (record.number, record.outcome, record.status) == (1, "delivered", 204)
    assert (record.answer, record.address, record.seconds) == (b"\x00ok", "127.0.0.1", 0.1)
    assert record.started_at == pytest.approx(each.ended_at - 0.1, abs=0.01)


@pytest.mark.parametrize("outcome", ["refused", "unreachable"])
def test_tried_again(simple: Post, outcome: str) -> None:
    """What does not arrive is due again when the schedule says so."""
    claimed = simple.claims(room(quick=1)).claimed
    before = simple.now()

    simple.settle(claimed, attempt(outcome, status=500, reason="timeout", message="why"))

    each = simple.outbox.deliveries()[-1]
    assert (str(each.state), each.attempts, each.status) == ("due", 1, 500)
    assert (each.reason, each.message, each.ended_at) == ("timeout", "why", None)
    assert before + 50 <= each.due_at * 1000 <= simple.now() + 50


def test_tried_again_after_it_was_lost(simple: Post) -> None:
    """An attempt that has ended shows that the delivery ends no process."""
    simple.place.change("UPDATE hooksig_deliveries SET lost = 2")
    claimed = simple.claims(room(quick=1)).claimed

    simple.settle(claimed, attempt("refused", status=500))

    assert [each.lost for each in simple.outbox.deliveries()] == [2] * 29 + [0]


def test_retry_after(simple: Post) -> None:
    """A receiver can ask for a longer pause."""
    claimed = simple.claims(room(quick=1)).claimed
    before = simple.now()

    simple.settle(claimed, attempt("refused", retry_after=77.0))

    assert before + 77_000 <= simple.outbox.deliveries()[-1].due_at * 1000 <= simple.now() + 77_000


def test_exhausted(simple: Post) -> None:
    """After the last attempt of the schedule, there is a dead letter."""
    claimed = simple.claims(room(quick=1)).claimed

    (event,) = simple.settle(
        claimed, attempt("refused", status=500, message="it said no"), schedule=RetrySchedule(())
    )

    each = simple.outbox.deliveries()[-1]
    assert (str(each.state), each.reason, each.attempts) == ("dead", "exhausted", 1)
    assert each.message == "the last of 1 attempts failed: it said no"
    assert (event.kind, event.reason, event.message) == ("dead-letter", "exhausted", each.message)
    assert (event.endpoint_id, event.message_id) == (each.endpoint_id, each.sent_as)


def test_bad_message(simple: Post) -> None:
    """A fault of the message is a dead letter, without an attempt, and not of the endpoint."""
    claimed = simple.claims(room(quick=1)).claimed

    (event,) = simple.settle(claimed, Fault("bad-payload", "no", is_of_endpoint=False))

    each = simple.outbox.deliveries()[-1]
    assert (str(each.state), each.reason, each.attempts) == ("dead", "bad-payload", 0)
    assert (event.kind, event.reason) == ("dead-letter", "bad-payload")
    assert simple.outbox.endpoints()[0].state == "active"


@pytest.mark.parametrize(
    ("result", "reason", "attempts"),
    [
        (attempt("gone", status=410, message="go"), "gone", 1),
        (attempt("blocked", reason="bad-url", message="go"), "bad-url", 1),
        (Fault("secret-missing", "go", is_of_endpoint=True), "secret-missing", 0),
    ],
    ids=["gone", "blocked", "secret-missing"],
)
def test_paused(simple: Post, result: Fault, reason: str, attempts: int) -> None:
    """A fault of the endpoint pauses it, once, and uses up nothing of the schedule."""
    claimed = simple.claims(room(quick=2)).claimed

    (event,) = simple.settle(claimed, result)

    (endpoint,) = simple.outbox.endpoints()
    each = simple.outbox.deliveries()[-1]
    assert (endpoint.state, endpoint.reason, endpoint.message) == ("paused", reason, "go")
    assert (event.kind, event.reason, event.endpoint_id) == ("paused", reason, endpoint.id)
    assert (str(each.state), each.attempts) == ("due", attempts)
    assert simple.place.rows("SELECT SUM(tries) FROM hooksig_deliveries") == [(0,)]
    assert not simple.claims(room()).claimed
    simple.outbox.resume(endpoint.id)
    assert len(simple.claims(room()).claimed) == 1


def test_failing(post: Post) -> None:
    """After five failures in a row, an endpoint gets one attempt at a time, after a pause."""
    post.publish(10)
    post.route()
    claimed = post.claims(room(quick=5)).claimed

    events = [post.settle([each], attempt("unreachable")) for each in claimed]

    ((event,),) = [each for each in events if each]
    assert (event.kind, event.reason) == ("failing", "failing")
    assert events[-1] == [event]
    (endpoint,) = post.outbox.endpoints()
    assert endpoint.failures == 5
    assert endpoint.failing_since is not None
    closed = post.claims(room())
    assert not closed.claimed
    assert closed.wake_at is not None
    assert len(post.claims(room(), later=1300).claimed) == 1
    assert not post.claims(room(), later=1300).claimed


def test_recovered(post: Post) -> None:
    """Once an attempt arrives, an endpoint gets two at a time, then three, up to its limit."""
    post.publish(40)
    post.route()
    post.settle(post.claims(room(quick=5)).claimed, attempt("unreachable"))
    probe = post.claims(room(), later=1300).claimed

    (event,) = post.settle(probe, attempt())
    two = post.claims(room()).claimed
    post.settle(two, attempt())
    four = post.claims(room()).claimed
    post.settle(four, attempt())
    eight = post.claims(room()).claimed

    assert (event.kind, event.reason) == ("recovered", "recovered")
    assert [len(each) for each in (probe, two, four, eight)] == [1, 2, 4, 8]
    (endpoint,) = post.outbox.endpoints()
    assert (endpoint.failures, endpoint.failing_since) == (0, None)


def test_probe_that_fails(simple: Post) -> None:
    """A probe that fails makes the next pause longer."""
    simple.settle(simple.claims(room(quick=5)).claimed, attempt("refused"))

    simple.settle(simple.claims(room(), later=1300).claimed, attempt("refused"), later=1300)

    assert not simple.claims(room(), later=3200).claimed
    assert len(simple.claims(room(), later=3900).claimed) == 1


def test_many_failures_at_once(simple: Post) -> None:
    """Attempts that were in flight already do not make the pause longer."""
    claimed = simple.claims(room(quick=20)).claimed
    simple.settle(claimed[:5], attempt("unreachable"))

    simple.settle(claimed[5:], attempt("unreachable"))

    assert simple.outbox.endpoints()[0].failures == 5
    assert len(simple.claims(room(), later=1300).claimed) == 1


def test_success_after_failures(simple: Post) -> None:
    """An attempt that arrives ends what was counted of failures."""
    simple.settle(simple.claims(room(quick=4)).claimed, attempt("refused"))

    simple.settle(simple.claims(room(quick=1)).claimed, attempt())

    assert simple.outbox.endpoints()[0].failures == 0


def test_disabled(simple: Post) -> None:
    """An endpoint that fails for too long is disabled; what is due for it stays."""
    claimed = simple.claims(room(quick=7)).claimed
    simple.settle(claimed[:5], attempt("refused"), disable_after=DAY)
    simple.place.change("UPDATE hooksig_endpoints SET failing_since = 1000")

    events = simple.settle(claimed[5:6], attempt("refused"), disable_after=DAY)

    (endpoint,) = simple.outbox.endpoints()
    assert [(each.kind, each.reason) for each in events] == [("disabled", "failing")]
    assert (endpoint.state, endpoint.reason) == ("disabled", "failing")
    assert "(disable_after=)" in endpoint.message
    assert simple.settle(claimed[6:], attempt("refused"), disable_after=DAY) == []
    assert {*simple.states()} == {"due"}


def test_disabled_and_resumed(simple: Post) -> None:
    """One that is resumed may fail as long as before."""
    claimed = simple.claims(room(quick=6)).claimed
    simple.settle(claimed[:4], attempt("refused"))
    simple.place.change("UPDATE hooksig_endpoints SET failing_since = 1000")
    simple.settle(claimed[4:5], attempt("refused"))
    (endpoint,) = simple.outbox.endpoints()
    simple.outbox.resume(endpoint.id)

    simple.settle(claimed[5:], attempt("refused"))

    (resumed,) = simple.outbox.endpoints()
    assert (endpoint.state, resumed.state) == ("disabled", "active")
    assert resumed.failures == 6
    assert (resumed.failing_since or 0) * 1000 > simple.now() - 60_000


def test_claimed_by_another_process(post: Post) -> None:
    """What another process has claimed since is left alone."""
    claimed = post.claims(room()).claimed
    post.place.change("UPDATE hooksig_deliveries SET process = 'p2'")

    assert post.settle(claimed, attempt("gone")) == []
    assert post.states() == ["claimed", "claimed"]
    assert post.outbox.endpoints()[0].state == "active"


def test_settled_already(post: Post) -> None:
    """What was settled, and is claimed for the next attempt, is not settled for the first."""
    at_once = RetrySchedule((0, 0), jitter=0)
    claimed = post.claims(room()).claimed
    post.settle(claimed, attempt("refused"), schedule=at_once)
    again = post.claims(room()).claimed

    post.settle(claimed, attempt("refused"), schedule=at_once)

    assert [each.attempts for each in again] == [1, 1]
    assert post.states() == ["claimed", "claimed"]
    assert [each.attempts for each in post.outbox.deliveries()] == [1, 1]


def test_nothing(sqlite: Place) -> None:
    """Nothing to settle is no work."""
    assert Post(sqlite).settle([], attempt()) == []


@pytest.fixture
def lane(store: Place) -> Post:
    """Return an outbox with three messages of one key, for an endpoint that wants their order."""
    post = Post(store)
    post.endpoint(order="key")
    post.publish(3, key="customer 1")
    post.route()
    return post


def test_next_in_the_lane(lane: Post) -> None:
    """The next message of a key becomes due when the one before has arrived."""
    first = lane.claims(room()).claimed
    assert lane.states() == ["claimed", "waiting", "waiting"]

    lane.settle(first, attempt())

    assert lane.states() == ["delivered", "due", "waiting"]


def test_lane_waits_for_its_head(lane: Post) -> None:
    """A message that failed holds back those after it, for a time that does not start anew."""
    lane.settle(lane.claims(room()).claimed, attempt("refused"))
    ((until,),) = lane.place.rows("SELECT hold_until FROM hooksig_deliveries WHERE state = 1")

    lane.settle(lane.claims(room(), later=1000).claimed, attempt("refused"))

    assert lane.states() == ["due", "waiting", "waiting"]
    held = "SELECT hold_until FROM hooksig_deliveries WHERE state = 1"
    assert lane.place.rows(held) == [(until,)]


def test_set_aside(lane: Post) -> None:
    """A message that fails for too long lets the next one go first, and goes on itself."""
    lane.settle(lane.claims(room()).claimed, attempt("refused"))
    head = lane.claims(room(), later=1000).claimed

    (event,) = lane.settle(head, attempt("refused"), later=3_600_001)

    assert (event.kind, event.reason, event.message_id) == (
        "set-aside",
        "held-too-long",
        head[0].sent_as,
    )
    assert lane.states() == ["due", "due", "waiting"]
    assert [each.is_set_aside for each in lane.outbox.deliveries()] == [False, False, True]


def test_no_hold(lane: Post) -> None:
    """With hold=0, a message that fails is set aside at once."""
    (event,) = lane.settle(lane.claims(room()).claimed, attempt("refused"), hold_ms=0)

    assert event.kind == "set-aside"
    assert lane.states() == ["due", "due", "waiting"]


def test_dead_letter_in_a_lane(lane: Post) -> None:
    """A dead letter does not hold its lane."""
    head = lane.claims(room()).claimed

    lane.settle(head, attempt("refused"), schedule=RetrySchedule(()))

    assert lane.states() == ["dead", "due", "waiting"]
