"""A browser in which somebody has logged in before is not locked out by strangers."""

from __future__ import annotations

import time

import pytest
from cryptography.fernet import Fernet
from delivery_service.limits import Limits
from delivery_service.pages.devices import is_known, new_device
from delivery_service.problems import Problem
from delivery_service.settings import Settings
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def settings_of(*keys: str) -> Settings:
    """Return settings with few logins."""
    return Settings.read(keys=",".join(keys), logins_per_hour=3)


def test_known() -> None:
    """A browser is known for one account, also after a new key was added."""
    cookie = new_device(settings_of(OLD), "Ann@people.example")

    assert is_known(settings_of(NEW, OLD), "ann@people.example", cookie)
    assert not is_known(settings_of(NEW), "ann@people.example", cookie)
    assert not is_known(settings_of(OLD), "bob@people.example", cookie)
    assert cookie != new_device(settings_of(OLD), "Ann@people.example")


@pytest.mark.parametrize("cookie", ["", ".", "a.b", "a", "." * 1000, "é.é"])
def test_unknown(cookie: str) -> None:
    """Any other cookie is none."""
    assert not is_known(settings_of(OLD), "ann@people.example", cookie)


def test_owner_is_not_locked_out() -> None:
    """Strangers use up the logins of an account; its owner's browser has some of its own."""
    limits = Limits(settings_of(OLD))
    for number in range(3):
        limits.count_login("ann@people.example", f"192.0.2.{number}", None)

    with pytest.raises(Problem, match="too many requests"):
        limits.count_login("Ann@people.example", "192.0.2.9", None)
    for _ in range(3):
        limits.count_login("ann@people.example", "192.0.2.9", "her browser")
    with pytest.raises(Problem, match="too many requests"):
        limits.count_login("ann@people.example", "192.0.2.9", "her browser")


def test_neighbours() -> None:
    """An address that guesses is stopped for all accounts, and locks out none of them."""
    limits = Limits(settings_of(OLD))
    for number in range(3):
        limits.count_login(f"{number}@people.example", "192.0.2.1", None)

    with pytest.raises(Problem, match="too many requests"):
        limits.count_login("ann@people.example", "192.0.2.1", None)
    limits.count_login("ann@people.example", "192.0.2.2", None)


@pytest.mark.parametrize("email", ["192.0.2.1", "2001:db8::/64", "her browser"])
def test_an_email_is_no_address(email: str) -> None:
    """What is typed as an email uses up nobody's address or browser."""
    limits = Limits(settings_of(OLD))
    for number in range(3):
        limits.count_login(email, f"198.51.100.{number}", None)

    limits.count_login("ann@people.example", email, None)
    limits.count_login("ann@people.example", "192.0.2.9", email)


def test_right_password() -> None:
    """A right password resets the account, but not its address: its owner could guess others'."""
    limits = Limits(settings_of(OLD))
    for _ in range(3):
        limits.count_login("ann@people.example", "192.0.2.1", None)
    limits.forget_logins("ann@people.example", None)

    limits.count_login("ann@people.example", "192.0.2.2", None)
    with pytest.raises(Problem, match="too many requests"):
        limits.count_login("bob@people.example", "192.0.2.1", None)


def test_form_once() -> None:
    """A form is taken once."""
    limits = Limits(settings_of(OLD))

    assert [limits.is_first_use(each, 1) for each in ("a", "a", "b")] == [True, False, True]


def test_forms_of_a_person() -> None:
    """Nobody fills the memory with the forms that were sent, and nobody else has to wait."""
    limits = Limits(settings_of(OLD))
    for number in range(200):
        limits.is_first_use(str(number), 1)

    with pytest.raises(Problem, match="too many requests"):
        limits.is_first_use("another", 1)
    assert limits.is_first_use("another", 2)


def test_names_of_strangers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stranger has typed is not in memory for longer than it counts."""
    storage = MemoryStorage()
    monkeypatch.setattr("delivery_service.limits.storage_from_string", lambda *_, **__: storage)
    monkeypatch.setattr("delivery_service.limits.RateLimitItemPerHour", RateLimitItemPerSecond)
    limits = Limits(settings_of(OLD))
    for number in range(100):
        limits.count_login(f"{number}@people.example", f"192.0.2.{number}", None)
    time.sleep(1.2)  # until they no longer count
    limits.count_login("ann@people.example", "198.51.100.1", None)  # which looks for such names
    time.sleep(0.5)

    assert len(storage.events) + len(storage.storage) == 2
