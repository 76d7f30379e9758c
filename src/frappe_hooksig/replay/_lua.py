"""What stores in Redis have the server do: a script for each method, and what its arguments are."""

from __future__ import annotations

from frappe_hooksig.replay._protocol import State

# What a key holds: "done", or "claimed:" and the token. When that ends is the server's business.
# Scripts, as SET takes NX and GET together from Redis 7 on only. Each has one key, which is what a
# cluster asks for, and returns a number, which no client decodes.
STATES = (State.NEW, State.IN_FLIGHT, State.DONE)
CLAIM = """\
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
if redis.call('GET', KEYS[1]) == 'done' then return 2 end
return 1"""
_IF_HELD = """\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
"""
RENEW = _IF_HELD + "return redis.call('PEXPIRE', KEYS[1], ARGV[2])"
# DEL comes first for a server whose memory is full: it refuses SET, but not to a script that has
# written before. What was handled has to be remembered then too.
COMPLETE = (
    _IF_HELD
    + """\
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], 'done', 'PX', ARGV[2])
return 1"""
)
RELEASE = _IF_HELD + "return redis.call('DEL', KEYS[1])"

_FOR_EVER = 1_000 * 365 * 24 * 60 * 60  # seconds


def claimed(token: str) -> str:
    """Return what the key of a delivery holds that is being handled."""
    return f"claimed:{token}"


def milliseconds(seconds: float) -> int:
    """Return how long a key lasts, as a script takes it.

    A server refuses what it cannot count, and COMPLETE would have removed the key by then.
    """
    return max(1, round(min(seconds, _FOR_EVER) * 1000))
