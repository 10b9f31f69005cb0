"""Markdown: what it tells, and that no foreign word becomes mark-up."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from markdown_it import MarkdownIt
from markdown_it.token import Token

from attnscope.render.reports import of_reports
from attnscope.render.reports.markdown import LISTED, code, markdown, plain
from tests.render import entries, reports

PARSER = MarkdownIt("commonmark").enable("table").enable("strikethrough")
HOSTILE = [
    *entries.EVIL, "`", "``", " x ", "a`", "\\", "|", "# h", "- l", "1. n", "> q", "_e_",
    "@everyone", "![i](x)", "<https://evil.example>", "[x]: http://evil.example",
]  # fmt: skip


def inside(text: str) -> list[Token]:
    tokens = PARSER.parse(text)
    return [*tokens, *(each for token in tokens for each in token.children or ())]


@pytest.mark.parametrize("words", HOSTILE)
def test_plain_words_are_text_alone(words: str) -> None:
    found = inside(plain(words))
    kinds = {token.type for token in found}
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    text = "".join(token.content for token in found if token.type.startswith("text"))
    assert not re.search(r"@\w|#\d|www\.|https?:", text)


@pytest.mark.parametrize("words", HOSTILE)
def test_code_is_one_span(words: str) -> None:
    found = inside(f"x {code(words)} y")
    (span,) = [token for token in found if token.type == "code_inline"]
    assert span.content.strip() in words or "\\" in span.content
    assert {token.type for token in found} == {
        "paragraph_open", "paragraph_close", "inline", "text", "code_inline",
    }  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(some.text("`|<>[]()@#*_~$\\!:\"'&-+=. \n\r\t1aZ%{}\x00\u202e/;", max_size=14))
def test_no_words_leave_their_cell(words: str) -> None:
    cell = code(words).replace("|", "\\|")
    found = inside(f"| h | i |\n|---|---|\n| {plain(words)} | {cell} |\n")
    kinds = [token.type for token in found]
    assert kinds.count("td_open") == 2
    assert set(kinds) <= {
        "inline", "text", "text_special", "code_inline",
        *(f"{tag}_{end}" for tag in ("table", "thead", "tbody", "tr", "th", "td")
          for end in ("open", "close")),
    }  # fmt: skip
    assert kinds.count("code_inline") == bool(cell)


@pytest.mark.parametrize("number", range(len(entries.EVIL)))
def test_a_hostile_report_keeps_its_shape(number: int) -> None:
    """It has the tokens of the same report with harmless words: no more and no other ones."""
    found = inside(markdown(of_reports([entries.evil(number)])))
    kinds = [token.type for token in found]
    assert not {"link_open", "image", "html_inline", "s_open", "em_open"} & set(kinds)
    blocks = [token.content for token in found if token.type == "html_block"]
    allowed = r"</?details>(<summary>[A-Z][a-z ]+</summary>)?\n?"
    assert all(re.fullmatch(allowed, block) for block in blocks)
    assert kinds.count("table_open") == 1
    assert kinds.count("heading_open") == 3
    assert kinds.count("fence") == 1


def test_a_leak() -> None:
    text = markdown(of_reports([reports.leaking()]))
    assert text.startswith("## ❌ LEAK: `tiny`\n\n2 of 5 checks failed: mask-declared,")
    assert "- **ATN301 future-influence** (`left padding`, `sdpa`)" in text
    assert "query 1 (cat) → key 3 (on) · measured 0.312, limit 0 · layer 2 · head 3" in text
    assert "  - Fix: Combine the padding mask" in text
    assert "| ATN301 future-influence | 1 | 1 | 8 |" in text
    assert "```python\nprint('leak')\n```" in text


def test_outcomes_that_are_no_finding() -> None:
    assert "Accepted by the baseline" in markdown(of_reports([reports.accepted()]))
    accepted = markdown(of_reports([reports.accepted()]))
    assert "known since May" in accepted
    assert "**fixed**: ATN401 cache-drift no longer occurs." in accepted
    assert "## ✅ PASS" in accepted
    assert "there is no GPU" in markdown(of_reports([reports.partly()]))
    assert "## ❔ COULD NOT CHECK" in markdown(of_reports([reports.unchecked()]))
    assert "could not be compiled" in markdown(of_reports([reports.broken()]))


def test_several_models_begin_with_a_table() -> None:
    text = markdown(of_reports([reports.leaking(), reports.passing()]))
    assert text.startswith("| model | verdict |  |\n|---|---|---|\n| `tiny` | ❌ LEAK | 2 of 5")
    assert text.count("\n## ") == 2


def test_many_findings_are_counted() -> None:
    found = tuple(reports.make_finding(module=f"layers.{each}") for each in range(LISTED + 5))
    result = reports.make_result(outcome="fail", findings=found)
    text = markdown(of_reports([reports.make_report(outcome="fail", results=(result,))]))
    assert "… and 5 more places." in text
