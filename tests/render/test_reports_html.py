"""The web page: nothing in it runs, nothing is fetched, and a foreign word stays a word."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from attnscope.render.reports import of_census, of_reports
from attnscope.render.reports.html import LISTED, html_fragment, html_page
from tests.render import entries, reports

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "main", "section", "div", "h1", "h2", "h3",
    "p", "span", "b", "dl", "dt", "dd", "details", "summary", "table", "thead", "tbody", "tr",
    "th", "td", "code", "pre", "a",
}  # fmt: skip
ATTRIBUTES = {"class", "id", "lang", "charset", "name", "content", "http-equiv", "href"}
VOID = {"meta"}


class Reader(HTMLParser):
    """Keeps elements, attributes and text, and holds every element closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


def pages() -> dict[str, str]:
    made = {name: html_page(of_reports([make()]), name) for name, make in reports.ALL.items()}
    for number in range(len(entries.EVIL)):
        made[f"evil {number}"] = html_page(of_reports([entries.evil(number)]), entries.EVIL[number])
        made[f"fragment {number}"] = html_fragment(entries.evil(number))
    made["all"] = html_page(entries.entries())
    made["census"] = html_page(of_census(entries.census()))
    return made


@pytest.mark.parametrize("name", list(pages()))
def test_there_is_nothing_that_runs_or_is_fetched(name: str) -> None:
    text = pages()[name]
    reader = Reader(text)
    assert reader.open == []
    assert {tag for tag, _ in reader.elements} <= ALLOWED
    for _, attributes in reader.elements:
        assert set(attributes) <= ATTRIBUTES
        assert (attributes.get("href") or "#").startswith("#")
    styles = text.split("<style>")[1].split("</style>")[0]
    assert "url(" not in styles
    assert "@import" not in styles
    assert not {"\x00", "\x1b", "\x07", "\u202e"} & set(text)
    text.encode("utf-8")


def test_what_a_leak_says() -> None:
    text = "".join(Reader(html_page(of_reports([reports.leaking()]), "verify tiny")).words)
    for words in (
        "verify tiny", "✗ LEAK tiny", "2 of 5 checks failed", "ATN301 future-influence",
        "query 1 (cat) → key 3 (on) · measured 0.312, limit 0 · left padding · on sdpa",
        "layer 2 · head 3 · in model.layers.2.self_attn · and 1 more finding here",
        "in model.layers.2.self_attn", "Fix: Combine the padding mask", "print('leak')",
        "602 forwards", "layer 0: causal",
    ):  # fmt: skip
        assert words in text


def test_neutral_outcomes() -> None:
    text = "".join(Reader(html_fragment(reports.accepted())).words)
    for words in ("✓ PASS", "– 1 accepted", "known since May", "no longer occurs"):
        assert words in text
    text = "".join(Reader(html_fragment(reports.missed())).words)
    assert "MISSED: weight 3e-7 in one cell, on sdpa" in text


def test_every_model_can_be_reached() -> None:
    reader = Reader(html_page(of_census(entries.census())))
    targets = {attributes.get("href") for tag, attributes in reader.elements if tag == "a"}
    places = {f"#{attributes['id']}" for _, attributes in reader.elements if "id" in attributes}
    assert targets == places
    assert len(places) == 5


def test_many_findings_are_counted() -> None:
    found = tuple(reports.make_finding(module=f"layers.{each}") for each in range(LISTED + 5))
    result = reports.make_result(outcome="fail", findings=found)
    text = html_fragment(reports.make_report(outcome="fail", results=(result,)))
    assert "and 5 more places" in text


def test_a_notebook_shows_the_fragment() -> None:
    report = reports.leaking()
    assert report._repr_html_() == html_fragment(report)
    assert report._repr_html_().startswith('<div class="attnscope">')


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
def test_no_script_runs_in_a_browser(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    hostile = [entries.evil(number) for number in range(len(entries.EVIL))]
    page.write_text(html_page(of_reports(hostile), "calm"), encoding="utf-8")
    asked = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    shown = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<title>calm</title>" in shown
    reader = Reader(shown)
    assert {tag for tag, _ in reader.elements} <= ALLOWED
    assert "".join(reader.words).count("<script>document.title='x'</script>") > 5
