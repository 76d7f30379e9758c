"""Write the lists of providers into the pages: `python -m docs.write_providers`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from tests.vectors import provider_vectors

from frappe_hooksig import Scheme, providers

PAGE = Path(__file__).with_name("providers.md")
ONCE = Path(__file__).with_name("exactly-once.md")
API = Path(__file__).with_name("api.md")

_COLUMNS = ("name", "sender", "header", "signed", "written as", "secret", "requests")
_OF_REPEATS = ("sender", "signed", "time", "repeats", "retries", "answer")
_SHOWN = 4  # headers of one scheme
_ASSUMED = 60  # seconds: where a scheme does not say for how long a sender tries
_PARTS = ("id", "timestamp", "method", "url", "body")
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
_DIGESTS = {"sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512"}
_FORMATS = {
    "text": "text",
    "hex": "hex of the key",
    "base64": "base64 of the key",
    "whsec": "`whsec_` and base64 of the key",
}


def written(page: str) -> str:
    """Return a page with its lists as they should be."""
    lists = (
        ("table", _table()),
        ("repeats", _repeats()),
        ("unrecognised", _unrecognised()),
        ("unsupported", _unsupported()),
        ("constants", _constants()),
    )
    for name, lines in lists:
        before, mark, rest = page.partition(f"<!-- {name} -->\n")
        if mark:
            _, end, after = rest.partition("<!-- end -->")
            page = before + mark + "".join(f"{line}\n" for line in lines) + end + after
    return page


def _table() -> Iterator[str]:
    vectors = Counter(vector.provider for vector in provider_vectors())
    yield _line(_COLUMNS)
    yield _line(["---"] * len(_COLUMNS))
    for scheme in map(providers.get, providers.names()):
        yield _line(
            [
                f"`{scheme.name}`",
                _linked(scheme),
                _headers(scheme),
                f"`{scheme.signed}`" if scheme.signed else "nothing",
                _written_as(scheme),
                f"`{scheme.secret_prefix}...`"
                if scheme.secret_prefix
                else " or ".join(_FORMATS[each] for each in scheme.secret_formats),
                str(vectors[scheme.name] or "by openssl"),
            ]
        )


def _repeats() -> Iterator[str]:
    yield _line(_OF_REPEATS)
    yield _line(["---"] * len(_OF_REPEATS))
    for scheme in map(providers.get, providers.names()):
        signed = [part for part in _PARTS if f"{{{part}}}" in scheme.signed]
        within = scheme.response_timeout
        yield _line(
            [
                _linked(scheme),
                ", ".join(signed).replace("timestamp", "time") or "nothing",
                f"{scheme.tolerance:g} s" if scheme.signs_timestamp else "-",
                _recognised_by(scheme),
                _duration(scheme.retry_horizon) if scheme.retry_horizon != _ASSUMED else "-",
                "-" if within is None else f"within {_duration(within)}",
            ]
        )


def _recognised_by(scheme: Scheme) -> str:
    """Return what the attempts of a delivery have in common, and what tells its events apart."""
    event = f", `{scheme.event_header}`" if scheme.event_header else ""
    if scheme.dedup_by is None:
        return f"**not recognised**{event}"
    common = {"id": "signed id", "body-id": f"`{scheme.body_id}` in the body", "content": "content"}
    return common[scheme.dedup_by] + event


def _unrecognised() -> Iterator[str]:
    schemes = map(providers.get, providers.names())
    titles = [scheme.title for scheme in schemes if scheme.dedup_by is None]
    yield from wrap(f"{', '.join(titles[:-1])} and {titles[-1]}.", 110)


def _unsupported() -> Iterator[str]:
    for name, why in providers.UNSUPPORTED.items():
        yield f"- `{name}`: {why}"


def _constants() -> Iterator[str]:
    names = (f"`{name.upper().replace('-', '_')}`" for name in providers.names())
    yield from wrap(f"{', '.join(names)}.", 110)


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _linked(scheme: Scheme) -> str:
    return f"[{scheme.title}]({scheme.definition})" if scheme.definition else scheme.title


def _headers(scheme: Scheme) -> str:
    names = [f"`{name}`" for name in scheme.header_names]
    return ", ".join(names if len(names) <= _SHOWN else [names[0], "...", names[-1]])


def _written_as(scheme: Scheme) -> str:
    if not scheme.signs_body:
        return "the secret itself"
    prefix = f"`{scheme.prefix}`, " if scheme.prefix else ""
    bare = "" if scheme.algorithm == "hmac" else " without HMAC"
    return f"{prefix}{scheme.encoding}, {_DIGESTS[scheme.digest]}{bare}"


def _duration(seconds: float) -> str:
    unit, size = next(each for each in _UNITS if seconds % each[1] == 0)
    return f"{seconds / size:g} {unit}"


if __name__ == "__main__":
    for path in (PAGE, API, ONCE):
        path.write_text(written(path.read_text("utf-8")), "utf-8")
