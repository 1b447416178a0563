"""No page is wider than its window, on a telephone or on a large screen, light or dark."""

from browser import browser, overflow, pages_and_otlp
from spans import Trace, sandbox

home, otlp = pages_and_otlp()
trace = sandbox(failing=True).send(otlp)
# Names without a space in which a line could break.
long = Trace()
parent = None
for depth in range(30):
    parent = long.span("service-" + "s" * 200, "operation-" + "o" * 300, depth, 100 - depth, parent, tags={"k" * 200: "v" * 2_000})
long.log("service-" + "s" * 200, 5, "ERROR", "l" * 3_000)
long.send(otlp)
# Of one only logs have come.
early = Trace()
early.log("service-" + "s" * 200, 5, "ERROR", "l" * 3_000)
early.send(otlp)
paths = ["/", "/?min=soon&status=" + "b" * 300, f"/trace/{early.id}", f"/trace/{trace.id}", f"/trace/{long.id}", "/debug/tracez", "/map", "/trace/12", "/nothing",
         "/debug/tracez?name=reserve&service=stock&bucket=4"]
for width, scheme in [(360, "light"), (360, "dark"), (800, "light"), (1920, "dark")]:
    with browser(width, scheme=scheme) as page:
        for path in paths:
            page.goto(home + path)
            for summary in page.locator("summary").all()[:3]:
                summary.click()
            assert overflow(page) <= 0, f"{path} at {width}: {overflow(page)} pixels too wide"
            ground, ink = page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
            brightness = lambda colour: sum(int(part) for part in colour[4:-1].split(","))
            assert (brightness(ground) > brightness(ink)) == (scheme == "light")
            # Who uses the keyboard gets to everything, and sees where they are.
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement !== document.body")
            assert page.locator("main").count() == 1 and page.locator("nav").count() == 1
            unnamed = page.evaluate("""[...document.querySelectorAll('input, select, button, a')].filter((element) =>
                !(element.labels?.length || element.ariaLabel || element.textContent.trim())).length""")
            assert unnamed == 0, f"{path}: {unnamed} without a name"
