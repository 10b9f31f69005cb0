from __future__ import annotations

import runpy
import unicodedata
from dataclasses import replace

import pytest

from attnscope.render.findings import worst
from attnscope.render.headline import headline
from attnscope.render.results import rows
from attnscope.render.verdict import verdict
from attnscope.report import Report
from tests.render import examples, reports

WIDGETS = (
    "brief", "check_list", "check_page", "findings", "hanging", "headline", "outcomes", "remarks",
    "report_json", "results", "verdict", "verdicts",
)  # fmt: skip


def shown(report: Report, width: int = 100, encoding: str = "utf-8") -> str:
    return examples.printed(verdict(report), width, encoding)


@pytest.mark.parametrize("name", reports.ALL)
@pytest.mark.parametrize(
    ("width", "encoding"),
    [(40, "utf-8"), (60, "utf-8"), (80, "cp1252"), (100, "utf-8"), (200, "utf-8"), (60, "ascii")],
)
def test_every_line_fits_and_encodes(name: str, width: int, encoding: str) -> None:
    output = shown(reports.ALL[name](), width, encoding)
    assert examples.widest(output) <= width
    assert encoding == "utf-8" or output.isascii()


@pytest.mark.parametrize("name", reports.ALL)
def test_nothing_hostile_reaches_the_terminal(name: str) -> None:
    output = shown(reports.ALL[name](), 80)
    bad = {each for each in output if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Cn")}
    assert bad <= {"\n"}


def test_markup_and_emoji_codes_are_left_alone() -> None:
    output = shown(reports.hostile(), 200)
    assert "[red]evil[/red]" in output
    assert ":smile:" in output


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("passing", "✓ PASS  no token sees what it must not see"),
        ("partly", "✓ PASS  no token sees what it must not see; 1 of 2 not checked"),
        ("accepted", "✓ PASS  nothing beyond 1 accepted result"),
        ("leaking", " !! LEAK   2 of 5 checks failed: mask-declared, future-influence"),
        ("unchecked", "? COULD NOT CHECK  "),
        ("broken", "✗ ERROR  the checker itself failed in backends-disagree"),
    ],
)
def test_the_verdict_comes_first(name: str, first: str) -> None:
    assert shown(reports.ALL[name]()).splitlines()[0].startswith(first)


