"""Write the lists of providers into the pages: `python -m docs.write_providers`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from tests.vectors import provider_vectors

from frappe_hooksig import Scheme, providers

PAGE = Path(__file__).with_name("providers.md")
API = Path(__file__).with_name("api.md")

_COLUMNS = (
    *("name", "sender", "header", "signed", "written as"),
    *("window", "secret", "retries", "requests"),
)
_SHOWN = 4  # headers of one scheme
_ASSUMED = 60  # seconds: where a scheme does not say for how long a sender tries
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
_DIGESTS = {"sha1": "SHA-1", "sha256": "SHA-256", "sha512": "SHA-512"}
_FORMATS = {"text": "text", "hex": "hex of the key", "whsec": "`whsec_` and base64 of the key"}


def written(page: str) -> str:
    """Return a page with its lists as they should be."""
    lists = (("table", _table()), ("unsupported", _unsupported()), ("constants", _constants()))
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
        title = f"[{scheme.title}]({scheme.definition})" if scheme.definition else scheme.title
        yield _line(
            [
                f"`{scheme.name}`",
                title,
                _headers(scheme),
                f"`{scheme.signed}`" if scheme.signed else "nothing",
                _written_as(scheme),
                f"{scheme.tolerance:g} s" if scheme.signs_timestamp else "-",
                f"`{scheme.secret_prefix}...`"
                if scheme.secret_prefix
                else _FORMATS[scheme.secret_format],
                _duration(scheme.retry_horizon) if scheme.retry_horizon != _ASSUMED else "-",
                str(vectors[scheme.name] or "by openssl"),
            ]
        )


def _unsupported() -> Iterator[str]:
    for name, why in providers.UNSUPPORTED.items():
        yield f"- `{name}`: {why}"


def _constants() -> Iterator[str]:
    names = (f"`{name.upper().replace('-', '_')}`" for name in providers.names())
    yield from wrap(f"{', '.join(names)}.", 110)


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _headers(scheme: Scheme) -> str:
    names = [f"`{name}`" for name in scheme.header_names]
    return ", ".join(names if len(names) <= _SHOWN else [names[0], "...", names[-1]])


def _written_as(scheme: Scheme) -> str:
    if not scheme.signs_body:
        return "the secret itself"
    prefix = f"`{scheme.prefix}`, " if scheme.prefix else ""
    return f"{prefix}{scheme.encoding}, {_DIGESTS[scheme.digest]}"


def _duration(seconds: float) -> str:
    unit, size = next(each for each in _UNITS if seconds % each[1] == 0)
    return f"{seconds / size:g} {unit}"


if __name__ == "__main__":
    for path in (PAGE, API):
        path.write_text(written(path.read_text("utf-8")), "utf-8")
