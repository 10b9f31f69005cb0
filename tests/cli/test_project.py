"""`verify-mask` on the models that a pyproject.toml lists."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from attnscope import LoadOptions, api
from attnscope.cli.exit import run
from attnscope.cli.judging import judge
from attnscope.cli.targets import Target, options
from attnscope.errors import LoadError, ProjectError
from attnscope.report import Report
from attnscope.verification import VerifyOptions
from tests.render import examples, reports
from tests.test_baseline import leaking

MODELS = Path(api.__file__).parent / "models"


@dataclass
class Engine:
    """In place of the engine: a report for each model by its name, and what was asked."""

    reports: dict[str, Report] = field(default_factory=dict)
    asked: list[tuple[LoadOptions, VerifyOptions]] = field(default_factory=list)

    def verify(
        self, model: LoadOptions, options: VerifyOptions, *, prompt: str | None, progress: Any
    ) -> Report:
        progress("judging")
        self.asked.append((model, options))
        if "missing" in model.model:
            raise LoadError("It is not here.", "Look elsewhere.")
        report = self.reports.get(model.model, reports.passing())
        return replace(report, model=examples.make_model(name=model.model))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Engine:
    fake = Engine()
    monkeypatch.setattr(api, "verify", fake.verify)
    monkeypatch.chdir(tmp_path)
    return fake


def project(text: str) -> None:
    Path("pyproject.toml").write_text(f"[tool.attnscope]\n{text}\n")


def test_each_listed_model_is_judged_with_its_options(engine: Engine) -> None:
    project("""
        quick = true
        length = 30
        [[tool.attnscope.models]]
        model = "a"
        expect = "sliding:64"
        backend = ["sdpa"]
        select = ["influence", "atn101"]
        [[tool.attnscope.models]]
        model = "b"
        quick = false
        weights = "random"
        prove = true
    """)
    assert run(["verify-mask"]) == 0
    assert engine.asked == [
        (
            LoadOptions(model="a", backend="sdpa"),
            VerifyOptions(quick=True, length=30, expect="sliding:64", backends=("sdpa",),
                          select=("influence", "ATN101")),
        ),
        (LoadOptions(model="b", weights="random"), VerifyOptions(length=30, prove=True)),
    ]  # fmt: skip


def test_the_command_line_wins_for_all_models(engine: Engine) -> None:
    project("""
        quick = true
        seed = 5
        backend = "eager"
        dtype = "float16"
        models = ["a", {model = "b", seed = 6, ignore = "serving"}]
    """)
    arguments = "verify-mask --no-quick --seed 0 --backend sdpa --dtype auto --trust-remote-code"
    assert run(arguments.split()) == 0
    loaded = LoadOptions(model="a", backend="sdpa", trust_remote_code=True)
    asked = VerifyOptions(backends=("sdpa",))
    assert engine.asked == [
        (loaded, asked), (replace(loaded, model="b"), replace(asked, ignore=("serving",))),
    ]  # fmt: skip


def test_tokens_of_the_command_line_have_their_own_length(engine: Engine) -> None:
    project('length = 30\nmodels = ["a"]')
    assert run(["verify-mask", "--ids", "1,2,3"]) == 0
    assert engine.asked[0][1] == VerifyOptions(ids=(1, 2, 3))


def test_a_model_that_is_named_has_its_entrys_options_and_no_other(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    project('quick = true\nmodels = ["a", {model = "b", expect = "sliding:8"}]')
    assert run(["verify-mask", "b", "--width", "300"]) == 0
    page = capsys.readouterr().out
    assert "asked as pyproject.toml says: quick = true, expect = sliding:8." in page
    assert "All together" not in page
    assert run(["verify-mask", "c", "--width", "300"]) == 0
    assert "pyproject.toml" not in capsys.readouterr().out
    assert [asked for _, asked in engine.asked] == [
        VerifyOptions(quick=True, expect="sliding:8"), VerifyOptions(),
    ]  # fmt: skip


def test_the_name_in_the_report_is_the_one_that_is_written(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("checkpoints/tiny").mkdir(parents=True)
    project('models = ["checkpoints/tiny"]')
    root = Path.cwd()
    monkeypatch.chdir("checkpoints")
    assert run(["verify-mask", "--format", "json"]) == 0
    assert engine.asked[0][0].model == str(root / "checkpoints/tiny")
    report = json.loads(capsys.readouterr().out)
    assert report["model"]["name"] == "checkpoints/tiny"


def test_the_projects_baseline_counts_for_its_models(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("below").mkdir()
    project('baseline = "b.json"\nmodels = ["a"]')
    engine.reports = {"a": leaking(), "other": leaking()}
    assert run(["verify-mask"]) == 2  # it is not there yet
    assert run(["verify-mask", "--write-baseline", "b.json", "--reason", "known"]) == 1
    monkeypatch.chdir("below")
    assert run(["verify-mask"]) == 0
    assert run(["verify-mask", "a"]) == 0
    assert run(["verify-mask", "other"]) == 1
    Path("empty.json").write_text('{"schema": 1, "findings": []}')
    assert run(["verify-mask", "--baseline", "empty.json"]) == 1


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["passing", "passing"], 0),
        (["passing", "unchecked"], 3),
        (["unchecked", "broken", "passing"], 2),
        (["broken", "leaking", "unchecked"], 1),
    ],
)
def test_the_exit_code_is_the_worst(outcomes: list[str], code: int, engine: Engine) -> None:
    names = [f"m{number}" for number in range(len(outcomes))]
    engine.reports = {name: reports.ALL[one]() for name, one in zip(names, outcomes, strict=True)}
    project(f"models = {names}")
    assert run(["verify-mask"]) == code


@pytest.mark.parametrize("width", [40, 80, 200])
def test_one_that_cannot_be_loaded_stops_no_other(
    width: int, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.reports = {"leaky": reports.leaking()}
    project('models = ["good", "missing", "leaky"]')
    assert run(["verify-mask", "--width", str(width)]) == 1
    captured = capsys.readouterr()
    assert captured.err == "attnscope: missing: It is not here. Look elsewhere.\n"
    assert examples.widest(captured.out) <= width
    lines = captured.out.split("All together", 1)[1]
    assert [lines.index(one) for one in ("pass ", "ERROR", "FAIL")] == sorted(
        lines.index(one) for one in ("pass ", "ERROR", "FAIL")
    )
    if width == 200:
        assert "✗ ERROR  missing  It is not here. Look elsewhere." in lines
        assert "3 models: 1 with findings, 1 without a verdict, 1 passed" in lines
    project('models = ["good", "missing"]')
    assert run(["verify-mask"]) == 2


def test_json_of_several(engine: Engine, tmp_path: Path) -> None:
    project('models = ["good", "missing"]')
    assert run(["verify-mask", "-o", "out.json"]) == 2
    data = json.loads(Path("out.json").read_text())
    assert (data["schema"], data["exit_code"]) == (1, 2)
    good, missing = data["reports"]
    assert (good["outcome"], good["model"]["name"]) == ("pass", "good")
    assert (missing["outcome"], missing["results"]) == ("error", [])
    assert missing["notes"] == ["It is not here. Look elsewhere."]


def test_every_report_tells_of_the_one_that_could_not_be_loaded(engine: Engine) -> None:
    project('models = ["good", "missing"]')
    forms = ("junit", "sarif", "github", "markdown", "html")
    asked = [word for form in forms for word in ("--report", f"{form}:out.{form}")]
    assert run(["verify-mask", *asked]) == 2
    for form in forms:
        text = Path(f"out.{form}").read_text()
        assert "It is not here." in text, form
        assert "0 parameters" not in text


def test_the_script_is_that_of_the_first_leak(engine: Engine) -> None:
    engine.reports = {"leaky": reports.leaking()}
    project('models = ["good", "leaky"]')
    assert run(["verify-mask", "--reproducer", "leak.py"]) == 1
    assert Path("leak.py").read_text() == "print('leak')\n"


def test_a_factory_is_imported_from_the_projects_directory(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    project('models = [{model = "own.models:make", vocab_size = 9}]')
    root, before, seen = str(Path.cwd()), list(sys.path), list[bool]()
    Path("below").mkdir()
    monkeypatch.chdir("below")
    verify = engine.verify

    def watched(*arguments: Any, **given: Any) -> Report:
        seen.append(root in sys.path)
        return verify(*arguments, **given)

    monkeypatch.setattr(api, "verify", watched)
    assert run(["verify-mask"]) == 0
    assert (seen, sys.path) == ([True], before)
    assert engine.asked[0][0] == LoadOptions(model="own.models:make", vocab_size=9)
    assert run(["verify-mask", "--vocab-size", "5"]) == 0
    assert engine.asked[1][0].vocab_size == 5


def test_progress_says_which_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    fake = Engine()
    monkeypatch.setattr(api, "verify", fake.verify)
    monkeypatch.setattr("attnscope.cli.judging.working", lambda: _Telling(told))
    judge([Target(model=name, location=name, settings={}) for name in "ab"], None, go_on=True)
    assert told[1:] == ["1 of 2: judging", "2 of 2: judging"]


class _Telling:
    def __init__(self, told: list[str]) -> None:
        self.told = told

    def __enter__(self) -> Any:
        return self.told.append

    def __exit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("text", "arguments", "words"),
    [
        ("quik = 1", [], "unknown key 'quik'. Did you mean quick?"),
        ("quik = 1", ["fable"], "unknown key 'quik'"),
        ("", [], "[tool.attnscope] lists no models"),
        ("models = ['a', {model = 'b', select = ['influenc']}]", [],
         "model 2 ('b') select 'influenc' is no check and no family. Did you mean influence"),
        ("ignore = ' '\nmodels = ['a']", [], "ignore is ' ' and no text"),
        ("models = ['a', {model = 'b', expect = 'slidng:3'}]", [],
         "model 2 ('b') expect slidng:3 is not understood"),
        ("backend = 'magic'\nmodels = ['a']", [],
         "[tool.attnscope] backend 'magic' is unknown. Choose from eager"),
        ("backend = ['all', 'eager']\nmodels = ['a']", [], "backend all takes no further name"),
        ("baseline = 'none.json'\nmodels = ['a']", [], "--write-baseline makes one"),
        ("models = ['a']", ["--select", "influenc"], "--select 'influenc' is no check"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_before_any_model_is_loaded(
    text: str, arguments: list[str], words: str, engine: Engine,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    project(text)
    assert run(["verify-mask", *arguments]) == 2
    captured = capsys.readouterr()
    assert (captured.out, engine.asked) == ("", [])
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1


def test_without_a_model_and_without_a_list(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify-mask"]) == 2
    told = capsys.readouterr().err
    assert "attnscope verify-mask MODEL" in told
    assert "[tool.attnscope]" in told
    assert len(told.splitlines()) == 1


def test_a_real_model_beside_one_that_is_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(MODELS / "textbook" / "weights", tmp_path / "copy")
    (tmp_path / "empty").mkdir()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path)
    project('quick = true\nbackend = "eager"\nmodels = ["copy", "empty"]')
    monkeypatch.chdir("below")
    assert run(["verify-mask", "--format", "json"]) == 2
    captured = capsys.readouterr()
    assert "holds no config.json" in captured.err
    copy, empty = json.loads(captured.out)["reports"]
    assert (copy["outcome"], copy["model"]["name"], copy["backends"]) == ("pass", "copy", ["eager"])
    assert (empty["outcome"], empty["model"]["name"]) == ("error", "empty")


def test_a_setting_that_this_version_does_not_know_is_told() -> None:
    target = Target(model="a", location="a", settings={"unheard": 1}, places={"unheard": "here"})
    with pytest.raises(ProjectError, match="here is not known to this version"):
        options(target)
