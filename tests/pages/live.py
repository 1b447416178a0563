"""A new trace appears within a second, without a reload, where it fits; not while paused."""

from browser import browser, pages_and_otlp
from spans import sandbox

home, otlp = pages_and_otlp()
with browser() as page:
    page.goto(f"{home}/?status=error")
    page.wait_for_selector("#live-state.on")
    page.evaluate("window.sameDocument = true")
    other = sandbox().send(otlp)
    fits = sandbox(failing=True).send(otlp)
    row = page.locator(f"[data-trace='{fits.id}']")
    row.wait_for(timeout=1_000)
    assert "new" in row.get_attribute("class"), "it is highlighted"
    assert page.locator(f"[data-trace='{other.id}']").count() == 0, "it does not fit"

    page.get_by_role("button", name="Pause").click()
    assert page.locator("#live-state").inner_text() == "paused"
    with page.expect_event("console", lambda said: said.text == "told", timeout=5_000):
        # The stream tells it all the same; what the page does then has been done when this is heard.
        page.evaluate("new EventSource('/live').onmessage = () => setTimeout(() => console.log('told'), 300)")
        late = sandbox(failing=True).send(otlp)
    assert page.locator(f"[data-trace='{late.id}']").count() == 0
    page.get_by_role("button", name="Go on").click()
    page.locator(f"[data-trace='{late.id}']").wait_for(timeout=1_000)
    assert page.evaluate("window.sameDocument"), "nothing was loaded again"
    assert [each.get_attribute("data-trace") for each in page.locator("[data-trace]").all()] == [late.id, fits.id]

with browser() as page:
    # The first trace of all takes the place of the words that say how to send one.
    page.goto(f"{home}/?operation=first")
    page.wait_for_selector("#live-state.on")
    trace = sandbox()
    trace.span("shop", "first", 0, 1)
    trace.send(otlp)
    page.locator(f"[data-trace='{trace.id}']").wait_for(timeout=1_000)
