# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest or a kernel log calls itself is text in every report: it runs nothing, loads nothing, hides nothing, floods nothing."""

import html.parser
import json
import re
import time
from functools import cache
from xml.etree import ElementTree as ET

import pytest

from avocado_hvqual.model.observation import Evidence, Observation, Problem, Seed, Step
from avocado_hvqual.model.record import HealthEvent
from avocado_hvqual.reports import REPORTS, words
from tests.strategies import START, attempt, header, judged, record, trace

TEXTS = {
    "script": "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "attribute": 'x" onmouseover="alert(1)" style="background:url(http://h/)" y=\'',
    "svg": "</text></svg><svg onload=alert(1)><a xlink:href='javascript:alert(1)'>",
    "template": "{{ 7*7 }}{% include '/etc/passwd' %}{# x #}",
    "turned": "safe\u202egnp.exe\u2066\u200b\u00ad",
    "terminal": "\x1b[2J\x1b]0;owned\x07\x9b31m\r\n[+] QUALIFIED",
    "nul": "a\x00b\ufffe\ud800",
    "end": "--> ]]> </style></title></details></section>",
    "long": "A" * 1_000_000,
    "markup": "&lt;script&gt;&amp;#x3c;",
}
FORBIDDEN = set("\x1b\x07\x00\x9b\r\u202e\u2066\u200b\u00ad\ud800\ufffe")


def campaign(text):
    """A campaign in which everything that a guest, a log or a file may name is *text*."""
    own = trace(
        status="fail",
        message=text,
        observations=(
            *(Observation("guest_ready", value, "s", 1.5, 1, text, f"{text}{value}") for value in (1.0, 2.0, 3.0)),
            Observation("heartbeat_gap", 1.0, "s", 2.0, 1, text),
            Observation(text, 1.0, text, 2.0, 1, text),
        ),
        problems=(Problem("guest-panic", text, text, 2.0),),
        steps=(Step(text, text, 0.5, 2.5), Step("start", text, 3.0)),
        seeds=(Seed(text, text),),
        evidence=(Evidence(text, f"results/{text}", "0" * 64, text),),
        mono_last=5.0,
    )
    return record(
        attempt(status="FAIL", fail_reason=text, trace=own, began=1_795_000_001.0),
        header=header(node={"id": text, "hostname": text}, command=text, versions={"qemu": text}),
        health=(
            HealthEvent("host-log", text, text, START, 1_795_000_101.0),
            HealthEvent("host-log", text, "", "", 1e9),
        ),
        notes=(text,),
    )


class Seen(html.parser.HTMLParser):
    """What a browser would make of a page: elements, attributes, addresses."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = set(), set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {(name, value if name in {"href", "src", "style"} else "") for name, value in attrs}

    def handle_data(self, data):
        self.text.append(data)


@cache
def judged_of(name):
    return judged(campaign(TEXTS[name]))


@cache
def rendered(name, report="report.html"):
    return REPORTS[report](judged_of(name))


PLAIN = Seen(REPORTS["report.html"](judged(campaign("plain"))))
each = pytest.mark.parametrize("name", TEXTS)


@each
def test_the_page_has_no_element_and_no_attribute_more(name):
    found = Seen(rendered(name))
    assert found.tags <= PLAIN.tags | {"wbr", "rect"}
    assert {attribute for attribute, _value in found.attributes} <= {
        attribute for attribute, _value in PLAIN.attributes
    }
    links = {value for attribute, value in found.attributes if attribute == "href"}
    assert all(link.startswith(("./", "#")) for link in links)
    styles = {value for attribute, value in found.attributes if attribute == "style"}
    assert all(re.fullmatch(r"width:[\d.]+%", style) for style in styles)


@each
@pytest.mark.parametrize("report", ["report.html", "report.txt", "junit.xml"])
def test_nothing_in_a_report_moves_turns_or_hides_text(name, report):
    text = rendered(name, report)
    assert not FORBIDDEN & set(text)
    assert "\n[+] QUALIFIED" not in text


@each
def test_programs_read_it_as_it_was(name):
    document = json.loads(rendered(name, "verdict.json"))
    assert TEXTS[name] in {finding["message"] for finding in document["findings"]}
    assert ET.fromstring(rendered(name, "junit.xml")).tag == "testsuites"


@each
def test_it_is_still_told(name):
    """Cleaning that dropped the text would pass every test above."""
    said = words.safe(TEXTS[name])[:40]
    assert said.strip()
    page = Seen(rendered(name))
    assert said in "".join(page.text)


def test_a_megabyte_is_cut_says_so_and_takes_no_minute():
    began = time.monotonic()
    found = judged(campaign(TEXTS["long"]))
    sizes = {name: len(REPORTS[name](found)) for name in ("report.html", "report.txt", "junit.xml")}
    assert time.monotonic() - began < 20
    assert sizes["report.html"] < 600_000
    assert sizes["report.txt"] < 200_000
    assert sizes["junit.xml"] < 100_000
    assert "characters more]" in REPORTS["report.txt"](found)
    assert words.safe("x" * words.LONGEST) == "x" * words.LONGEST
