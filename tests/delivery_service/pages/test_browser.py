"""The page in a browser, with a worker beside it: `make stress` runs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from selenium.webdriver.common.keys import Keys

from frappe_hooksig.outbox import Worker
from frappe_hooksig.sending import RetrySchedule
from frappe_hooksig.testing import Answer, FakeReceiver
from tests.delivery_service.pages.browser import DESKTOP, PHONE, Browser, browser
from tests.delivery_service.pages.visiting import email_of
from tests.delivery_service.running import Service

pytestmark = [pytest.mark.long, pytest.mark.stress]

QUICK = RetrySchedule((1.0, 1.0))
HOSTILE = b"</pre><script>document.title='x'</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser."""
    with browser(tmp_path_factory.mktemp("browser")) as each:
        yield each


@pytest.fixture(scope="module")
def without_scripts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose JavaScript is off."""
    with browser(tmp_path_factory.mktemp("browser"), has_scripts=False) as each:
        yield each


@contextmanager
def worker(service: Service) -> Iterator[None]:
    """Send what is due, until the block ends."""
    each = Worker(service.state.outbox, slots=4)
    thread = Thread(target=each.run)
    thread.start()
    try:
        yield
    finally:
        each.stop()
        thread.join(30)


def visit(window: Browser, service: Service, tenant: str) -> None:
    """Log in in a window of the usual size."""
    window.driver.delete_all_cookies()
    window.resize(DESKTOP)
    window.log_in(service.url, email_of(tenant))


def test_from_the_first_login(service: Service, tenant: str, window: Browser) -> None:
    """Somebody adds an endpoint, sends a test, and sees it arrive, without loading the page."""
    visit(window, service, tenant)
    with FakeReceiver() as receiver, worker(service):
        window.click("Add the first one")
        window.field("URL").send_keys(receiver.url)
        window.field("Description").send_keys("Shop")
        window.click("Add")
        window.wait_for("it is shown only this once")
        secret = window.field("Secret").get_attribute("value") or ""
        window.click("Copy")
        window.wait_for("Copied.")
        window.click("I have stored it")
        window.wait_for("Latest deliveries")
        assert secret.startswith("whsec_")
        assert secret not in window.driver.page_source

        window.click("Send a test")
        window.wait_for("The receiver has it, after 1 attempt.")
    window.click("Deliveries")
    window.wait_for("Shop")
    window.tab_to("Show")
    window.resize(PHONE)
    window.click("Filter")
    window.field("State").send_keys("Given up")
    window.click("Show")
    window.wait_for("No deliveries here")

    assert window.complaints() == []


def test_failure_and_sending_again(service: Service, tenant: str, window: Browser) -> None:
    """A failed attempt, its retry and what is sent once more show up by themselves."""
    visit(window, service, tenant)
    with FakeReceiver([Answer(500, HOSTILE), 200]) as receiver:
        endpoint = service.endpoint(tenant, receiver.url, schedule=QUICK)
        window.open(f"{service.url}/endpoints/{endpoint}")
        window.click("Send a test")
        window.wait_for("It is to be sent now.")
        with worker(service):
            window.wait_for("Attempt 1 Refused")
            window.wait_for("The receiver has it, after 2 attempts.")
            window.click("What the receiver answered")
            window.wait_for("<script>document.title='x'</script>")
            window.click("Send again")
            window.wait_for("The delivery is sent again, with the same id.")
            window.wait_for("The receiver has it, after 3 attempts.")
            address = window.driver.current_url
            window.click("Send as new")
            window.wait_for("The message is sent as new")
            window.wait_for("The receiver has it, after 1 attempt.")

        ids = [each.header("webhook-id") for each in receiver.requests]
    assert window.driver.current_url != address
    assert "Delivery" in window.driver.title
    assert len(set(ids[:3])) == 1
    assert ids[3] != ids[0]
    assert window.complaints() == []


def test_pause_and_resume(service: Service, tenant: str, window: Browser) -> None:
    """A pause and its end change the page in its place; the focus is on what was done."""
    visit(window, service, tenant)
    endpoint = service.endpoint(tenant, description="Shop")
    window.open(f"{service.url}/endpoints/{endpoint}")
    window.field("Reason, for those who look at it later").send_keys("we move")
    window.click("Pause")
    window.wait_for("We move.")
    focused = window.driver.switch_to.active_element.text
    window.click("Resume")
    window.wait_for("The endpoint gets deliveries again.")

    assert focused == "The endpoint is paused. What is published for it collects."
    assert window.complaints() == []


def test_keyboard(service: Service, tenant: str, window: Browser) -> None:
    """Everything is reached with Tab, and done with Enter."""
    window.driver.delete_all_cookies()
    window.open(f"{service.url}/login")
    window.press(email_of(tenant))
    window.press(Keys.TAB)
    window.press("correct horse battery" + Keys.ENTER)
    window.wait_for("There are no endpoints yet")
    window.press(Keys.TAB)
    window.press(Keys.ENTER)  # skips to the content
    window.tab_to("Add the first one", 2)
    window.press(Keys.ENTER)
    window.wait_for("Event types, one in a line")
    for _ in range(20):
        window.press(Keys.TAB)
        if window.driver.switch_to.active_element.get_attribute("id") == "url":
            break
    window.press("https://hooks.example/" + Keys.ENTER)
    window.wait_for("it is shown only this once")
    window.tab_to("I have stored it")
    window.press(Keys.ENTER)
    window.wait_for("Latest deliveries")
    window.tab_to("Pause")
    window.press(Keys.ENTER)
    window.wait_for("The endpoint is paused.")
    window.tab_to("Resume", 3)
    window.press(Keys.ENTER)
    window.wait_for("The endpoint gets deliveries again.")
    window.tab_to("Delete")
    window.press(Keys.ENTER)
    window.wait_for("Delete this endpoint?")
    window.tab_to("Delete the endpoint")
    window.press(Keys.ENTER)
    window.wait_for("The endpoint was deleted.")
    window.tab_to("Log out")
    window.press(Keys.ENTER)
    window.wait_for("You are logged out.")

    assert window.complaints() == []


def test_policy(service: Service, tenant: str, window: Browser) -> None:
    """What a page must not have is refused, and the console says so: the other tests look there."""
    visit(window, service, tenant)
    window.driver.execute_script(
        "const script = document.createElement('script');"
        "script.textContent = 'document.title = 1';"
        "document.body.append(script)"
    )
    (complaint,) = window.complaints()

    assert "Content Security Policy" in complaint
    assert window.driver.title.startswith("Endpoints")


PAGES = (
    "/endpoints",
    "/endpoints/new",
    "/endpoints/{endpoint}",
    "/endpoints/{endpoint}/change",
    "/endpoints/{endpoint}/rotate",
    "/endpoints/{endpoint}/delete",
    "/deliveries",
    "/deliveries/{delivery}",
    "/messages",
    "/messages/{message}",
    "/messages/new",
    "/keys",
    "/nothing",
)


def test_phone(service: Service, tenant: str, window: Browser) -> None:
    """At the width of a phone, no page is wider, whatever it shows."""
    visit(window, service, tenant)
    long = "a" * 120
    with FakeReceiver([Answer(500, b"x" * 5000)]) as receiver:
        url = f"{receiver.url}{long * 8}"
        endpoint = service.endpoint(tenant, url, schedule=QUICK, description=long)
        (delivery,) = service.deliver(tenant, f"a.{long}", {long * 20: [long]})
    ids = {
        "endpoint": endpoint,
        "delivery": delivery.id,
        "message": delivery.message_id,
    }
    window.resize(PHONE)
    widths = {}
    for path in PAGES:
        window.open(service.url + path.format(**ids))
        widths[path] = window.width_of_content()

    assert {path: width for path, width in widths.items() if width > PHONE[0]} == {}


def test_without_scripts(service: Service, tenant: str, without_scripts: Browser) -> None:
    """Without JavaScript, everything works, too; a page is loaded again to see what is new."""
    window = without_scripts
    window.resize(DESKTOP)
    window.log_in(service.url, email_of(tenant))
    with FakeReceiver() as receiver:
        window.click("Add the first one")
        window.field("URL").send_keys(receiver.url)
        window.click("Add")
        window.wait_for("it is shown only this once")
        window.click("I have stored it")
        window.click("Pause")
        window.wait_for("The endpoint is paused.")
        window.click("Resume")
        window.wait_for("The endpoint gets deliveries again.")
        window.click("Send a test")
        window.wait_for("It is to be sent now.")
        service.state.outbox.drain()
        window.driver.refresh()
        window.wait_for("The receiver has it, after 1 attempt.")
        window.click("Send again")
        window.wait_for("The delivery is sent again, with the same id.")
        service.state.outbox.drain()
        window.driver.refresh()
        window.click("Send as new")
        window.wait_for("The message is sent as new")
        (found,) = service.state.account(tenant).endpoints(limit=2)
        window.open(f"{service.url}/endpoints/{found.endpoint.id}")
        window.click("Delete")
        window.click("Delete the endpoint")
        window.wait_for("There are no endpoints yet")
    window.click("Log out")
    window.wait_for("You are logged out.")
