"""`attnscope checks` and `attnscope explain`."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from attnscope import checks
from attnscope.cli.exit import run
from tests.render import reports

FAKES = (reports.ObserverChangesOutputs, reports.LaterTokenMovesEarlier)


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CHECKS", FAKES)


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_all_checks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    printed = output_of(capsys, "checks", "--width", "80")
    for check in FAKES:
        assert f"{check.code} {check.name}" in printed
        assert check.family in printed
    assert "A later token moves an earlier position" in " ".join(printed.split())


def test_all_checks_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(output_of(capsys, "checks", "--format", "json"))
    assert data["schema"] == 1
    assert [each["code"] for each in data["checks"]] == ["ATN001", "ATN301"]


@pytest.mark.parametrize("word", ["ATN301", "atn301", "future-influence", "Future-Influence"])
def test_a_check_is_explained_by_code_or_name(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = output_of(capsys, "explain", word, "--width", "60")
    assert printed.startswith("ATN301 future-influence")
    assert "How to fix" in printed
    assert max(cell_len(line) for line in printed.splitlines()) <= 60


def test_one_check_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(output_of(capsys, "explain", "atn001", "--format", "json"))
    assert (data["code"], data["required"]) == ("ATN001", True)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("ATN302", "ATN301"),
        ("future-influense", "future-influence"),
        ("dragon", "attnscope checks"),
    ],
)
def test_an_unknown_check_is_told_with_the_nearest(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", word]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"There is no check '{word}'" in captured.err
    assert hint.lower() in captured.err.lower()
    assert len(captured.err.splitlines()) == 1
