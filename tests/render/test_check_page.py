from __future__ import annotations

import re
from pathlib import Path

import pytest

from attnscope.checks import CHECKS
from attnscope.checks.base import HEADINGS
from attnscope.conditions import CONDITIONS
from attnscope.render.check_list import check_list
from attnscope.render.check_page import check_json, check_page, checks_markdown
from tests.render import examples, reports

FAKES = (reports.ObserverChangesOutputs, reports.LaterTokenMovesEarlier)
DOCUMENT = Path(__file__).parents[2] / "docs" / "checks.md"


def test_a_page_holds_everything() -> None:
    output = examples.printed(check_page(reports.LaterTokenMovesEarlier), 80)
    assert output.startswith("ATN301 future-influence  influence\n")
    assert "A later token moves an earlier position | by any route." in output
    places = [output.index(f"\n{heading}\n") for heading in HEADINGS]
    assert places == sorted(places)
    joined = " ".join(output.split())
    for key in ("plain", "left_padding", "packed_cached"):
        condition = CONDITIONS[key]
        for words in (condition.title, condition.words):
            assert words in joined
        for words in (condition.promise.text, condition.promise.source):
            assert words in joined
    assert output.count("also with --quick") == 1


@pytest.mark.parametrize(
    ("width", "encoding"), [(40, "utf-8"), (60, "ascii"), (80, "cp1252"), (200, "utf-8")]
)
def test_pages_and_lists_fit_and_encode(width: int, encoding: str) -> None:
    for thing in (*map(check_page, (*FAKES, *CHECKS)), check_list(FAKES), check_list(CHECKS)):
        output = examples.printed(thing, width, encoding)
        assert examples.widest(output) <= width
        assert encoding == "utf-8" or output.isascii()


def test_the_list_is_grouped_by_family() -> None:
    lines = examples.printed(check_list(FAKES), 100).splitlines()
    assert lines[0] == "observer"
    assert lines[1] == "ATN001 observer-neutral  Observing changes the outputs"
    assert lines[2] == "influence"
    assert lines[4].startswith("2 checks")
    assert "There are no checks" in examples.printed(check_list(()), 100)


def test_a_check_as_data() -> None:
    data = check_json(reports.LaterTokenMovesEarlier)
    assert (data["code"], data["required"]) == ("ATN301", False)
    assert list(data["sections"]) == list(HEADINGS)
    assert [each["quick"] for each in data["conditions"]] == [True, False, False]
    assert data["conditions"][2]["promise"] == "No model."


def test_the_document_links_to_headings_that_are_there() -> None:
    text = checks_markdown(FAKES)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
    links = re.findall(r"\]\(#([^)]+)\)", text)
    assert set(links) <= anchors
    assert "position \\| by any route" in text  # in the table's cell
    assert "Required: without a pass nothing is clean." in text
    for key in ("plain", "left_padding", "packed_cached"):
        assert f"- Source: {CONDITIONS[key].promise.source}" in text
    assert "### right padding" not in text  # no check asks it


def test_the_document_is_what_the_checks_say() -> None:
    """If this fails: python -m attnscope.render.check_page > docs/checks.md."""
    assert DOCUMENT.read_text(encoding="utf-8") == checks_markdown(CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_every_check_is_documented(check: type) -> None:
    assert list(check.sections()) == list(HEADINGS)
    assert set(check.quick) <= set(check.conditions) <= set(CONDITIONS)