@pytest.mark.parametrize("name", ["leaking", "unchecked", "broken"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_only_a_pass_reads_as_one(name: str, encoding: str) -> None:
    options = {"force_terminal": True, "color_system": "standard"}
    output = examples.printed(headline(reports.ALL[name]()), 100, encoding, **options)
    assert "PASS" not in output
    assert "no token" not in output
    assert "32m" not in output.splitlines()[0]


def test_without_influence_a_pass_claims_no_more_than_was_asked() -> None:
    result = reports.make_result(code="ATN101", name="weights-finite", family="weights")
    output = shown(reports.make_report(results=(result,)))
    assert output.startswith("✓ PASS  every check that was asked held\n")


def test_what_was_judged_and_how_often() -> None:
    output = shown(reports.passing())
    assert "tiny · TextbookModel" in output
    assert "on eager, sdpa" in output
    assert "6 checks asked 47 times · ✓ 43 passed · – 4 not promised" in output


def test_one_line_for_each_check_and_backend() -> None:
    lines = shown(reports.passing()).splitlines()
    assert lines.count("ATN301 future-influence    ✓ pass  9 of 10 conditions") == 2
    assert [line for line in lines if line.startswith("on ")] == [
        "on eager", "on sdpa", "on eager, sdpa",
    ]  # fmt: skip
    assert "ATN101 weights-finite      ✓ pass  290 tensors, all finite" in lines
    single = shown(replace(reports.leaking(), outcome="fail"))
    assert "\non sdpa\nATN" not in single  # one backend needs no heading


def test_only_conditions_that_did_not_pass_are_named() -> None:
    output = shown(reports.leaking())
    assert "ATN301 future-influence    ✗ FAIL  in 1 of 10 conditions" in output
    assert "\n  ✗ left padding: the logits moved by 0.312\n" in output
    assert "first row" not in output


def test_a_reason_that_holds_for_many_is_told_once() -> None:
    output = shown(reports.passing(), 200)
    assert output.count("position_ids separate no documents") == 1
    assert output.count("packed, all-ones mask and cache: as above") == 3
    same = shown(reports.unchecked())
    assert "? unchecked  9 conditions: the model takes no attention_mask" in same


def test_a_check_that_could_not_answer_everywhere_is_no_plain_pass() -> None:
    output = shown(reports.partly())
    assert "ATN301 future-influence  ? partly  1 of 2 conditions" in output
    assert "\n  ? offloaded cache: there is no GPU\n" in output


def test_failures_are_never_told_as_above() -> None:
    failed = [
        reports.make_result(condition=each, outcome="fail", reason="moved", code=code)
        for code in ("ATN301", "ATN302")
        for each in ("plain", "left padding")
    ]
    output = shown(reports.make_report(outcome="fail", results=tuple(failed)))
    assert output.count("plain · left padding: moved") == 2
    assert "as above" not in output


def test_a_failure_without_a_reason_counts_its_findings() -> None:
    found = reports.make_result(outcome="fail", reason="", findings=(reports.make_finding(),))
    assert "✗ FAIL  1 finding\n" in shown(reports.make_report(outcome="fail", results=(found,)))


def test_the_only_condition_is_named_where_it_has_a_name() -> None:
    for condition, words in (("", "no"), ("plain", "no"), ("left padding", "left padding: no")):
        result = reports.make_result(condition=condition, outcome="skip", reason="no")
        output = shown(reports.make_report(outcome="skip", results=(result,)))
        assert f"? unchecked  {words}\n" in output


def test_rows_keep_backends_and_order() -> None:
    found = [(row.first.backend, row.first.code) for row in rows(reports.passing().results)]
    assert found[:2] == [("eager", "ATN001"), ("eager", "ATN101")]
    assert found[-1] == ("eager, sdpa", "ATN501")


def test_many_remarks_are_counted() -> None:
    results = tuple(
        reports.make_result(condition=f"way {number}", outcome="fail", reason=f"moved {number}")
        for number in range(12)
    )
    assert "… 4 more" in shown(reports.make_report(outcome="fail", results=results))


def test_a_finding_says_where_how_much_and_what_to_do() -> None:
    output = shown(reports.leaking(), 120)
    assert "query 1 (cat) → key 3 (on) · measured 0.312, limit 0 · layer 2, head 3" in output
    assert "model.layers.2.self_attn · left padding · sdpa" in output
    assert "query 0 (The) · measured 0.002, limit 0 · layer 2 ·" in output
    assert "query 4 (mat) → key 40" in output  # a key that is no token of the report
    assert output.count("likely the causal mask is dropped") == 1  # said once for both
    assert "fix Combine the padding mask with the causal one" in output


def test_the_worst_of_every_check_is_shown_before_the_second_of_any() -> None:
    results = tuple(
        reports.make_result(
            code=f"ATN30{number}", outcome="fail", condition=condition,
            findings=tuple(reports.make_finding(measured=9.0 - rank) for rank in range(3)),
        )
        for number in range(1, 4)
        for condition in ("plain", "left padding")
    )  # fmt: skip
    report = reports.make_report(outcome="fail", results=results)
    found = [(result.code, finding.measured) for result, finding in worst(report.findings)]
    assert found[:3] == [("ATN301", 9.0), ("ATN302", 9.0), ("ATN303", 9.0)]
    assert found[3:6] == found[:3]  # the other condition's worst
    assert len(found) == 18
    assert "… 8 more findings" in shown(report)


def test_what_a_pass_is_worth() -> None:
    output = shown(reports.passing())
    assert "3 of 3 planted leaks caught; smallest caught: weight 3e-07 in one cell" in output
    assert "may see  layer 0: causal" in output
    assert "floor    eager: weight 3e-07 in one cell" in output
    assert "note     12 of 512 positions were sampled." in output
    assert "cost     1,204 forwards · 38,528 tokens · 12.3 s" in output


def test_accepted_findings_are_quiet_and_never_read_as_none() -> None:
    output = shown(reports.accepted())
    assert "✓ PASS  nothing beyond 1 accepted result" in output
    assert "no token sees" not in output
    assert "– 1 accepted" in output
    assert "– left padding: known since May, see the tracker" in output
    assert "fixed    ATN401 cache-drift no longer occurs." in output


def test_a_planted_leak_that_was_missed_is_loud() -> None:
    output = shown(reports.missed())
    assert "2 of 3 planted leaks caught" in output
    assert " !! MISSED  weight 3e-7 in one cell, on sdpa" in output
    assert "caught, but not located: weight 1e-3 in one cell, on sdpa" in output
    coloured = examples.printed(
        verdict(reports.missed()), 100, force_terminal=True, color_system="standard"
    )
    assert "41m" in coloured


def test_no_results_at_all() -> None:
    output = shown(reports.make_report(outcome="skip", results=(), labels=(), backends=()))
    assert output.startswith("? COULD NOT CHECK")


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
@pytest.mark.parametrize("widget", WIDGETS)
def test_every_widget_is_its_own_demo(widget: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module(f"attnscope.render.{widget}", run_name="__main__")
    assert capsys.readouterr().out
