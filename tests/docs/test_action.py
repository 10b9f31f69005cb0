"""The GitHub Action: its steps, with inputs that mean well and inputs that do not."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from attnscope.cli.exit import run
from tests.docs import ci_page as page

STEPS = {step["name"]: step for step in page.ACTION["runs"]["steps"] if "run" in step}
SCRIPT = page.ACTION_FOLDER / "verify_mask.py"


@dataclass
class Runner:
    """What GitHub gives a step, and what is read of it afterwards."""

    workspace: Path
    environment: dict[str, str] = field(default_factory=dict)

    def verify(self, home: str = ".", **inputs: str) -> subprocess.CompletedProcess[str]:
        """The step as it stands in action.yml, by bash."""
        step = STEPS["attnscope verify-mask"]
        given = {key: inputs.get(key.removeprefix("INPUT_").lower(), "") for key in step["env"]}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-c", step["run"]],
            cwd=self.workspace / home, env={**self.environment, **given},
            check=False, capture_output=True, text=True,
        )  # fmt: skip

    @property
    def outputs(self) -> dict[str, str]:
        text = (self.workspace / "output.txt").read_text(encoding="utf-8")
        return {key: value for key, _, value in re.findall(r"(.*)<<(.*)\n(.*)\n\2\n", text)}


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    for name in page.REPOSITORY[:2]:
        (tmp_path / name).write_text(page.FILES[name], encoding="utf-8")
    return Runner(tmp_path, {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(page.ROOT),
        "HF_HUB_OFFLINE": "1",
            "GITHUB_ACTION_PATH": str(page.ACTION_FOLDER),
        "GITHUB_WORKSPACE": str(tmp_path),
        "GITHUB_OUTPUT": str(tmp_path / "output.txt"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    })  # fmt: skip


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module, in a workspace, without inputs."""
    spec = importlib.util.spec_from_file_location("verify_mask_of_the_action", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output.txt"))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    return module


@pytest.fixture
def ran(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been run; each with the exit code that `CODE` says, and its reports where
    `WRITES` is set.
    """
    lines: list[list[str]] = []

    def record(line: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        lines.append(line)
        named = [after for word, after in pairwise(line) if word == "--report"]
        for report in named if "WRITES" in os.environ else ():
            Path(report.partition(":")[2]).write_text("new", encoding="utf-8")
        return subprocess.CompletedProcess(line, int(os.environ.get("CODE", "0")))

    monkeypatch.setattr(script.subprocess, "run", record)
    return lines


def asked(script: ModuleType, monkeypatch: pytest.MonkeyPatch, step: str, **inputs: str) -> int:
    for name, value in inputs.items():
        monkeypatch.setenv(f"INPUT_{name.upper()}", value)
    monkeypatch.setattr(sys, "argv", ["verify_mask.py", step])
    return script.main()  # type: ignore[no-any-return]


@pytest.mark.slow
def test_a_leak_fails_the_step_and_is_reported(runner: Runner) -> None:
    home = runner.workspace / "packages" / "one"
    home.mkdir(parents=True)
    (runner.workspace / "decoder.py").rename(home / "decoder.py")
    ended = runner.verify(
        home="packages/one", models="textbook\n decoder:unmasked \n", arguments="--quick",
        sarif="out/leaks.sarif", junit="leaks.xml",
    )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    assert "::error title=ATN301" in ended.stdout
    files = {"sarif": home / "out/leaks.sarif", "junit": home / "leaks.xml"}
    assert runner.outputs == {"exit-code": "1"} | {key: str(file) for key, file in files.items()}
    (log,) = json.loads(files["sarif"].read_text(encoding="utf-8"))["runs"]
    (uri,) = {
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for one in log["results"]
    }  # fmt: skip
    assert uri == "packages/one/pyproject.toml"
    assert {one["properties"]["model"] for one in log["results"]} == {"decoder:unmasked"}
    assert "decoder:unmasked" in (runner.workspace / "summary.md").read_text(encoding="utf-8")


HOSTILE = ("fable; touch pwned", "$(touch pwned)", "`touch pwned`", "--help", "a' && touch pwned")


def test_hostile_inputs_are_words(runner: Runner) -> None:
    ended = runner.verify(
        models="\n".join(HOSTILE),
        arguments="--quick --select '$(touch pwned);influence' --device '`touch pwned`'",
        baseline="$(touch pwned).json", sarif="$(touch pwned)\n::set-output name=x::y.sarif",
    )  # fmt: skip
    assert ended.returncode == 2, ended.stdout
    assert "Usage" not in ended.stdout
    assert not (runner.workspace / "pwned").exists()
    assert runner.outputs == {"exit-code": "2"}


def test_hostile_models_are_names_of_models_that_there_are_not(
    script: ModuleType, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert asked(script, monkeypatch, "verify", models="\n \n".join(HOSTILE)) == 0
    assert tuple(ran[0][-len(HOSTILE) - 1 :]) == ("--", *HOSTILE)
    assert run([*ran[0][4:]]) == 2
    for name, line in zip(HOSTILE, capsys.readouterr().err.splitlines(), strict=True):
        assert line.startswith(f"attnscope: {name}"), line
    assert not Path("pwned").exists()


@pytest.mark.slow
def test_the_projects_models_are_clean(runner: Runner) -> None:
    ended = runner.verify(sarif="leaks.sarif")
    assert ended.returncode == 0, ended.stderr
    assert runner.outputs["sarif"] == str(runner.workspace / "leaks.sarif")
    assert "textbook" in (runner.workspace / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "given"), page.action_steps(), ids=lambda one: str(one)[:40])
def test_the_examples_of_the_page(
    name: str, given: dict[str, str], script: ModuleType, ran: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    inputs = {key.replace("-", "_"): value for key, value in given.items()}
    monkeypatch.setenv("WRITES", "1")
    assert asked(script, monkeypatch, "install", **inputs) == 0
    assert [line[-2:] for line in ran][1] == ["-e", "."]
    assert asked(script, monkeypatch, "verify", **inputs) == 0
    words = [word.replace("--no-quick", "--quick") for word in ran[-1][4:]]
    for file in page.REPOSITORY[:2]:
        Path(file).write_text(page.FILES[file], encoding="utf-8")
    monkeypatch.delitem(sys.modules, "decoder", raising=False)
    assert run(words) == 0, name
    for form in {"sarif", "junit"} & given.keys():
        assert Path(given[form]).is_file()
    sys.modules.pop("decoder", None)


def test_what_is_installed(
    script: ModuleType, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(script, monkeypatch, "install") == 0
    assert asked(script, monkeypatch, "install", torch="as-is", install="-e '.[a, b]'\n-r x") == 0
    assert asked(script, monkeypatch, "install", attnscope="attnscope==1 'a @ b'") == 0
    lines = [line[5:] for line in ran]
    assert lines == [
        ["torch", "--index-url", script.CPU],
        ["--extra-index-url", script.CPU, str(page.ROOT)],
        [str(page.ROOT), "-e", ".[a, b]", "-r", "x"],
        ["attnscope==1", "a @ b", "-e", ".[a, b]", "-r", "x"],
    ]


def test_a_failing_pip_ends_the_step(
    script: ModuleType, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE", "1")
    assert asked(script, monkeypatch, "install") == 2
    assert len(ran) == 1


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130, -signal.SIGKILL])
def test_the_code_of_attnscope_is_the_steps(
    code: int, script: ModuleType, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("CODE", str(code))
    expected = 137 if code < 0 else code
    assert asked(script, monkeypatch, "verify") == expected
    assert Runner(tmp_path).outputs == {"exit-code": str(expected)}
    assert len(ran) == 1


@pytest.mark.parametrize("code", [0, 1])
def test_an_older_report_is_not_taken_for_a_new_one(
    code: int, script: ModuleType, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    """Nor is a run clean that ended without the report that was asked for; nothing is deleted."""
    Path("old.sarif").write_text("{}", encoding="utf-8")
    monkeypatch.setenv("CODE", str(code))
    expected = 2 if code == 0 else code
    assert asked(script, monkeypatch, "verify", sarif="old.sarif") == expected
    assert Runner(tmp_path).outputs == {"exit-code": str(expected)}
    assert Path("old.sarif").read_text(encoding="utf-8") == "{}"
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("step", "inputs"),
    [
        ("verify", {"arguments": "--expect 'sliding"}),
        ("install", {"torch": "cuda"}),
        ("verify", {"sarif": "file/in.sarif"}),
    ],
)
def test_a_mistake_is_2_and_never_1(
    step: str, inputs: dict[str, str], script: ModuleType, ran: list[list[str]],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    Path("file").touch()
    assert asked(script, monkeypatch, step, **inputs) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert ran == []


def test_without_attnscope_there_is_no_verdict(
    script: ModuleType, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "find_spec", lambda name: None)
    assert asked(script, monkeypatch, "verify") == 2
    assert ran == []


def test_no_input_is_pasted_into_a_script() -> None:
    for step in STEPS.values():
        assert "${{" not in step["run"]
        assert step["run"].startswith("set -euo pipefail\n")
        assert step["shell"] == "bash"
    read = set(re.findall(r'(?:given|words)\("(\w+)"\)', SCRIPT.read_text(encoding="utf-8")))
    passed = {name.removeprefix("INPUT_") for step in STEPS.values() for name in step["env"]}
    assert passed == read | {"SARIF", "JUNIT"}
