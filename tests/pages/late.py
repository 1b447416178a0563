"""An open trace says when more spans of it come, and shows them when it is asked to."""

from browser import browser, pages_and_otlp
from spans import Trace

home, otlp = pages_and_otlp()


def late_span(trace, parent):
    """Send one more span of a trace."""
    late = Trace(trace_id=trace.id)
    late.start = trace.start
    late.span("back", "late", 5, 9, parent, 2)
    late.send(otlp)


trace = Trace()
root = trace.span("front", "enter", 0, 50, kind=2)
trace.send(otlp)
with browser() as page:
    with page.expect_response("**/live?trace_id=*"):
        page.goto(f"{home}/trace/{trace.id}#span-{root}")
    other = Trace()
    other.span("front", "other", 0, 5)
    other.send(otlp)
    late_span(trace, root)
    page.get_by_role("link", name="1 more span came").wait_for()
    late_span(trace, root)
    page.evaluate("window.sameDocument = true")
    link = page.get_by_role("status").get_by_role("link", name="2 more spans came")
    link.wait_for()
    assert page.locator("#spans > li").count() == 1, "nothing moves until it is asked for"
    link.click()
    # The lines stand there before the script has opened the span that the address names.
    page.locator("#spans > li").nth(2).wait_for()
    page.locator(f"#span-{root} details[open]").wait_for()
    assert page.url.endswith(f"#span-{root}") and not page.evaluate("window.sameDocument ?? false")
    assert page.locator("#late a").count() == 0

# A trace of which only logs have come.
logs = Trace()
logs.log("front", 1, "INFO", "begun")
logs.send(otlp)
with browser() as page:
    page.goto(f"{home}/trace/{logs.id}")
    logs.logs = []
    logs.span("front", "enter", 0, 50)
    logs.send(otlp)
    page.get_by_role("link", name="1 more span came").click()
    page.locator("#spans > li").wait_for()

with browser(javascript=False) as page:
    page.goto(f"{home}/trace/{trace.id}")
    assert page.locator("#late").inner_text() == ""
