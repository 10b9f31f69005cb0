"""`verify-mask` with several models on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attnscope.cli.exit import run
from attnscope.verification import VerifyOptions
from tests.cli.test_project import Engine, engine, project
from tests.render import reports

__all__ = ["engine"]


def test_each_has_a_report_and_the_worst_code_counts(engine: Engine) -> None:
    engine.reports = {"leaky": reports.leaking()}
    assert run(["verify-mask", "good", "leaky", "-o", "out.json", "--quick"]) == 1
    data = json.loads(Path("out.json").read_text())
    assert [one["model"]["name"] for one in data["reports"]] == ["good", "leaky"]
    assert [asked for _, asked in engine.asked] == [VerifyOptions(quick=True)] * 2


def test_one_that_cannot_be_loaded_stops_no_other(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify-mask", "missing", "good", "--report", "sarif:out.sarif"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "attnscope: missing: It is not here. Look elsewhere.\n"
    assert "All together" in captured.out
    assert "It is not here." in Path("out.sarif").read_text()


def test_those_that_the_file_lists_are_asked_as_it_says(engine: Engine) -> None:
    project('models = [{model = "b", length = 30}, "a"]')
    assert run(["verify-mask", "c", "b"]) == 0
    assert [one.model for one, _ in engine.asked] == ["c", "b"]
    assert [asked.length for _, asked in engine.asked] == [VerifyOptions().length, 30]


def test_the_same_one_twice_is_a_mistake(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify-mask", "a", "b", "a"]) == 2
    assert "'a' is named twice" in capsys.readouterr().err
    assert engine.asked == []
