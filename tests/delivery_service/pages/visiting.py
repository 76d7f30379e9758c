"""People who visit the page, and what they find in it."""

from __future__ import annotations

import html
import os
import re
from urllib.parse import urlsplit

import httpx

PASSWORD = "correct horse battery"
SESSION = "delivery-service-session"


class Visitor(httpx.Client):
    """A browser without scripts: it keeps cookies, and fills in forms.

    Attributes:
        origin: Where it says that its pages come from.
    """

    def __init__(self, url: str, origin: str) -> None:
        super().__init__(base_url=url, timeout=30, headers={"Host": urlsplit(origin).netloc})
        self.origin = origin

    def log_in(self, email: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
        """Log in."""
        every = {"email": email, "password": password, **fields}
        return self.post("/login", data=every, headers={"Origin": self.origin})

    def token(self) -> str:
        """Return the CSRF token of the session."""
        return field_of(self.get("/endpoints").text, "csrf_token")

    def submit(self, path: str, **fields: str | list[str]) -> httpx.Response:
        """Send a form as a person does, with the hidden fields that are in every page."""
        hidden = {"csrf_token": self.token(), "form_id": os.urandom(8).hex()}
        return self.post(path, data={**hidden, **fields}, headers={"Origin": self.origin})


def email_of(tenant: str) -> str:
    """Return the email of the person of a tenant."""
    return f"{tenant}@people.example"


def field_of(text: str, name: str) -> str:
    """Return the value of a field in a page."""
    found = re.search(f'name="{name}" value="([^"]*)"', text)
    assert found, text
    return html.unescape(found[1])


def secret_of(text: str) -> str:
    """Return the secret that a page shows."""
    found = re.search('<textarea id="secret"[^>]*>([^<]*)</textarea>', text)
    assert found, text
    return html.unescape(found[1])
