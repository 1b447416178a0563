"""A headless Chromium, and what every check watches: no dialog, no error, no request to elsewhere."""

import contextlib
import sys
import tempfile
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

# A closed network must not be asked for updates, and a container has no sandbox of its own.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Watched:
    """A page whose misdeeds are noted."""

    def __init__(self, page, home):
        self.page = page
        self.misdeeds = []
        page.on("dialog", lambda dialog: (self.misdeeds.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("pageerror", lambda error: self.misdeeds.append(f"error: {error}"))
        page.on("console", self.listen)
        own = urlsplit(home).netloc

        def on_request(request):
            if urlsplit(request.url).netloc != own and not request.url.startswith("data:"):
                self.misdeeds.append(f"request: {request.url}")

        page.on("request", on_request)


    def listen(self, said):
        """Note what the console says, but that a page which was asked for is not there."""
        is_missing_page = said.location.get("url") == self.page.url and "404" in said.text
        if said.type in ("error", "warning") and not is_missing_page:
            self.misdeeds.append(f"console: {said.text}")


def pages_and_otlp():
    """The addresses of the collector that the test has started."""
    return sys.argv[1], sys.argv[2]


@contextlib.contextmanager
def browser(width=1280, height=900, scheme="light", javascript=True):
    """A page in a browser of that size; at the end it must have behaved."""
    home, _ = pages_and_otlp()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path="/usr/bin/chromium",
            args=FLAGS,
            headless=True,
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            java_script_enabled=javascript,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(15_000)
        page = context.pages[0]
        watched = Watched(page, home)
        try:
            yield page
        finally:
            context.close()
        assert not watched.misdeeds, watched.misdeeds


def overflow(page):
    """How many pixels the page is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
