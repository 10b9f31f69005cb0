"""The script that shows a leak with torch and transformers alone."""

from __future__ import annotations

import ast
import contextlib
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from attnscope.checks import CHECKS
from attnscope.conditions import CONDITIONS
from attnscope.experiments.subject import Cost, Subject
from attnscope.load import LoadedModel, LoadOptions, load
from attnscope.report import CheckResult, Finding, Report
from attnscope.verification import VerifyOptions, reproducer, verify_model
from tests.tiny import save_tiny, tiny

LINES = 25
TOKENS = 21
SCRIPTED = [
    (check.code, key)
    for check in CHECKS
    if check.evidence in {"sweep", "contents", "agreement"}
    for key in check.conditions
    if check.code not in {"ATN003", "ATN302"}
]
UNPROMISED = {"packed_cached"}


def saved(name: str, directory: Path) -> tuple[LoadedModel, LoadOptions]:
    options = LoadOptions(model=str(save_tiny(name, directory)), device="cpu")
    return load(options), options


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedModel, LoadOptions]:
    return saved("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def mamba(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedModel, LoadOptions]:
    return saved("mamba", tmp_path_factory.mktemp("mamba"))


def written(
    loaded: LoadedModel, origin: LoadOptions | None, code: str, key: str, first_position: int = 0
) -> str:
    """The script for a made-up finding of a check in a condition."""
    check = next(check for check in CHECKS if check.code == code)
    subject = Subject(loaded.model, range(90), Cost(lambda forwards: None))
    subject.first_position = first_position
    finding = Finding(
        layer=0, module="m", head=None, query=3, key=9 if check.evidence == "sweep" else None,
        measured=1.0, limit=1e-3 if check.evidence == "agreement" else 0.0, message="Made up.",
    )  # fmt: skip
    result = CheckResult(
        code=code, name=check.name, family=check.family, backend="eager", outcome="fail",
        condition=CONDITIONS[key].title if len(check.conditions) > 1 else "", reason="",
        findings=(finding,),
    )  # fmt: skip
    report = Report(
        outcome="fail", model=loaded.info, labels=(), declared=(), results=(result,),
        backends=("eager",), forwards=1, tokens=1, seconds=0.0,
    )  # fmt: skip
    return reproducer.script(subject, subject.draw(TOKENS, 0), 0, report, origin)


def require_alone(script: str) -> None:
    """At most so many lines, and nothing imported but torch and transformers."""
    assert len(script.splitlines()) <= LINES
    assert all(line.strip() for line in script.splitlines())
    tree = ast.parse(script)
    names = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert names == {"torch", "transformers"}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))


def printed(script: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(script, "script", "exec"), {})
    return said.getvalue().strip()


@pytest.mark.parametrize(("code", "key"), SCRIPTED)
def test_every_way_has_a_short_script_that_is_silent_on_a_clean_model(
    llama: tuple[LoadedModel, LoadOptions], code: str, key: str
) -> None:
    script = written(*llama, code, key)
    require_alone(script)
    if key == "offloaded_cache" and not torch.cuda.is_available():
        return
    assert (printed(script) != "leak: 0.0") == (key in UNPROMISED)


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("ATN301", "plain"), ("ATN301", "ones"), ("ATN301", "left_padding"),
        ("ATN306", "left_padded_decoding"), ("ATN401", "one_token"), ("ATN402", "sliding_cache"),
        ("ATN403", "reordered"), ("ATN404", "left_padded_decoding"), ("ATN405", "cache"),
        ("ATN407", "alone"), ("ATN409", "reordered"),
    ],
)  # fmt: skip
def test_a_model_with_another_kind_of_cache_is_called_as_it_wants(
    mamba: tuple[LoadedModel, LoadOptions], code: str, key: str
) -> None:
    script = written(*mamba, code, key)
    require_alone(script)
    assert "position_ids" not in script.split("cache_params")[0] or "given.keys()" in script
    assert printed(script) == "leak: 0.0"


def test_a_state_space_models_steps_leak_as_the_report_says(
    mamba: tuple[LoadedModel, LoadOptions],
) -> None:
    loaded, options = mamba
    subject = Subject(loaded.model, range(90), Cost(lambda forwards: None))
    ids = subject.draw(TOKENS, 0)
    ways = [subject.run(key, ids, ids[:, :0]) for key in ("plain", "several_tokens")]
    expected = float((ways[0].double() - ways[1].double()).abs().max())
    said = printed(written(loaded, options, "ATN401", "several_tokens"))
    assert float(said.removeprefix("leak: ")) == pytest.approx(expected)


def test_positions_that_count_from_elsewhere_are_shifted(
    llama: tuple[LoadedModel, LoadOptions],
) -> None:
    script = written(*llama, "ATN404", "left_padding", first_position=2)
    require_alone(script)
    assert "+ 2 if name == 'position_ids'" in script
    assert printed(script) == "leak: 0.0"  # rotary positions are relative


def test_there_is_no_script_for_what_was_not_loaded_from_weights(
    llama: tuple[LoadedModel, LoadOptions],
) -> None:
    loaded, options = llama
    assert written(loaded, None, "ATN301", "plain") == ""
    random = LoadOptions(model=options.model, weights="random")
    assert written(loaded, random, "ATN301", "plain") == ""


def run(script: str, directory: Path) -> str:
    path = directory / "leak.py"
    path.write_text(script)
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_real_leak_of_a_released_library_is_reproduced(tmp_path: Path) -> None:
    """Falcon on sdpa, asked for its weights, adds a boolean mask to its scores."""
    loaded, options = saved("falcon", tmp_path / "falcon")
    asked: dict[str, Any] = {"backends": ("sdpa",), "select": ("ATN301",)}
    report = verify_model(loaded, VerifyOptions(**asked), origin=options)
    if report.outcome == "pass":
        pytest.skip("this version of transformers no longer leaks here")
    assert (report.outcome, report.exit_code) == ("fail", 1)
    (finding,) = [one for _, one in report.findings]
    assert finding.module == "transformer.h.0.self_attention"
    assert finding.key is not None
    assert finding.query is not None
    assert finding.key > finding.query
    script = report.reproducer
    require_alone(script)
    said = run(script, tmp_path)
    assert float(said.removeprefix("leak: ")) == pytest.approx(finding.measured, rel=1e-3)
    clean = script.replace("attn_implementation='sdpa'", "attn_implementation='eager'")
    assert clean != script
    assert printed(clean) == "leak: 0.0"


def test_a_clean_model_has_no_script(tmp_path: Path) -> None:
    loaded, options = saved("llama", tmp_path)
    report = verify_model(loaded, VerifyOptions(quick=True), origin=options)
    assert (report.outcome, report.reproducer) == ("pass", "")


def test_nan_is_no_silence(llama: tuple[LoadedModel, LoadOptions], tmp_path: Path) -> None:
    """A script that compares with NaN must not print that there is no leak."""
    model = tiny("llama")
    model.lm_head.weight.data[:] = float("nan")
    model.save_pretrained(tmp_path)
    script = written(*llama, "ATN405", "ones").replace(llama[1].model, str(tmp_path))
    assert printed(script) == "leak: nan"
