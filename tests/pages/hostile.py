"""Whatever a span says is shown as text: no script runs, nothing is loaded from elsewhere."""

from browser import browser, pages_and_otlp
from spans import Trace

home, otlp = pages_and_otlp()
script = "<script>alert(1)</script>"
image = "\"><img src=http://example.com/x onerror=alert(2)>"
rtl = "\u202eעברית abc \u05d0"
trace = Trace()
root = trace.span(script, image, 0, 50, None, 2, error=script, tags={
    script: image, "http.url": "javascript:alert(3)", "url.full": "http://x/'\"><script>alert(4)</script>",
    "http.method": image, "response_flags": script, "retry.count": image, "http.status_code": "5" + image,
    "big": "x" * 1_000_000 + script, rtl: rtl,
}, events=[(3, script, {image: script})])
trace.span(rtl, rtl + image, 5, 40, root, 3, tags={"peer.service": image})
trace.span("</svg><script>alert(5)</script>", "';alert(6);'", 5, 40, root, 3)
trace.log(script, 7, script, image, root)
trace.log(image, 7, image, script)
trace.send(otlp)

for javascript in (True, False):
    with browser(javascript=javascript) as page:
        page.goto(f"{home}/trace/{trace.id}")
        for summary in page.locator("summary").all():
            summary.click()
        text = page.locator("main").inner_text()
        for part in (script, image, "of 976 KiB", "all of it in the JSON"):
            assert part in text, part
        assert len(page.content()) < 100_000, "a long text is cut"
        for path in ("/", "/debug/tracez", "/map", "/?service=%3Cscript%3Ealert(7)%3C/script%3E&attributes=a=%22%3E%3Cimg%20src=x%3E"):
            page.goto(home + path)
        assert page.locator("main script, main img, main iframe").count() == 0
        page.goto(f"{home}/debug/tracez")
        for link in [link.get_attribute("href") for link in page.locator("table.tracez a").all()]:
            page.goto(home + link)
            assert page.locator("table.samples tbody tr").count() >= 1, link

with browser() as page:
    page.goto(home)
    page.wait_for_selector("#live-state.on")
    again = Trace()
    again.span(script, image, 0, 5)
    again.send(otlp)
    row = page.locator(f"[data-trace='{again.id}']")
    row.wait_for(timeout=2_000)
    assert script in row.inner_text() and page.locator("main img, main script").count() == 0
    # Right-to-left text does not turn round what stands beside it.
    page.goto(f"{home}/trace/{trace.id}")
    assert page.locator("bdi", has_text="עברית").count() >= 2
    service, bar = (page.locator("#spans > li").nth(1).locator(part).bounding_box() for part in (".service", ".bar"))
    assert service["x"] < bar["x"]
