"""Chromium as the tests drive it: windows of several looks, and what every page has to stand."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright

from tests.clients import node

SCREENSHOTS = Path(__file__).parents[2] / "screenshots"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WCAG_22_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
EXPECTED_NOISE = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")
"""Chromium says so of every page whose status is an error's; the page itself is what a test asked for."""


@dataclass(frozen=True, slots=True)
class Look:
    """How wide a window is (CSS pixels) and which colours it prefers."""

    name: str
    width: int
    height: int
    colours: Literal["light", "dark"] = "light"
    scale: float = 1


LIGHT = Look("light", 1280, 900)
DARK = Look("dark", 1280, 900, "dark")
PHONE = Look("phone", 390, 844, scale=2)
PHONE_DARK = Look("phone-dark", 390, 844, "dark", scale=2)
ZOOMED = Look("zoomed", 640, 450, scale=2)
"""What a window of 1280 by 900 pixels is at a zoom of 200 %."""
NARROWEST = Look("narrowest", 320, 640)
"""WCAG 2.2, 1.4.10 Reflow."""
LOOKS = (LIGHT, DARK, PHONE, PHONE_DARK, ZOOMED, NARROWEST)
EXAMINED = (LIGHT, DARK, PHONE)
"""The looks that axe-core examines; what it looks for does not differ in the others."""


def chromium() -> str:
    """The path of a Chromium that is installed."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("These tests drive a real browser: install Chromium (Debian: apt-get install chromium)", False)
    return found


def launch(playwright: Playwright) -> Browser:
    """One browser process, without the sandbox that needs privileges, and without any host name but our own."""
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    ]
    return playwright.chromium.launch(executable_path=chromium(), args=arguments)


@cache
def axe() -> str:
    """The source of axe-core."""
    return (node.install() / "axe-core" / "axe.min.js").read_text()


@dataclass
class Window:
    """One page in one look, with everything that it complained about."""

    page: Page
    look: Look
    complaints: list[str] = field(default_factory=list)

    def open(self, url: str) -> Page:
        """Go there."""
        self.page.goto(url)
        return self.page

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not EXPECTED_NOISE.search(message.text):
            self.complaints.append(message.text)

    def check(self, name: str) -> None:
        """A picture, then: no complaint (CSP violations are some), nothing wider than the window, axe finds nothing."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}-{self.look.name}.png", full_page=True)
        complaints, self.complaints = self.complaints, []
        complaints += wider_than_window(self.page)
        if self.look in EXAMINED:
            complaints += violations(self.page)
        assert not complaints, "\n".join([f"{name} in {self.look.name}:", *complaints])


@contextmanager
def window(browser: Browser, look: Look, storage: Any = None, **options: Any) -> Iterator[Window]:
    """A window of its own, with the cookies of `storage`."""
    context: BrowserContext = browser.new_context(
        viewport={"width": look.width, "height": look.height},
        color_scheme=look.colours,
        device_scale_factor=look.scale,
        reduced_motion="reduce",
        storage_state=storage,
        **options,
    )
    context.set_default_timeout(10_000)
    try:
        made = Window(context.new_page(), look)
        made.page.on("console", made.hear)
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        yield made
    finally:
        context.close()


def wider_than_window(page: Page) -> list[str]:
    """The elements that stick out at the right when the page scrolls sideways at all."""
    found: list[str] = page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth;
            if (document.scrollingElement.scrollWidth <= width) return [];
            return [...document.body.querySelectorAll("*")]
                .filter((each) => each.getBoundingClientRect().right > width + 1)
                .map((each) => each.outerHTML.slice(0, 120));
        }"""
    )
    return found


def violations(page: Page) -> list[str]:
    """What axe-core holds against the page, one line per rule."""
    page.evaluate(axe())
    answer: dict[str, Any] = page.evaluate(
        "(tags) => axe.run(document, { runOnly: tags, resultTypes: ['violations'] })", WCAG_22_AA
    )
    return [
        f"{each['id']}: {each['help']} ({'; '.join(spot['html'][:160] for spot in each['nodes'][:3])})"
        for each in answer["violations"]
    ]
