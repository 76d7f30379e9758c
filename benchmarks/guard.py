"""Trying contenders before they are timed: one that accepts everything is fast, and worthless."""

from __future__ import annotations

from benchmarks.comparison import Contender, Request, Row


class WrongVerdict(Exception):
    """A contender accepts what is forged, or refuses what is genuine."""


def try_out(row: Row) -> None:
    """Have every contender of a row judge its requests.

    Raises:
        WrongVerdict: One of them is wrong.
    """
    for contender in (row.ours, *row.others):
        requests = contender.requests or row.requests
        if not accepts(contender, requests.genuine):
            msg = f"{row.title}: {contender.name} refuses the genuine request"
            raise WrongVerdict(msg)
        for forged in (*requests.forged, *([row.refused] if row.refused else [])):
            if accepts(contender, forged):
                msg = f"{row.title}: {contender.name} accepts a forged request"
                raise WrongVerdict(msg)


def accepts(contender: Contender, request: Request) -> bool:
    """Tell whether a contender lets a request through; what else it raises is a mistake of ours."""
    if contender.refusal is None:
        return bool(contender.check(request.body, request.headers))
    try:
        contender.check(request.body, request.headers)
    except contender.refusal:
        return False
    return True
