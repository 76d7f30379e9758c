"""A stand-in for the target."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Stand-in."""

    is_https: bool
    host: str
    port: int
    authority: str
    path: str = field(repr=False)

    @classmethod
    def of(cls, url: str) -> Target:
        """Stand-in."""
        msg = "the URL is no absolute http or https URL"
        if not re.fullmatch(r"https?://[!-~]+", url):
            raise ValueError(msg)
        parts = urlsplit(url)
        if not parts.hostname or "@" in parts.netloc:
            raise ValueError(msg)
        is_https = parts.scheme == "https"
        return cls(
            is_https=is_https,
            host=parts.hostname,
            port=(443 if is_https else 80) if parts.port is None else parts.port,
            authority=parts.netloc,
            path=f"{parts.path or '/'}{f'?{parts.query}' * bool(parts.query)}",
        )
