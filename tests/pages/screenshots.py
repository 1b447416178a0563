"""Writes the pictures of the documentation: screenshots.py PAGES OTLP FOLDER [all]"""

import sys

from browser import browser, pages_and_otlp
from spans import sandbox, short

home, otlp = pages_and_otlp()
folder = sys.argv[3]
failed = None
for number in range(11):
    failing = number in (4, 9)
    ago_ms = 90_000 - number * 8_137
    if number % 3 == 2:
        short(ago_ms, 0.5 + number % 5 / 4).send(otlp)
        continue
    trace = sandbox(ago_ms=ago_ms, failing=failing, slow=0.4 + number * 37 % 11 / 6).send(otlp)
    failed = trace if failing else failed

with browser(1280, 560) as page:
    page.goto(home)
    page.wait_for_selector("#live-state.on")
    page.screenshot(path=f"{folder}/collector-search.png")
with browser(1280, 800) as page:
    page.goto(f"{home}/trace/{failed.id}")
    page.locator("summary", has_text="SELECT items").click()
    page.screenshot(path=f"{folder}/collector-trace.png")

if "all" in sys.argv:
    for width, scheme in [(360, "light"), (1280, "dark"), (1920, "light")]:
        with browser(width, 900, scheme) as page:
            for name, path in [
                ("search", "/"), ("trace", f"/trace/{failed.id}"), ("tracez", "/debug/tracez"), ("map", "/map"),                 ("samples", "/debug/tracez?name=reserve&service=stock&bucket=4"),
            ]:
                page.goto(home + path)
                page.screenshot(path=f"{folder}/{name}-{width}.png")
