"""The cells of the latencies open their spans, and the map shows who calls whom."""

import re

from browser import browser, pages_and_otlp
from spans import sandbox, Trace

home, otlp = pages_and_otlp()
for ago_ms in (11_000, 1_000, 1_000):
    # The first is so long ago that rates are told by the minute, in the widest labels.
    sandbox(ago_ms=ago_ms).send(otlp)
failing = sandbox(failing=True).send(otlp)
with browser() as page:
    page.goto(home)
    page.get_by_role("link", name="Latencies").click()
    page.wait_for_url("**/debug/tracez")
    row = page.locator("table.tracez tbody tr", has_text="router envoy-2 egress")
    cells = row.locator("td, th").all_inner_texts()
    assert cells == ["envoy-1", "router envoy-2 egress", "5", "0", "0", "0", "0", "4", "0", "0", "0", "0", "1"], cells
    row.locator(".errors a").click()
    page.wait_for_url("**/debug/tracez?*")
    samples = page.locator("table.samples tbody tr")
    assert samples.count() == 1 and "upstream reset" in samples.first.inner_text()
    samples.first.get_by_role("link").click()
    page.wait_for_url(f"**/trace/{failing.id}#span-*")
    assert page.locator("#spans .bad details[open]").count() == 1
    page.goto(f"{home}/debug/tracez?name=reserve&service=stock&bucket=4")
    assert page.locator("table.samples tbody tr").count() == 4
    answer = page.request.get(f"{home}/debug/tracez?format=json").json()
    assert len(answer["traces"]) == 4 and len(answer["traces"][0]["spans"]) == 12

    page.get_by_role("link", name="Map").click()
    page.wait_for_url("**/map")
    assert page.locator("svg.map .arrow").count() == 6
    # Nobody stands to the left of whom calls it.
    boxes = page.locator("svg.map > a > text, svg.map > g > text")
    left = lambda name: boxes.filter(has_text=re.compile(f"^{name}$")).bounding_box()["x"]
    order = ["front-envoy", "envoy-1", "envoy-2", "shop", "stock", "stock-db"]
    places = [left(name) for name in order]
    assert places == sorted(places), places
    # Each arrow says itself how often, how many fail, and how long.
    labels = page.locator("svg.map text.rate")
    assert labels.count() == 6
    told = labels.filter(has_text="err").all_text_contents()
    for label in told:
        assert re.fullmatch(r"([0-9.]+/(s|min)|[0-9]+ calls?) · [0-9.]+ % err(p(50|95|99) [0-9.]+ (ns|µs|ms|s)){3}", label), label
    assert sum("20 % err" in label for label in told) == 1
    called = page.locator("table.calls tbody tr", has_text="envoy-1").filter(has_text="envoy-2")
    assert called.locator("td").nth(2).inner_text() == "5" and called.locator("td").nth(4).inner_text() == "20 %"
    page.locator("svg.map a", has_text="shop").click()
    page.wait_for_url("**service=shop")

# A failure of the service that nobody calls is on its box.
entry = Trace()
front = entry.span("front-envoy", "refused", 0, 1, None, 2, error="no route")
entry.send(otlp)
with browser() as page:
    page.goto(f"{home}/map")
    failed = page.locator("svg.map a", has_text="front-envoy").locator(".failed")
    assert failed.text_content() == "20 % err", "one of five"
    row = page.locator("table.calls tbody tr", has_text="none that sends spans").filter(has_text="front-envoy")
    assert row.locator("td").nth(2).inner_text() == "5" and row.locator("td").nth(4).inner_text() == "20 %"

# On a telephone and on a large screen the labels can be read: large enough, and neither on each other nor on a box.
boxes_of = "elements => elements.map(element => { const b = element.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; })"
apart = lambda one, other: one[2] <= other[0] + 1 or other[2] <= one[0] + 1 or one[3] <= other[1] + 1 or other[3] <= one[1] + 1
for width in (360, 1920):
    with browser(width) as page:
        page.goto(f"{home}/map")
        labels = page.locator("svg.map text.rate").evaluate_all(boxes_of)
        boxes = page.locator("svg.map rect").evaluate_all(boxes_of)
        assert len(labels) == 6
        for index, label in enumerate(labels):
            assert (label[3] - label[1]) / 4 >= 11, f"{label} is too small"
            assert all(apart(label, other) for other in labels[index + 1 :] + boxes), f"{label} covers something"
