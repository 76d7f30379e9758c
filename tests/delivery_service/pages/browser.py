"""A headless Chromium that reaches this machine only."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.delivery_service.pages.visiting import PASSWORD

SECONDS_TO_WAIT = 20
DESKTOP = (1280, 800)
PHONE = (360, 740)

_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # the tests may run as root
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    # Nothing but the service is to be reached.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-pings",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class Browser:
    """A window.

    Attributes:
        driver: What selenium calls it.
    """

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def resize(self, size: tuple[int, int], *, is_dark: bool = False) -> None:
        """Give the page a size in pixels, and a scheme of colours."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def open(self, url: str) -> None:
        """Load a page."""
        self.driver.get(url)

    def log_in(self, url: str, email: str) -> None:
        """Log in."""
        self.open(f"{url}/login")
        self.field("Email").send_keys(email)
        self.field("Password").send_keys(PASSWORD + Keys.ENTER)
        self.wait_for("Log out")

    def text(self) -> str:
        """Return what can be read."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    def wait_for(self, text: str) -> None:
        """Wait until a text can be read."""
        # The page may change while it is read.
        wait = WebDriverWait(self.driver, SECONDS_TO_WAIT, 0.05, [StaleElementReferenceException])
        try:
            wait.until(lambda _: text in self.text())
        except TimeoutException:
            msg = f"{text!r} is not in:\n{self.text()}"
            raise AssertionError(msg) from None

    def field(self, label: str) -> WebElement:
        """Return the field with a label."""
        found = self.driver.find_element(By.XPATH, f'//label[normalize-space()="{label}"]')
        return self.driver.find_element(By.ID, str(found.get_attribute("for")))

    def click(self, name: str) -> None:
        """Click a button or a link."""
        self._named(name).click()

    def tab_to(self, name: str, most: int = 40) -> None:
        """Go to a control with the Tab key alone."""
        wanted = self._named(name)
        for _ in range(most):
            self.press(Keys.TAB)
            if self.driver.switch_to.active_element == wanted:
                return
        msg = f"the Tab key does not reach {name!r}"
        raise AssertionError(msg)

    def press(self, keys: str) -> None:
        """Press keys, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(keys)

    def _named(self, name: str) -> WebElement:
        path = f'//*[self::a or self::button or self::summary][normalize-space()="{name}"]'
        return self.driver.find_element(By.XPATH, path)

    def width_of_content(self) -> int:
        """Return how wide the page is, in pixels."""
        return int(self.driver.execute_script("return document.documentElement.scrollWidth"))

    def complaints(self) -> list[str]:
        """Return what the console warns of: violations of the policy, errors, and the like."""
        entries: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [each["message"] for each in entries if each["level"] != "INFO"]


@contextmanager
def browser(folder: Path, *, has_scripts: bool = True) -> Iterator[Browser]:
    """Run a browser until the block ends.

    Args:
        folder: Where it keeps its things.
        has_scripts: Whether JavaScript is on.
    """
    options = ChromeOptions()
    for each in (*_ARGUMENTS, f"--user-data-dir={folder}"):
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not has_scripts:
        setting = "profile.managed_default_content_settings.javascript"
        options.add_experimental_option("prefs", {setting: 2})
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, "chromium is missing: apt-get install chromium"
    assert driver, "chromedriver is missing: apt-get install chromium-driver"
    options.binary_location = chromium
    window = Chrome(options, Service(driver))
    try:
        yield Browser(window)
    finally:
        window.quit()
