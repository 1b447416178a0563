"""The waterfall: what stands out, collapse and expand, the keyboard, links, copy as curl."""

from browser import browser, pages_and_otlp
from spans import sandbox, Trace

home, otlp = pages_and_otlp()
trace = sandbox(failing=True).send(otlp)
with browser() as page:
    page.goto(f"{home}/trace/{trace.id}")
    rows = page.locator("#spans > li")
    shown = page.locator("#spans > li:not([hidden])")
    name = lambda: page.evaluate("document.activeElement.querySelector('.name')?.textContent")
    assert rows.count() == 12
    assert page.get_by_role("tree").get_by_role("treeitem").count() == 12
    assert page.locator("#spans .bad").count() == 1 and page.get_by_text("retry 1", exact=True).is_visible()
    assert page.locator("path.critical").count() > 5

    # Collapse and expand with the pointer.
    rows.nth(2).locator(".twist").click()
    assert shown.count() == 3 and rows.nth(2).get_attribute("aria-expanded") == "false"
    assert rows.nth(2).get_by_text("1 error below").is_visible(), "what is hidden is told"
    rows.nth(2).locator(".twist").click()
    assert shown.count() == 12
    page.get_by_role("button", name="Collapse all").click()
    assert shown.count() == 2
    page.get_by_role("button", name="Expand all").click()
    assert shown.count() == 12

    # The keyboard.
    rows.first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("j")
    assert name() == "routeToEnvoy2"
    page.keyboard.press("k")
    assert name() == "router envoy-1 egress"
    page.keyboard.press("ArrowLeft")
    assert shown.count() == 2
    page.keyboard.press("ArrowLeft")
    assert name() == "routeToEnvoy2ViaEnvoy1", "left again leads to the parent"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert shown.count() == 12
    page.keyboard.press("ArrowRight")
    assert name() == "routeToEnvoy2", "right again leads to the first child"
    page.keyboard.press("Enter")
    assert rows.nth(2).locator("details").get_attribute("open") is not None
    page.keyboard.press(" ")
    assert rows.nth(2).locator("details").get_attribute("open") is None
    page.keyboard.press("n")
    assert "bad" in page.evaluate("document.activeElement.className"), "n leads to the next error"
    page.keyboard.press("End")
    assert name() == "render"
    page.keyboard.press("c")
    assert name() == "router envoy-1 egress", "the focus goes to what is still there of the way to the hidden row"
    page.keyboard.press("k")
    assert name() == "routeToEnvoy2ViaEnvoy1"
    page.keyboard.press("j")
    assert name() == "router envoy-1 egress", "and the keys go on from there"
    page.keyboard.press("e")
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("SELECT")
    assert page.locator("#found").inner_text() == "1 of 12" and page.locator(".hit").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".hit").count() == 0

    # The details: the log and the event at their times, the command, the link.
    lost = page.locator("#spans .bad")
    lost.locator("summary").click()
    assert lost.get_by_text("upstream reset before response headers").is_visible()
    lost.get_by_role("button", name="Copy as curl").click()
    lost.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "curl 'http://localhost:10000/trace/2'"
    address = lost.get_by_role("link", name="Link to this span").get_attribute("href")
    raw = page.request.get(home + page.get_by_role("link", name="OTLP JSON").get_attribute("href")).json()
    assert sum(len(scope["spans"]) for each in raw["resourceSpans"] for scope in each["scopeSpans"]) == 12

    page.goto(home)
    page.goto(f"{home}/trace/{trace.id}{address}")
    assert lost.locator("details").get_attribute("open") is not None, "the link opens the span"
    assert page.evaluate("document.activeElement.id") == address[1:]

# Late parents and wrong clocks are said.
odd = Trace()
root = odd.span("front", "enter", 0, 50, kind=3)
odd.span("back", "early", -3, 40, root, 2)
odd.span("back", "orphan", 5, 9, "00000000000000aa", 2)
odd.send(otlp)
with browser(javascript=False) as page:
    page.goto(f"{home}/trace/{odd.id}")
    assert page.get_by_text("is missing: not received, or not yet").is_visible()
    assert "starts 3.00 ms before its parent" in page.locator(".skew").get_attribute("title")
    page.locator("summary").first.click()
    assert page.get_by_text("span id").first.is_visible(), "details open without JavaScript"
    assert page.goto(f"{home}/trace/{'1' * 32}").status == 404
    assert page.get_by_text("load this page again").is_visible()
