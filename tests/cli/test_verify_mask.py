"""`attnscope verify-mask`: what it asks the engine for, and what it does with the report."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from attnscope import LoadOptions, api, checks
from attnscope.cli.exit import run
from attnscope.report import Report
from attnscope.verification import VerifyOptions
from tests.render import reports


@dataclass
class Engine:
    """In place of the engine: it answers with a report and keeps what it was asked."""

    report: Report
    model: Any = None
    options: Any = None
    prompt: Any = None

    def verify(
        self, model: LoadOptions, options: VerifyOptions, *, prompt: str | None, progress: Any
    ) -> Report:
        progress("judging")
        self.model, self.options, self.prompt = model, options, prompt
        return self.report


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    fake = Engine(reports.passing())
    monkeypatch.setattr(api, "verify", fake.verify)
    registry = (reports.ObserverChangesOutputs, reports.LaterTokenMovesEarlier)
    monkeypatch.setattr(checks, "CHECKS", registry)
    return fake


@pytest.mark.parametrize(
    ("name", "code"),
    [("passing", 0), ("partly", 0), ("leaking", 1), ("broken", 2), ("unchecked", 3)],
)
@pytest.mark.parametrize("form", ["table", "json"])
def test_the_exit_code_is_the_verdicts(
    name: str, code: int, form: str, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.report = reports.ALL[name]()
    assert run(["verify-mask", "fable", "--format", form]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    if form == "json":
        assert json.loads(captured.out)["exit_code"] == code
    else:
        assert "tiny · TextbookModel" in captured.out


def test_the_defaults(engine: Engine) -> None:
    run(["verify-mask", "some/model"])
    assert engine.model == LoadOptions(model="some/model")
    assert engine.options == VerifyOptions()
    assert engine.prompt is None


def test_every_option_reaches_the_engine(engine: Engine) -> None:
    arguments = (
        "verify-mask m --device cpu --dtype float32 --revision v1 --device-map auto"
        " --allow-pickle --trust-remote-code --backend eager,sdpa --weights random"
        " --expect sliding:8 --select atn301,Influence --select ATN0xx"
        " --select future-influence --ignore observer --length 24"
        " --seed 7 --quick --budget 5000 --prove"
    )
    assert run(arguments.split()) == 0
    assert engine.model == LoadOptions(
        model="m", device="cpu", dtype="float32", revision="v1", device_map="auto",
        allow_pickle=True, trust_remote_code=True, weights="random",
    )  # fmt: skip
    assert engine.options == VerifyOptions(
        backends=("eager", "sdpa"), expect="sliding:8",
        select=("ATN301", "influence", "ATN0XX", "future-influence"),
        ignore=("observer",), length=24, seed=7, quick=True, budget=5000, prove=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "backends", "loaded"),
    [
        ("auto", (), "auto"),
        ("eager", ("eager",), "eager"),
        ("all", ("all",), "auto"),
        ("sdpa, eager,sdpa", ("sdpa", "eager"), "auto"),
    ],
)
def test_backends(text: str, backends: tuple[str, ...], loaded: str, engine: Engine) -> None:
    assert run(["verify-mask", "m", "--backend", text]) == 0
    assert (engine.options.backends, engine.model.backend) == (backends, loaded)


def test_real_tokens(engine: Engine) -> None:
    assert run(["verify-mask", "m", "--prompt", "The cat"]) == 0
    assert engine.prompt == "The cat"
    assert run(["verify-mask", "m", "--ids", "5,9,23"]) == 0
    assert (engine.prompt, engine.options.ids) == (None, (5, 9, 23))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--expect", "sliding"], "--expect sliding is not understood"),
        (["--expect", "sliding:0"], "sliding:W"),
        (["--backend", "magic"], "--backend 'magic' is unknown"),
        (["--backend", ""], "Choose from eager"),
        (["--backend", "all,eager"], "takes no further name"),
        (["--select", "ATN999"], "--select 'ATN999' is no check and no family"),
        (["--select", "influenc"], "Did you mean influence or"),
        (["--select", "ATN"], "is no check and no family"),
        (["--select", ","], "--select is empty"),
        (["--ignore", "atn302"], "Did you mean ATN301"),
        (["--length", "1"], "leaves no later token"),
        (["--length", "9", "--prompt", "a b"], "--length and --prompt exclude"),
        (["--length", "9", "--ids", "1,2"], "--length and --ids exclude"),
        (["--prompt", "a", "--ids", "1,2"], "--prompt and --ids exclude"),
        (["--ids", "1;2"], "--ids takes numbers"),
        (["--seed", "-1"], "--seed"),
        (["--budget", "0"], "--budget"),
        (["--output", "/nowhere/at.all"], "cannot be written"),
        (["--reproducer", "/nowhere/leak.py"], "cannot be written"),
        (["--reproducer", "/"], "is a directory"),
        (["--weights", "none"], "--weights"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(
    arguments: list[str], words: str, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify-mask", "m", *arguments]) == 2
    captured = capsys.readouterr()
    assert (captured.out, engine.model) == ("", None)
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_model_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify-mask"]) == 2
    assert "MODEL" in capsys.readouterr().err


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_asked(
    width: int, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.report = reports.leaking()
    assert run(["verify-mask", "m", "--width", str(width)]) == 1
    printed = capsys.readouterr().out
    assert max(cell_len(line) for line in printed.splitlines()) <= width
    assert "\x1b" not in printed


@pytest.mark.parametrize("ending", ["txt", "json", "svg", "html"])
def test_output_files(
    ending: str, engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.report = reports.leaking()
    path = tmp_path / f"report.{ending}"
    assert run(["verify-mask", "m", "-o", str(path)]) == 1
    assert capsys.readouterr() == ("", "")
    content = path.read_text()
    assert "ATN301" in content
    if ending == "json":
        assert json.loads(content)["outcome"] == "fail"
    elif ending == "txt":
        assert "LEAK" in content
    else:
        assert "attnscope verify-mask tiny" in content.replace("&#160;", " ")


def test_a_reproducer_is_written_where_there_is_a_leak(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "leak.py"
    engine.report = reports.leaking()
    assert run(["verify-mask", "m", "--reproducer", str(path)]) == 1
    assert path.read_text() == "print('leak')\n"
    told = capsys.readouterr().err
    assert str(path) in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("report", "code", "why"),
    [
        (reports.passing(), 0, "there is no finding"),
        (replace(reports.leaking(), reproducer=""), 1, "no script shows this finding"),
    ],
)
def test_without_a_script_nothing_is_written(
    report: Report, code: int, why: str, engine: Engine, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = tmp_path / "leak.py"
    engine.report = report
    assert run(["verify-mask", "m", "--reproducer", str(path)]) == code
    assert not path.exists()
    told = capsys.readouterr().err
    assert why in told
    assert "nothing is written" in told


@pytest.mark.parametrize("error", [SystemExit(0), BrokenPipeError()])
def test_a_model_that_leaves_early_is_an_error_and_never_clean(
    error: BaseException, engine: Engine, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def leave(*_: object, **__: object) -> Report:
        raise error

    monkeypatch.setattr(api, "verify", leave)
    assert run(["verify-mask", "m"]) == 2
    assert "left before there was a verdict" in capsys.readouterr().err


def test_an_error_of_the_engine_is_2_and_never_1(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> Report:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(api, "verify", broken)
    assert run(["verify-mask", "m"]) == 2
    assert "planted" in capsys.readouterr().err


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in ("0 clean, done", "1 a leak was found", "3 nothing could be checked"):
        assert words in printed
