"""Lua scripts for the stores in Redis: one for each method, and their arguments."""

from __future__ import annotations

from frappe_hooksig.replay._protocol import State

# The value of a key is "done", or "claimed:" and the token. The server expires keys itself.
# Scripts are needed because SET accepts NX and GET together only since Redis 7. Each script uses
# one key, as a cluster requires. It returns a number, which clients do not decode.
STATES = (State.NEW, State.IN_FLIGHT, State.DONE)
CLAIM = """\
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
if redis.call('GET', KEYS[1]) == 'done' then return 2 end
return 1"""
_IF_HELD = """\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
"""
RENEW = _IF_HELD + "return redis.call('PEXPIRE', KEYS[1], ARGV[2])"
# DEL comes first, so that a handled delivery is recorded even if the server's memory is full. Such
# a server refuses SET, unless the script has written before.
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
    """Return the value of a key whose delivery is being handled."""
    return f"claimed:{token}"


def milliseconds(seconds: float) -> int:
    """Return the lifetime of a key as a script expects it, within the server's limits.

    A server refuses a time that is too large. COMPLETE would already have deleted the key by then.
    """
    return max(1, round(min(seconds, _FOR_EVER) * 1000))
