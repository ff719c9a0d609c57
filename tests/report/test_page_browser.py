"""The page in a real browser: it opens from disk, asks for nothing, moves, sorts, prints and fits a phone."""

import shutil
from collections.abc import Iterator

import pytest

from rsspade.cli import main

CHROMIUM = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; on Debian: apt-get install chromium"),
    # Playwright leaves its pipes to the garbage collector, which may come after the test that used them.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser() -> Iterator:
    api = pytest.importorskip("playwright.sync_api", reason="no playwright; pip install -e '.[dev]'")
    with api.sync_playwright() as playwright:
        # No sandbox: as root, which continuous integration is, Chromium has none.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def page_file(make_run, make_map_run, make_dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    data = make_dataset(folder / "data", grid=(2, 2), clouds=True).path
    runs = [
        make_run(folder / name, data=data, seed=n) for n, name in enumerate(("one", "<img src=x onerror=alert(1)>"))
    ]
    runs.append(make_map_run(folder / "maps", data))
    assert main(["report", *map(str, runs), "--out", str(folder / "report.html")]) == 0
    return folder / "report.html"


@pytest.fixture
def opened(browser, page_file):
    """Factory: a page, which must not have complained or asked for anything by the end of the test."""
    complaints, contexts = [], []

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: complaints.append(request.url) if not_ours(request.url) else None)
        page.goto(page_file.as_uri())
        return page

    def not_ours(url):
        return url != page_file.as_uri() and not url.startswith("data:")

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def test_it_opens_without_a_complaint_and_every_picture_loads(opened):
    page = opened()
    page.evaluate("Promise.all([...document.images].map((image) => image.decode()))")
    widths = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    assert len(widths) > 3 * 10
    assert min(widths) > 0
    assert page.evaluate("[...document.images].every((image) => image.alt !== '')")


def test_the_slider_moves_by_keyboard_by_mouse_and_by_touch(opened):
    clip = "() => getComputedStyle(document.querySelector('.stage .over')).clipPath"
    page = opened()
    slider = page.locator(".stage input").first
    slider.scroll_into_view_if_needed()
    assert page.evaluate(clip) == "inset(0px 0px 0px 50%)"
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert page.evaluate(clip) == "inset(0px 0px 0px 55%)"
    assert slider.get_attribute("aria-valuetext") == "55 percent real"
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2)
    by_mouse = float(page.evaluate(clip).split()[-1].rstrip("%)"))
    assert 15 < by_mouse < 25
    phone = opened(**PHONE)
    slider = phone.locator(".stage input").first
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    phone.touchscreen.tap(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    assert 75 < float(phone.evaluate(clip).split()[-1].rstrip("%)")) < 85


def test_the_slider_shows_the_chosen_run_and_colours(opened):
    page = opened()
    tile = page.locator(".tile").first
    source = "(tile) => [...tile.querySelectorAll('.stage img')].map((image) => image.src)"
    seen = [tuple(tile.evaluate(source))]
    tile.get_by_label("false", exact=True).check()
    seen.append(tuple(tile.evaluate(source)))
    tile.get_by_label("<img src=x onerror=alert(1)>").check()
    seen.append(tuple(tile.evaluate(source)))
    assert seen[0][0] != seen[1][0]
    assert seen[1][0] == seen[2][0]  # the real image does not depend on the run
    assert len({made for _, made in seen}) == 3


def test_a_map_slides_over_the_image_and_over_the_labels(opened):
    page = opened()
    tile = page.locator(".tile", has_text="Right and wrong").first
    sides = "(tile) => [...tile.querySelectorAll('.stage img')].map((image) => image.alt)"
    assert [text.split(" of ")[0] for text in tile.evaluate(sides)] == ["True colour", "Land cover"]
    tile.get_by_label("labels", exact=True).check()
    assert [text.split(" of ")[0] for text in tile.evaluate(sides)] == ["Labels", "Land cover"]


def test_tables_sort_by_click_and_by_keyboard(opened):
    page = opened()
    table = page.locator("table.sortable", has_text="Tiles of the test split")
    column = "(table) => [...table.tBodies[0].rows].map((row) => Number(row.cells[2].dataset.sort))"
    head = table.locator("thead tr").last.locator("th").nth(2)
    assert head.get_attribute("aria-sort") == "none"
    head.get_by_role("button").click()
    values = table.evaluate(column)
    assert len(values) == 4
    assert values == sorted(values)
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert table.evaluate(column) == sorted(values, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    table.locator("thead tr").last.locator("th").first.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "none"


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_no_screen_scrolls_sideways(opened, width):
    page = opened(viewport={"width": width, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_keyboard_reaches_the_results_first_and_sees_where_it_is(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.locator("nav a").first.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened, scheme):
    """WCAG AA: 4.5 to 1. Every element with text of its own, against the nearest ground that is painted."""
    page = opened(color_scheme=scheme)
    found = page.evaluate(
        """() => {
          const numbers = (text) => text.match(/[\\d.]+/g).map((n) => n * (text.startsWith("color(") ? 255 : 1));
          const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          const ground = (node) => { for (; node; node = node.parentElement) {
            const c = numbers(getComputedStyle(node).backgroundColor); if (c.length < 4 || c[3] === 1) return c.slice(0, 3); }
            return [255, 255, 255]; };
          const low = [];
          for (const node of document.querySelectorAll("body *")) {
            if (![...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
            if (node.closest("title, style, script, .tag, .hidden") || !node.getClientRects().length) continue;
            const style = getComputedStyle(node), svg = node instanceof SVGElement;
            const [a, b] = [light(numbers(svg ? style.fill : style.color).slice(0, 3)), light(ground(node))].sort((x, y) => y - x);
            const ratio = (a + 0.05) / (b + 0.05);
            if (ratio < 4.5) low.push([node.tagName, node.className.baseVal ?? node.className, node.textContent.slice(0, 30), ratio]);
          }
          return low;
        }"""
    )
    assert found == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(17, 22, 27)")


def test_on_paper_the_slider_is_two_pictures_side_by_side(opened):
    page = opened()
    page.emulate_media(media="print")
    left, right = (page.locator(f".stage .{name}").first.bounding_box() for name in ("under", "over"))
    assert right["x"] >= left["x"] + left["width"]
    assert right["width"] == pytest.approx(left["width"], rel=0.02)
    assert page.evaluate("getComputedStyle(document.querySelector('.stage .over')).clipPath") == "none"
    assert not page.locator(".stage input").first.is_visible()
    assert not page.locator("nav").is_visible()
    assert page.pdf(format="A4")[:5] == b"%PDF-"


def test_without_scripts_everything_but_the_slider_is_there(opened):
    page = opened(java_script_enabled=False)
    assert page.locator(".panels img").first.is_visible()
    assert not page.locator(".swipe").first.is_visible()
    assert page.locator("table.sortable").first.is_visible()
