"""Drives a headless Chromium: one JSON object a line in, one out. Run by another interpreter.

Each line names what to do under "do"; the answer is {"told": ...} or {"failed": sentence}.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

WAIT_S = 15.0
WAIT_MS = WAIT_S * 1_000
#: what the page broke of its content policy, gathered before its own script runs
WATCH = """
window.broken = [];
document.addEventListener("securitypolicyviolation",
  (event) => window.broken.push(`${event.violatedDirective} ${event.blockedURI}`));
window.longTasks = [];
new PerformanceObserver((list) =>
  window.longTasks.push(...list.getEntries().map((entry) => [entry.startTime, entry.duration])))
  .observe({ type: "longtask", buffered: true });
"""


class Slow(Exception):
    """What was waited for did not come."""


class Driver:
    """One browser with one page at a time, and everything that the page asked for."""

    def __init__(self, browser: Any, axe: Any) -> None:
        self._browser = browser
        self._axe = axe
        self._page: Any = None
        self.requests: list[str] = []
        self.errors: list[str] = []

    def open(self, url: str, size: tuple[int, int] = (1440, 900), **profile: Any) -> None:
        """Open an address in a fresh profile, light and with script unless it says otherwise."""
        if self._page is not None:
            self._page.context.close()
        context = self._browser.new_context(
            viewport=dict(zip(("width", "height"), size, strict=True)), **profile
        )
        context.add_init_script(WATCH)
        self._page = context.new_page()
        self.requests, self.errors = [], []
        self._page.on("request", lambda request: self.requests.append(request.url))
        self._page.on("pageerror", lambda error: self.errors.append(str(error)))
        self._page.goto(url, wait_until="domcontentloaded")

    def wait(self, expression: str) -> None:
        """Wait until an expression of JavaScript is true."""
        # Not in the page itself: its policy forbids to evaluate text.
        until_s = time.monotonic() + WAIT_S
        while not self._page.evaluate(expression):
            if time.monotonic() > until_s:
                raise Slow(f"was not true within {WAIT_S} s")
            self._page.wait_for_timeout(50)

    def arrive(self, url: str) -> None:
        """Wait until the page that a click or the page before leads to is there."""
        self._page.wait_for_url(url, wait_until="domcontentloaded", timeout=WAIT_MS)

    def evaluate(self, expression: str) -> Any:
        """Return what an expression of JavaScript is."""
        return self._page.evaluate(expression)

    def click(self, selector: str) -> None:
        """Click the one element that the selector names."""
        self._page.click(selector, timeout=WAIT_MS)

    def type(self, selector: str, text: str) -> None:
        """Fill in a field."""
        self._page.fill(selector, text, timeout=WAIT_MS)

    def press(self, key: str) -> None:
        """Press a key."""
        self._page.keyboard.press(key)

    def picture(self, path: str, whole: bool = False) -> None:
        """Write what is to be seen as PNG, or the whole page."""
        self._page.screenshot(path=path, full_page=whole)

    def words(self, selector: str) -> str:
        """Return what a reader sees of an element, script or not."""
        return str(self._page.locator(selector).first.inner_text(timeout=WAIT_MS))

    def axe(self) -> list[str]:
        """Return what axe finds serious or critical."""
        found = self._axe.run(self._page).response["violations"]
        return [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def report(self) -> dict[str, Any]:
        """Return what the page asked for, and what went wrong in it."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "broken": self.evaluate("window.broken"),
            "long_tasks": self.evaluate("window.longTasks"),
        }


def main(chromium: str) -> None:
    """Obey the lines of standard input until it ends."""
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 - not in the desk's own
    from playwright.sync_api import Error, sync_playwright  # noqa: PLC0415 - environment

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        driver = Driver(browser, Axe())
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                answer = {"told": getattr(driver, asked.pop("do"))(**asked)}
            except (Error, Slow) as error:
                answer = {"failed": str(error)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
