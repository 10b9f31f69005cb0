"""Workflow commands: their escapes, and no more of them than GitHub shows."""

from __future__ import annotations

import re
from dataclasses import replace

from attnscope.render.reports import of_census, of_reports
from attnscope.render.reports.github import SHOWN, github
from tests.render import entries, reports

COMMAND = re.compile(r"::(error|warning|notice) title=([^:,\r\n]*)::([^\r\n]*)")


def commands(text: str) -> list[tuple[str, str, str]]:
    found = [COMMAND.fullmatch(line) for line in text.splitlines()]
    return [(one[1], one[2], one[3]) for one in found if one]


def test_a_leak() -> None:
    text = github(of_reports([reports.leaking()]))
    first, *rest = text.splitlines()
    assert first.startswith("attnscope: LEAK: tiny: 2 of 5 checks failed")
    levels = [level for level, _, _ in commands(text)]
    assert levels == ["error", "error"]
    assert rest[1].startswith("::error title=ATN301 future-influence (tiny)::The logits moved")
    assert "%0AFix: Combine the padding mask" in rest[1]


def test_a_pass_annotates_nothing_and_a_partial_one_says_so() -> None:
    assert commands(github(of_reports([reports.passing()]))) == []
    ((level, _, words),) = commands(github(of_reports([reports.partly()])))
    assert (level, words) == ("notice", "1 of 2 results unchecked: there is no GPU")
    ((level, _, words),) = commands(github(of_reports([reports.accepted()])))
    assert (level, words) == ("notice", "1 result accepted by the baseline")


def test_no_verdict() -> None:
    ((level, _, words),) = commands(github(of_reports([reports.unchecked()])))
    assert (level, words[:15]) == ("warning", "COULD NOT CHECK")
    ((level, _, words),) = commands(github(of_reports([reports.broken()])))
    assert level == "error"
    assert "the checker itself failed in ATN501" in words


def test_no_more_than_are_shown_and_the_rest_is_counted() -> None:
    models = [
        replace(reports.leaking(), model=replace(reports.leaking().model, name=f"m{each}"))
        for each in range(20)
    ]
    found = commands(github(of_reports(models)))
    assert len(found) == SHOWN
    assert found[-1] == ("error", "attnscope", "and 31 more")
    assert len({title for _, title, _ in found[:-1]}) == SHOWN - 1
    assert all(title.startswith("ATN201") for _, title, _ in found[:-1])


def test_hostile_words_make_no_command() -> None:
    every = entries.entries()
    text = github(every)
    lines = text.split("\n")
    plain = [line for line in lines if line.startswith("attnscope: ")]
    assert len(plain) == len(every)
    assert all("##[" not in line for line in plain)
    assert len(plain) + len(commands(text)) == len(lines) - 1
    assert "%250A" in text


def test_rows_of_a_census() -> None:
    found = commands(github(of_census(entries.census())))
    levels = [level for level, _, _ in found]
    assert levels == ["error", "error", "warning"]


def test_one_annotation_for_what_one_check_finds_in_one_module() -> None:
    made = [
        reports.make_result(outcome="fail", condition=condition, backend=backend,
                            findings=(reports.make_finding(),))
        for condition in ("plain", "left padding", "right padding")
        for backend in ("eager", "sdpa")
    ]  # fmt: skip
    ((_, _, words),) = commands(
        github(of_reports([reports.make_report(outcome="fail", results=tuple(made))]))
    )
    assert "%0Aalso in plain on sdpa; left padding · right padding on eager, sdpa" in words
