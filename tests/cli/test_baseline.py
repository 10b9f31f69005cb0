"""`--baseline` and `--write-baseline` on `verify-mask` and `census`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attnscope import api
from attnscope.cli.exit import run
from attnscope.report import Report
from tests.census.test_ledger import ROWS
from tests.cli.test_census import saved
from tests.render.reports import make_finding
from tests.test_baseline import LEAK, PASSED, leaking


@pytest.fixture
def verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Report]:
    """The report that the engine gives, to be exchanged; and a directory to work in."""
    given = {"report": leaking()}
    monkeypatch.setattr(api, "verify", lambda *_, **__: given["report"])
    monkeypatch.chdir(tmp_path)
    return given


def block(**changes: Any) -> dict[str, Any]:
    facts = {
        "model": "tiny", "code": "ATN301", "condition": "left padding", "backend": "sdpa",
        "module": "model.layers.2.self_attn", "reason": "upstream #1",
    }  # fmt: skip
    return facts | changes


def keep(*blocks: dict[str, Any]) -> None:
    Path("b.json").write_text(json.dumps({"schema": 1, "findings": blocks}))


def verify(*arguments: str) -> int:
    return run(["verify-mask", "tiny", *arguments])


WRITE = ("--write-baseline", "b.json", "--reason", "why not")


def test_a_repository_adopts_a_baseline(
    verdict: dict[str, Report], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(*WRITE) == 1  # writing accepts from the next run on
    told = capsys.readouterr()
    assert told.err == (
        "attnscope: 1 accepted finding, 1 of them new, in b.json; they count from the next run on\n"
    )
    assert "LEAK" in told.out
    assert json.loads(Path("b.json").read_text())["findings"] == [block(reason="why not")]
    assert verify("--baseline", "b.json") == 0
    assert "nothing beyond 1 accepted result" in capsys.readouterr().out


def test_old_reasons_stay_and_fixed_entries_go(verdict: dict[str, Report]) -> None:
    keep(block(), block(condition="", code="ATN302", reason="gone"))
    new = replace(LEAK, condition="plain")
    passed = replace(PASSED, code="ATN302", condition="")
    verdict["report"] = leaking(LEAK, new, passed)
    assert verify("--baseline", "b.json", *WRITE) == 1
    found = json.loads(Path("b.json").read_text())["findings"]
    assert [(one["code"], one["condition"], one["reason"]) for one in found] == [
        ("ATN301", "left padding", "upstream #1"), ("ATN301", "plain", "why not"),
    ]  # fmt: skip


def test_the_first_baseline_may_be_the_one_that_is_written(verdict: dict[str, Report]) -> None:
    assert verify("--baseline", "b.json", *WRITE) == 1
    assert verify("--baseline", "b.json", *WRITE) == 0


def test_two_files_are_written_as_one(verdict: dict[str, Report]) -> None:
    keep(block())
    Path("b.json").rename("a.json")
    keep(block(model="another"))
    assert verify("--baseline", "a.json", *WRITE) == 0
    found = json.loads(Path("b.json").read_text())["findings"]
    assert [(one["model"], one["reason"]) for one in found] == [
        ("another", "upstream #1"), ("tiny", "upstream #1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (block(), 0, "upstream #1"),
        (block(expires="2999-01-01"), 0, "upstream #1"),
        (block(expires="2020-01-01"), 1, "expired on 2020-01-01"),
        (block(backend="eager"), 1, "neither seen nor ruled out"),
        (block(model="other"), 1, "LEAK"),
    ],
)
def test_the_exit_code(
    given: dict[str, Any], code: int, words: str, verdict: dict[str, Report],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    keep(given)
    assert verify("--baseline", "b.json", "--width", "300") == code
    assert words in capsys.readouterr().out


def test_both_in_one_row(verdict: dict[str, Report], capsys: pytest.CaptureFixture[str]) -> None:
    keep(block())
    new = make_finding(module="model.layers.3.mlp")
    verdict["report"] = leaking(replace(LEAK, findings=(make_finding(), new)))
    assert verify("--baseline", "b.json", "--format", "json") == 1
    last = json.loads(capsys.readouterr().out)["results"][-1]
    assert [one["module"] for one in last["findings"]] == ["model.layers.3.mlp"]


def test_a_fixed_one_is_told(
    verdict: dict[str, Report], capsys: pytest.CaptureFixture[str]
) -> None:
    keep(block())
    verdict["report"] = replace(leaking(PASSED), outcome="pass")
    assert verify("--baseline", "b.json", "--width", "200") == 0
    assert "fixed    ATN301 (left padding, sdpa" in capsys.readouterr().out


def test_a_pass_with_accepted_findings_is_not_proven(
    verdict: dict[str, Report], capsys: pytest.CaptureFixture[str]
) -> None:
    keep(block())
    assert verify("--baseline", "b.json", "--prove", "--width", "200") == 0
    assert "no leak was planted" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["verify-mask", "tiny"], ["census", "--from", "rows.jsonl"]])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--baseline", "none.json"], "--write-baseline makes one"),
        (["--baseline", "broken.json"], "'broken.json' is no JSON"),
        (["--write-baseline", "broken.json", "--reason", "x"], "'broken.json' is no JSON"),
        (["--write-baseline", "b.json"], "--write-baseline needs --reason"),
        (["--write-baseline", "b.json", "--reason", " "], "--write-baseline needs --reason"),
        (["--reason", "x"], "--reason goes with --write-baseline"),
        (["--write-baseline", "no/b.json", "--reason", "x"], "cannot be written"),
    ],
)
def test_mistakes_are_one_line_before_the_work(
    command: list[str], arguments: list[str], words: str, verdict: dict[str, Report],
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    Path("broken.json").write_text("{")
    monkeypatch.delattr(api, "verify")
    assert run([*command, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not Path("b.json").exists()


def test_a_census_adopts_a_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = replace(ROWS[0], otherwise="pass")
    rows = ["census", "--from", str(saved(tmp_path / "rows.jsonl", row, *ROWS[1:]))]
    place = str(tmp_path / "b.json")
    assert run([*rows, "--write-baseline", place, "--reason", "not causal"]) == 1
    assert run([*rows, "--baseline", place, "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert "1 accepted finding, 1 of them new" in captured.err
    data = json.loads(captured.out.splitlines()[-1])
    assert (data["exit_code"], data["rows"][0]["state"]) == (0, "pass")
    (accepted,) = data["rows"][0]["accepted"]
    assert (accepted["found"]["code"], accepted["reason"]) == ("ATN301", "not causal")


def test_a_report_does_not_overwrite_the_baseline(
    verdict: dict[str, Report], capsys: pytest.CaptureFixture[str]
) -> None:
    keep(block())
    before = Path("b.json").read_text()
    assert verify("--baseline", "b.json", "--report", "json:./b.json") == 2
    assert "is the baseline: a report would overwrite it" in capsys.readouterr().err
    assert Path("b.json").read_text() == before


def test_a_key_that_is_written_twice(
    verdict: dict[str, Report], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("b.json").write_text('{"schema": 1, "findings": [], "findings": []}')
    assert verify("--baseline", "b.json") == 2
    assert "the key 'findings' is written twice" in capsys.readouterr().err
