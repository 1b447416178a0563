"""The search finds by service, operation, status, duration, attribute and trace id, also without JavaScript."""

from browser import browser, pages_and_otlp
from spans import Trace, sandbox

home, otlp = pages_and_otlp()
with browser() as page:
    page.goto(home)
    assert page.get_by_text("No trace yet").is_visible()

good = sandbox(ago_ms=9_000).send(otlp)
bad = sandbox(ago_ms=5_000, failing=True).send(otlp)
slow = Trace(3_000)
slow.span("archive", "collect old items", 0, 2_500, tags={"reason": "nightly run", "items": 12})
slow.send(otlp)


def found(page):
    """The ids of the traces that are listed."""
    return [row.get_attribute("data-trace") for row in page.locator("[data-trace]").all()]


for javascript in (True, False):
    with browser(javascript=javascript) as page:
        page.goto(home)
        assert found(page) == [slow.id, bad.id, good.id], "newest first"
        page.get_by_label("Service").select_option("shop")
        page.get_by_role("button", name="Search").click()
        page.wait_for_url("**service=shop**")
        assert found(page) == [bad.id, good.id]
        page.get_by_label("Status").select_option("error")
        page.get_by_role("button", name="Search").click()
        page.wait_for_url("**status=error**")
        assert found(page) == [bad.id] and page.get_by_text("1 error", exact=True).is_visible()
        page.get_by_role("link", name="Clear").click()
        page.wait_for_url(f"{home}/")
        page.get_by_label("At least").fill("2s")
        page.get_by_role("button", name="Search").click()
        page.wait_for_url("**min=2s**")
        assert found(page) == [slow.id]
        page.goto(home)
        page.get_by_label("Operation").fill("reserve")
        page.get_by_label("Attributes of a span").fill('zone=a')
        page.get_by_role("button", name="Search").click()
        page.wait_for_url("**operation=reserve**")
        assert found(page) == [bad.id, good.id]
        page.goto(home)
        page.get_by_label("Attributes of a span").fill('reason="nightly run" items=12')
        page.keyboard.press("Enter")
        page.wait_for_url("**nightly**")
        assert found(page) == [slow.id]
        page.get_by_role("link", name="collect old items").click()
        page.wait_for_url(f"**/trace/{slow.id}")
        page.goto(home)
        page.get_by_label("Trace id").fill(good.id)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/trace/{good.id}")
        assert page.locator("summary").count() == 11
        page.goto(f"{home}/?min=5")
        assert "such as 5ms" in page.get_by_role("alert").inner_text(), "a number alone would be of no unit"
        page.goto(f"{home}/?status=bogus&limit=many")
        told = page.get_by_role("alert").inner_text()
        assert "“bogus” is neither error nor ok" in told and "a number from 1 to 1000" in told
        assert page.get_by_label("Status").input_value() == "bogus", "what was typed can be corrected"
        page.goto(f"{home}/?limit=2")
        assert found(page) == [slow.id, bad.id] and page.get_by_text("the newest 2 traces").is_visible()
