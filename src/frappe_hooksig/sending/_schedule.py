"""`RetrySchedule`: when a webhook that did not arrive is sent again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import random as random_part
from typing import Final, cast

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.sending._attempt import LONGEST_WAIT, Attempt

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR

# Longer delays are probably milliseconds.
_LONGEST: Final = 30 * _DAY

# The outcomes after which another attempt may succeed. A receiver that says 410 wants no more
# webhooks (Standard Webhooks). A blocked address stays blocked until somebody allows it.
_TRY_AGAIN: Final = frozenset({"refused", "unreachable"})


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """When to try again. It keeps no state, so all senders may share one.

    >>> RetrySchedule((1, 4, 10)).duration
    15

    Attributes:
        delays: Seconds from the end of the first attempt to the second, from the second to the
            third, and so on. There is one attempt more than delays; without any, only one.
        jitter: The part by which each delay is stretched at most, from 0 to 1. How much it is, is
            random. So webhooks that failed at the same moment do not all come back at the same
            moment.

    Raises:
        ConfigurationError: A delay is not a number of seconds from 0 to 30 days, or the jitter is
            not a number from 0 to 1.
    """

    delays: tuple[float, ...]
    jitter: float = 0.1

    def __post_init__(self) -> None:
        given: object = self.delays
        if not isinstance(given, list | tuple):
            msg = "delays= must be a tuple of seconds, such as (1, 4, 10)"
            raise ConfigurationError(msg)
        delays = tuple(cast("list[object] | tuple[object, ...]", given))
        object.__setattr__(self, "delays", delays)  # of a list too, so that nobody changes it
        for number, delay in enumerate(delays, 1):
            if not _is_within(delay, _LONGEST):
                msg = f"delays= must be seconds from 0 to {_LONGEST}: number {number} is not"
                raise ConfigurationError(msg)
        if not _is_within(self.jitter, 1):
            msg = "jitter= must be a number from 0 to 1, such as 0.1"
            raise ConfigurationError(msg)

    @property
    def duration(self) -> float:
        """The seconds from the first to the last attempt, if attempts took no time.

        Jitter is not counted, nor is Retry-After.
        """
        return sum(self.delays)

    def delay(
        self, attempts: int, attempt: Attempt, *, random: Callable[[], float] = random_part
    ) -> float | None:
        """Return the seconds until the next attempt; None if there is to be none.

        There is none after an attempt that is delivered, gone or blocked, and after the last one. A
        receiver can ask for a longer delay (Retry-After), up to a day. It cannot ask for a shorter
        one.

        Args:
            attempts: The number of attempts so far, with this one.
            attempt: The last attempt.
            random: Returns a random number from 0 to 1, for the jitter.

        Raises:
            ConfigurationError: `attempts` is not a whole number from 1 on.
        """
        if not isinstance(attempts, int) or attempts < 1:
            msg = "attempts= must be the number of attempts so far, from 1 on"
            raise ConfigurationError(msg)
        least = self._least(attempts, attempt)
        return None if least is None else self._stretched(least, random)

    def _least(self, attempts: int, attempt: Attempt) -> float | None:
        """Return the delay without jitter."""
        if attempt.outcome not in _TRY_AGAIN or attempts > len(self.delays):
            return None
        delay, wish = self.delays[attempts - 1], attempt.retry_after
        if wish is not None and wish > delay:  # NaN is not
            delay = max(delay, min(wish, LONGEST_WAIT))
        return delay

    def _stretched(self, delay: float, random: Callable[[], float]) -> float:
        # One that was asked for too: the receiver has said the same to all its senders.
        return delay * (1 + self.jitter * random())

    def run(
        self,
        attempt: Callable[[], Attempt],
        *,
        within: float | None = None,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = random_part,
        clock: Callable[[], float] = time.monotonic,
    ) -> list[Attempt]:
        """Make all attempts in this process, and return them, the last one last.

        It sleeps between them. If the process ends meanwhile, nobody tries again: for delays of
        more than seconds, keep a table of what is to be sent.

        A receiver cannot keep it for long: with Retry-After, the pauses take at most a minute more
        in total than the schedule has.

        >>> attempts = QUICK.run(lambda: sender.send(url, payload, id="msg_1"))  # doctest: +SKIP

        Args:
            attempt: Makes one attempt. Pass the same id each time, or the receiver takes each
                attempt for another message.
            within: Seconds after the start in which the last attempt has to begin. An attempt that
                would begin later is not made, whatever delays or Retry-After say. If there is no
                time left for jitter, the delay has less of it. By default, how long attempts take
                does not matter.
            sleep: Waits for some seconds.
            random: Returns a random number from 0 to 1, for the jitter.
            clock: Returns a time in seconds that is never put back.

        Raises:
            ConfigurationError: `within` is not a number of seconds from 0 to 30 days, `attempt` is
                not a function, or it returns something else than an `Attempt`.
        """
        if not callable(attempt):
            msg = "run() takes a function: run(lambda: sender.send(url, payload, id=...))"
            raise ConfigurationError(msg)
        if within is not None and not _is_within(within, _LONGEST):
            msg = f"within= must be seconds from 0 to {_LONGEST}, or None for no limit"
            raise ConfigurationError(msg)
        start = clock()
        attempts: list[Attempt] = []
        paused = 0.0
        while True:
            attempts.append(_made(attempt))
            least = self._least(len(attempts), attempts[-1])
            left = self.duration + _MINUTE - paused
            if within is not None:
                left = within - (clock() - start)
            if least is None or least > left:
                return attempts
            pause = min(self._stretched(least, random), left)
            paused += pause
            sleep(pause)


def _made(attempt: Callable[[], Attempt]) -> Attempt:
    made = attempt()
    if not isinstance(made, Attempt):
        msg = f"run() takes a function that returns an Attempt, not a {type(made).__name__}"
        raise ConfigurationError(msg)
    return made


def _is_within(value: object, most: float) -> bool:
    # NaN is not, and no float has to be made of a huge int.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


#: Ten attempts over 75.6 hours: a receiver may be down over a weekend. It is the example in the
#: specification of Standard Webhooks.
#: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
STANDARD_WEBHOOKS: Final = RetrySchedule(
    (
        5,
        5 * _MINUTE,
        30 * _MINUTE,
        2 * _HOUR,
        5 * _HOUR,
        10 * _HOUR,
        14 * _HOUR,
        20 * _HOUR,
        24 * _HOUR,
    )
)

#: Eight attempts over 27.6 hours, as long as Frappe after 16.4 tries: from five minutes on at the
#: same times as Frappe, which makes two quick attempts where this schedule has one after 5 seconds.
#: https://github.com/frappe/frappe/pull/38913
FRAPPE: Final = RetrySchedule(
    (5, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 10 * _HOUR)
)

#: Four attempts over 15 seconds: for a process that waits, such as a command or a background job.
QUICK: Final = RetrySchedule((1, 4, 10))
