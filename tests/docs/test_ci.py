"""docs/ci.md: each file on the page is what its reader needs, and each of its lines runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import attnscope
from attnscope.cli.exit import run
from tests.docs import ci_page as page

CPU = ["pip", "install", "torch", "--index-url", "https://download.pytorch.org/whl/cpu"]
PINNED = re.compile(r"(actions/[\w-]+|github/codeql-action/[\w-]+)@v\d+")
SCHEMAS = {
    "vendor.github-workflows": page.WORKFLOWS,
    "vendor.gitlab-ci": (page.GITLAB,),
    "vendor.github-actions": (),
}


def slow_in_full(line: str) -> pytest.MarkDecorator | tuple[()]:
    return pytest.mark.slow if "--no-quick" in line else ()


def cases(pairs: list[tuple[str, str]]) -> list[object]:
    return [pytest.param(line, marks=slow_in_full(line), id=f"{n}: {line}") for n, line in pairs]


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository of the examples, with none of its modules imported yet."""
    for name in page.REPOSITORY:
        (tmp_path / name).write_text(page.FILES[name], encoding="utf-8")
    monkeypatch.delitem(sys.modules, "decoder", raising=False)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path  # type: ignore[misc]
    sys.modules.pop("decoder", None)


def test_every_block_of_the_page_is_a_file_or_a_session() -> None:
    assert page.PAGE.count("```") == 2 * (len(page.FILES) + page.PAGE.count("```console"))
    assert len(page.WORKFLOWS) == 3
    assert set(page.FILES) == {
        *page.REPOSITORY, *page.WORKFLOWS, page.GITLAB, page.SHELL,
        page.LOCAL_HOOK, page.REMOTE_HOOK,
    }  # fmt: skip
    assert [code for _, code in page.CONSOLE] == ["1", "0"]
    known = {"pip", "attnscope", "pytest"}
    assert {line.split()[0] for _, line in page.lines()} == known


@pytest.mark.parametrize("schema", SCHEMAS)
def test_what_github_and_gitlab_read_is_valid(schema: str, tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema")
    files = [tmp_path / Path(name).name for name in SCHEMAS[schema]]
    for name, file in zip(SCHEMAS[schema], files, strict=True):
        file.write_text(page.FILES[name], encoding="utf-8")
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    own = page.ACTION_FOLDER / "action.yml"
    ran = subprocess.run([*checker, *map(str, files or [own])], check=False, capture_output=True)
    assert ran.returncode == 0, ran.stdout.decode()


@pytest.mark.parametrize("line", cases(page.of("attnscope")))
def test_a_line_passes_and_writes_its_reports(line: str) -> None:
    words = shlex.split(line)
    assert run(words[1:]) == 0
    for option, value in pairwise(words):
        if option == "--report":
            assert Path(value.split(":")[1]).stat().st_size > 500
    assert Path("summary.md").exists() == ("--format github" in line)


def test_the_session_about_a_baseline() -> None:
    for line, code in page.CONSOLE:
        assert run(shlex.split(line)[1:]) == int(code), line


@pytest.mark.parametrize("line", [line for _, line in page.of("pip")])
def test_pip_installs_what_the_examples_need(line: str) -> None:
    words = shlex.split(line)
    if "--index-url" in words:
        assert words == CPU
        return
    assert words[:4] == ["pip", "install", "-e", "."]
    named = {one.name: one.url for one in map(Requirement, words[4:])}
    source = f"git+https://github.com/OWNER/attnscope@v{attnscope.__version__}"
    assert named.pop("attnscope") == source
    assert set(named) <= {"pytest"}


def test_torch_comes_first_wherever_pip_runs() -> None:
    for name in {name for name, _ in page.of("pip")}:
        found = [line for each, line in page.of("pip") if each == name]
        assert [shlex.split(line) == CPU for line in found] == [True, False], name


@pytest.mark.slow
@pytest.mark.parametrize("line", cases(page.of("pytest")))
def test_the_tests_pass_and_leave_their_reports(line: str) -> None:
    words = shlex.split(line)
    environment = {
        **os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(page.ROOT),
    }  # fmt: skip
    environment.pop("PYTEST_ADDOPTS", None)
    plugin = [sys.executable, "-m", "pytest", "-p", "attnscope.pytest_plugin"]
    ran = subprocess.run(
        [*plugin, *words[1:]], check=False, capture_output=True, text=True, env=environment
    )
    assert ran.returncode == 0, ran.stdout
    assert "1 passed" in ran.stdout
    for word in words[1:]:
        assert Path(word.partition("=")[2]).stat().st_size > 200


def test_actions_are_named_by_a_version() -> None:
    used = [step["uses"] for name in page.WORKFLOWS for step in page.steps(name) if "uses" in step]
    used += [step["uses"] for step in page.ACTION["runs"]["steps"] if "uses" in step]
    for name in used:
        own = f"{page.USED}v{attnscope.__version__}"
        assert name == own or PINNED.fullmatch(name), name
    versions = [re.findall(rf"{one}@v\d+", "".join(used)) for one in ("setup-python", "sarif")]
    assert all(len(set(each)) == 1 for each in versions)


def test_every_example_is_of_this_version() -> None:
    readme = (page.ROOT / "README.md").read_text(encoding="utf-8")
    for text in (readme, page.PAGE):
        named = re.findall(r"OWNER/attnscope\S*@v([\d.]+)", text)
        assert set(named) == {attnscope.__version__}


def test_every_input_and_output_of_the_action_is_on_the_page() -> None:
    part = page.PAGE.split("| input |")[1].split("## ")[0]
    rows = re.findall(r"^\| ((?:`[\w-]+`(?:, )?)+) \|", part, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([\w-]+)`", row)} == set(
        page.ACTION["inputs"]
    )
    for name in page.ACTION["outputs"]:
        assert f"`{name}`" in part.split("Outputs:")[1]
    for _, given in page.action_steps():
        assert set(given) <= set(page.ACTION["inputs"])


def test_the_hook_and_the_page_agree() -> None:
    (defined,) = page.HOOKS
    ((local,),) = (repo["hooks"] for repo in page.parsed(page.LOCAL_HOOK)["repos"])
    for key in ("id", "entry", "pass_filenames", "files", "stages"):
        assert local[key] == defined[key], key
    (remote,) = page.parsed(page.REMOTE_HOOK)["repos"]
    assert remote["rev"] == f"v{attnscope.__version__}"
    assert remote["hooks"][0]["id"] == defined["id"]
    matter = re.compile(defined["files"])
    for name in ("decoder.py", "a/b.py", "pyproject.toml", "a/pyproject.toml"):
        assert matter.search(name), name
    for name in ("README.md", "notpyproject.toml", "a.pyc"):
        assert not matter.search(name), name


def test_the_hooks_line_runs_with_its_arguments() -> None:
    hook = page.parsed(page.REMOTE_HOOK)["repos"][0]["hooks"][0]
    assert run([*shlex.split(page.HOOKS[0]["entry"])[1:], *hook["args"]]) == 0


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([\w.-]+\.md)", page.PAGE):
        assert (page.ROOT / "docs" / target).is_file(), target
