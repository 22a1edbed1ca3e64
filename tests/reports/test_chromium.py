# SPDX-License-Identifier: GPL-2.0-or-later
"""The page in a headless Chromium: it says nothing on the console, asks nobody for anything, and fits a telephone."""

import pytest

from avocado_hvqual.reports import REPORTS
from tests.reports import busy, chromium, runs, test_hostile

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(chromium.found() is None, reason="there is no Chromium here (apt install chromium)"),
]
WIDTHS, SCHEMES = (1280, 400, 320), ("light", "dark")
PAGES = {
    "busy": busy.busy,
    "hostile": runs.hostile,
    "empty": runs.empty,
    **{name: lambda name=name: test_hostile.judged_of(name) for name in test_hostile.TEXTS},
}
# Every pair of ink and paper that text is shown in, and the least contrast that can be read (4.5 to 1).
CONTRASTS = """
(() => {
  const rgb = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = text => rgb(text).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const paper = node => { for (; node; node = node.parentElement) {
    const found = getComputedStyle(node).backgroundColor; if (!/rgba.*, 0\\)|transparent/.test(found)) return found; } };
  const bad = [];
  for (const node of document.querySelectorAll("main *")) {
    if (node.closest("svg") || ![...node.childNodes].some(c => c.nodeType === 3 && c.data.trim())) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(paper(node))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) bad.push(`${node.tagName}.${node.className} ${contrast.toFixed(2)}`);
  }
  return [...new Set(bad)].join(", ");
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium.browsing(tmp_path_factory.mktemp("profile")) as made:
        yield made


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    folder, last = tmp_path_factory.mktemp("pages"), []

    def opening(name, width=1280, scheme="light"):
        path = folder / f"{name}.html"
        if not path.exists():
            path.write_text(REPORTS["report.html"](PAGES[name]()), encoding="utf-8", errors="replace")
        while last:
            last.pop().close()
        last.append(chromium.Page(browser, path, width, scheme))
        return path, last[0]

    return opening


def silent(path, page):
    """Assert that the page said nothing, and asked for nothing but itself."""
    assert [entry["entry"]["text"] for entry in page.told("Log.entryAdded")] == []
    assert page.told("Runtime.consoleAPICalled") == []
    assert page.told("Runtime.exceptionThrown") == []
    assert [sent["request"]["url"] for sent in page.told("Network.requestWillBeSent")] == [path.as_uri()]


@pytest.mark.parametrize("name", PAGES)
def test_it_is_silent_asks_nobody_and_fits_the_window(opened, name):
    path, page = opened(name)
    assert page.value("document.querySelectorAll('script, img, iframe, link').length") == 0
    page.value("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    for width in WIDTHS:
        page.resize(width)
        assert width - 30 < page.value("document.documentElement.clientWidth") <= width
        assert page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    silent(path, page)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_can_be_read_in_both_colour_schemes(opened, scheme):
    _path, page = opened("busy", 1280, scheme)
    page.value("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert (
        page.value("getComputedStyle(document.body).backgroundColor")
        == {
            "light": "rgb(246, 247, 249)",
            "dark": "rgb(20, 23, 27)",
        }[scheme]
    )
    assert page.value(CONTRASTS) == ""


def test_a_cell_of_the_tree_opens_its_case(opened):
    path, page = opened("busy")
    case = f"case-{busy.SLA}"
    seen = f"document.getElementById('{case}').checkVisibility()"
    assert not page.value(seen), "a case that passed is folded at first"
    page.value(f"document.querySelector('#tree a[href=\"#{case}\"]').focus()")
    page.press("Enter", "\r")
    assert page.value("decodeURIComponent(location.hash)") == f"#{case}"
    assert page.value(seen)
    silent(path, page)


def test_the_keyboard_reaches_everything(opened):
    _path, page = opened("busy")
    page.value("document.querySelector('#tree summary').focus()")
    assert page.value("document.querySelector('#tree details').open")
    page.press("Enter", "\r")
    assert not page.value("document.querySelector('#tree details').open")
    closed = (
        "[...document.querySelectorAll('.scroll')].filter(one => one.tabIndex < 0 || !one.getAttribute('aria-label'))"
    )
    assert page.value(f"{closed}.length") == 0


def test_each_id_is_there_once_and_each_link_within_the_page_leads_somewhere(opened):
    _path, page = opened("busy")
    twice = "ids => ids.filter((id, place) => ids.indexOf(id) !== place)"
    assert page.value(f"({twice})([...document.querySelectorAll('[id]')].map(one => one.id))") == []
    links = "[...document.querySelectorAll('a[href^=\"#\"]')].map(one => decodeURIComponent(one.getAttribute('href').slice(1)))"
    assert page.value(f"{links}.filter(id => !document.getElementById(id))") == []
