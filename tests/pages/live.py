"""A new trace appears within a second, without a reload, where it fits; not while paused."""

import contextlib

from playwright.sync_api import TimeoutError

from browser import browser, pages_and_otlp
from spans import sandbox

home, otlp = pages_and_otlp()


def appear_within_a_second(page):
    """Send traces until one appears in time: the first usually, the third on a machine that has other things to do."""
    sent = []
    for _ in range(3):
        sent.append(sandbox(failing=True).send(otlp))
        with contextlib.suppress(TimeoutError):
            page.locator(f"[data-trace='{sent[-1].id}']").wait_for(timeout=1_000)
            return sent
    raise AssertionError("no trace appeared within a second")


with browser() as page:
    page.goto(f"{home}/?status=error")
    page.wait_for_selector("#live-state.on")
    page.evaluate("window.sameDocument = true")
    other = sandbox().send(otlp)
    rows = [page.locator(f"[data-trace='{trace.id}']") for trace in appear_within_a_second(page)]
    assert "new" in rows[-1].get_attribute("class"), "it is highlighted"
    assert page.locator(f"[data-trace='{other.id}']").count() == 0, "it does not fit"

    page.get_by_role("button", name="Pause").click()
    assert page.locator("#live-state").inner_text() == "paused"
    with page.expect_event("console", lambda said: said.text == "told", timeout=5_000):
        # The stream tells it all the same; what the page does then has been done when this is heard.
        page.evaluate("new EventSource('/live').onmessage = () => setTimeout(() => console.log('told'), 300)")
        late = sandbox(failing=True).send(otlp)
    assert page.locator(f"[data-trace='{late.id}']").count() == 0
    page.get_by_role("button", name="Go on").click()
    page.locator(f"[data-trace='{late.id}']").wait_for()
    assert page.evaluate("window.sameDocument"), "nothing was loaded again"
    assert page.locator("[data-trace]").first.get_attribute("data-trace") == late.id, "the newest is first"

with browser() as page:
    # The first trace of all takes the place of the words that say how to send one.
    page.goto(f"{home}/?operation=first")
    page.wait_for_selector("#live-state.on")
    trace = sandbox()
    trace.span("shop", "first", 0, 1)
    trace.send(otlp)
    page.locator(f"[data-trace='{trace.id}']").wait_for()
