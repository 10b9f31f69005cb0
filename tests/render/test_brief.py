from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from rich.cells import cell_len

from attnscope.render import demo
from attnscope.render.brief import brief
from attnscope.render.verdict import verdict
from attnscope.report import Report
from tests.render import examples, reports

ALL = {**reports.ALL, "demo": demo.leaking}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("lines", [1, 2, 3, 4, 5, 6, 8, 12, 40])
def test_no_line_too_many_and_none_too_long(name: str, lines: int) -> None:
    told = brief(ALL[name](), lines).split("\n")
    assert len(told) <= lines
    assert all(cell_len(line) <= 100 for line in told)
    assert all(line == line.rstrip() != "" for line in told)


@pytest.mark.parametrize("name", ALL)
def test_nothing_hostile_is_told(name: str) -> None:
    told = brief(ALL[name](), 40)
    bad = {each for each in told if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Cn")}
    assert bad <= {"\n"}


@pytest.mark.parametrize("name", ALL)
def test_a_report_prints_as_its_brief(name: str) -> None:
    report = ALL[name]()
    assert str(report) == brief(report)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("passing", "PASS  tiny: no token sees what it must not see"),
        ("partly", "PASS  tiny: no token sees what it must not see; 1 of 2 not checked"),
        ("leaking", "LEAK  tiny: 2 of 5 checks failed: mask-declared, future-influence"),
        ("unchecked", "COULD NOT CHECK  tiny: ATN301 future-influence: the model takes no"),
        ("broken", "ERROR  tiny: the checker itself failed in backends-disagree; this is no"),
    ],
)
def test_the_verdict_and_the_model_come_first(name: str, first: str) -> None:
    told = brief(ALL[name](), 1)
    assert told.startswith(first)


def test_a_leak_is_told_in_full() -> None:
    assert brief(demo.leaking()).split("\n") == [
        "LEAK  demo: 1 of 3 checks failed: future-influence",
        "✗ ATN301 future-influence",
        "  query 1 (cat) → key 3 (on) · measured 0.31, limit 0 · layer 2, head 3"
        " · model.layers.2.self_attn",
        "  left padding · sdpa",
        "    The logits moved when a later token was swapped.",
        "  fix Mask the pads.",
        "more about this one: attnscope explain ATN301",
    ]


def test_it_reads_like_the_command() -> None:
    page = examples.printed(verdict(reports.leaking()), 100).splitlines()
    told = brief(reports.leaking()).split("\n")
    assert set(told[1:-1]) <= set(page)


def test_what_is_not_shown_is_counted() -> None:
    """One of three findings in few lines, two of three in twelve."""
    assert brief(reports.leaking(), 6).endswith("… 2 more findings in report.findings; more about "
                                                "this one: attnscope explain ATN201")  # fmt: skip
    assert "… 1 more finding in report.findings; " in brief(reports.leaking())


def test_the_worst_one_keeps_its_fix_however_long_its_message() -> None:
    finding = reports.make_finding(message="The mask is " + "very " * 400 + "wrong.")
    result = reports.make_result(outcome="fail", findings=(finding,), fix="Repair it.")
    told = brief(reports.make_report(outcome="fail", results=(result,))).split("\n")
    assert len(told) == 12
    assert told[-2] == "  fix Repair it."
    assert told[-3].endswith(" …")


def test_a_word_without_end_is_cut() -> None:
    finding = reports.make_finding(module="m" * 300, message="x" * 300)
    result = reports.make_result(outcome="fail", findings=(finding,))
    report = reports.make_report(
        outcome="fail", results=(result,), model=examples.make_model(name="/a/long/path" * 20)
    )
    told = brief(report).split("\n")
    assert all(cell_len(line) <= 100 for line in told)
    assert "…" in told[0]
    assert told[1].strip() == "future-influence"


def test_why_nothing_could_be_checked_is_told_once() -> None:
    told = brief(reports.unchecked())
    assert told.count("the model takes no attention_mask") == 1
    assert "? ATN401 cache-disagreement: its outputs differ between two identical runs" in told
    assert told.endswith("what is asked: attnscope explain ATN301")


def test_what_broke_the_checker_is_told() -> None:
    told = brief(reports.broken()).split("\n")
    words = "RuntimeError: the kernel flex_attention could not be compiled"
    assert told[1] == f"✗ ATN501 backends-disagree: {words}"


def test_many_reasons_are_counted() -> None:
    results = tuple(
        reports.make_result(outcome="skip", code=f"ATN{each}", reason=f"reason {each}")
        for each in range(310, 340)
    )
    told = brief(reports.make_report(outcome="skip", results=results)).split("\n")
    assert len(told) == 12
    assert told[-1].startswith("… 19 more reasons in report.results; ")


def test_planted_leaks_that_were_missed_are_named() -> None:
    report: Report = replace(reports.missed(), outcome="skip")
    told = brief(report)
    assert told.startswith("COULD NOT CHECK  tiny: planted leaks were missed")
    assert "? missed: weight 3e-7 in one cell on sdpa" in told


def test_a_pass_says_how_small_a_leak_would_have_been_seen() -> None:
    told = brief(reports.passing())
    assert "floor  sdpa: weight 3e-07 in one cell" in told
    assert told.split("\n")[1].startswith("TextbookModel · 1.3 M parameters · ")
    assert told.split("\n")[1].endswith(" · float32 · on eager, sdpa")
