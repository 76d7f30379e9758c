"""Lua scripts for the stores in Redis: one for each method, and their arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from frappe_hooksig.replay._protocol import State

# The value of a key is "done", or "claimed:" and the token. The server expires keys itself.
# Scripts are needed because SET accepts NX and GET together only since Redis 7. They return
# numbers, which clients do not decode. Each script uses one key, as a cluster requires; only RENEW
# may use many, which must be in one slot.
STATES = (State.NEW, State.IN_FLIGHT, State.DONE)
CLAIM = """\
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
if redis.call('GET', KEYS[1]) == 'done' then return 2 end
return 1"""
_IF_HELD = """\
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
"""
# The arguments are the lifetime and then the value of each key. It returns a number for each key.
RENEW = """\
local renewed = {}
for i, key in ipairs(KEYS) do
  local is_held = redis.call('GET', key) == ARGV[i + 1]
  renewed[i] = is_held and redis.call('PEXPIRE', key, ARGV[1]) or 0
end
return renewed"""
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


def renew_over(
    connection: Any, batches: Sequence[Sequence[tuple[Any, str]]], lease: float
) -> list[bool]:
    """Renew claims in one round trip, then close the connection.

    Args:
        connection: A connection of redis-py that belongs to no pool.
        batches: The names of keys, each with the token of its claim; one command for each batch.
        lease: In seconds.

    Returns:
        For each claim, whether its lease was still running.
    """
    try:
        connection.send_packed_command(connection.pack_commands(renewals(batches, lease)))
        return [bool(number) for _ in batches for number in connection.read_response()]
    finally:
        connection.disconnect()


def renewals(batches: Sequence[Sequence[tuple[Any, str]]], lease: float) -> list[list[Any]]:
    """Return the commands that `renew_over()` sends."""
    # EVAL, because a new server would not know the script by its hash.
    return [
        ["EVAL", RENEW, len(batch), *names, milliseconds(lease), *map(claimed, tokens)]
        for batch in batches
        for names, tokens in [zip(*batch, strict=True)]
    ]


def milliseconds(seconds: float) -> int:
    """Return the lifetime of a key as a script expects it, within the server's limits.

    A server refuses a time that is too large. COMPLETE would already have deleted the key by then.
    """
    return max(1, round(min(seconds, _FOR_EVER) * 1000))
