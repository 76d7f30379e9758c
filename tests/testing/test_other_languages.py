"""Receivers in Node and PHP are judged over HTTP, as those in Python are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from frappe_hooksig import Scheme, providers
from frappe_hooksig.testing import judge_receiver
from tests.loopback import free_port, served, wait_until_open
from tests.senders import secret_of
from tests.testing.wrong_receivers import LIMIT

FOLDER = Path(__file__).parent / "receivers"
FRAPPE, GITHUB, STRIPE = providers.FRAPPE, providers.GITHUB, providers.STRIPE

pytestmark = [pytest.mark.stress, pytest.mark.long]


@contextmanager
def node(name: str, secret: str, _seen: Path) -> Iterator[int]:
    """Run a receiver in Node; its port."""
    command = ["node", str(FOLDER / "receiver.mjs"), name]
    with served(command, environment={"SECRET": secret}) as server:
        yield server.port


@contextmanager
def php(name: str, secret: str, seen: Path) -> Iterator[int]:
    """Run a receiver in PHP; its port."""
    port = free_port()
    command = ["php", "-S", f"127.0.0.1:{port}", str(FOLDER / "receiver.php")]
    environment = {"SECRET": secret, "RECEIVER": name, "SEEN": str(seen)}
    with served(command, environment=environment, ready="started"):
        wait_until_open(port)
        yield port


@pytest.mark.parametrize(
    ("run", "name", "scheme", "codes"),
    [
        (node, "frappe", FRAPPE, []),
        (node, "stripe", STRIPE, []),
        (node, "hex", FRAPPE, ["hex-for-base64"]),
        (node, "parsed", FRAPPE, ["parsed-body"]),
        (node, "decoded", FRAPPE, ["decoded-body"]),
        (node, "throwing", FRAPPE, ["crash-unsigned", "crash-non-ascii", "crash"]),
        (php, "frappe", FRAPPE, []),
        (php, "github", GITHUB, []),
        (php, "no-header", FRAPPE, ["no-header-no-check"]),
        (php, "polite", FRAPPE, ["success-on-failure"]),
        (php, "lenient", FRAPPE, ["lenient-decoding"]),
        (php, "parsed", FRAPPE, ["parsed-body"]),
        (php, "recorded-first", FRAPPE, ["recorded-before-verified"]),
    ],
)
def test_receiver(
    run: Callable[[str, str, Path], AbstractContextManager[int]],
    name: str,
    scheme: Scheme,
    codes: list[str],
    tmp_path: Path,
) -> None:
    """Right ones make no mistake; of wrong ones, the mistake is named."""
    secret = secret_of(scheme)
    with run(name, secret, tmp_path) as port:
        judgement = judge_receiver(
            f"http://127.0.0.1:{port}/webhook",
            scheme,
            secret,
            max_body=LIMIT,
            handles_once=True,
        )

    assert [mistake.code for mistake in judgement.mistakes] == codes, str(judgement)
