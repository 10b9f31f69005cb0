"""The files of docs/ci.md, and the lines in them that a machine would run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
FILES: dict[str, str] = dict(re.findall(r"```\w+\n# (.*)\n((?:.*\n)*?)```\n", PAGE))
"""Name, from the first line, to content."""
CONSOLE: list[tuple[str, str]] = re.findall(r"\$ (attnscope .*); echo \$\?\n(\d)\n", PAGE)
"""Each line that a person types, and its exit code."""
REPOSITORY = ("decoder.py", "pyproject.toml", "test_decoder.py")
"""What is judged."""
WORKFLOWS = tuple(name for name in FILES if name.startswith(".github/workflows/"))
GITLAB = ".gitlab-ci.yml"
SHELL = "any job"
LOCAL_HOOK, REMOTE_HOOK = (name for name in FILES if name.startswith(".pre-commit-config.yaml"))
ACTION_FOLDER = ROOT / ".github/actions/verify-mask"
ACTION: dict[str, Any] = yaml.safe_load((ACTION_FOLDER / "action.yml").read_text(encoding="utf-8"))
HOOKS: list[dict[str, Any]] = yaml.safe_load(
    (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
)
USED = "OWNER/attnscope/.github/actions/verify-mask@"


def parsed(name: str) -> Any:
    """A YAML file of the page."""
    return yaml.safe_load(FILES[name])


def steps(name: str) -> Iterator[dict[str, Any]]:
    """Those of a workflow's jobs."""
    for job in parsed(name)["jobs"].values():
        yield from job["steps"]


def lines() -> Iterator[tuple[str, str]]:
    """Each line that is run, after the name of its file."""
    for name in WORKFLOWS:
        for step in steps(name):
            yield from ((name, line) for line in step.get("run", "").splitlines())
    for job in parsed(GITLAB).values():
        for part in ("before_script", "script"):
            yield from ((GITLAB, line) for line in job.get(part, []))
    yield from ((SHELL, line) for line in FILES[SHELL].splitlines())


def of(tool: str) -> list[tuple[str, str]]:
    """The lines that run one tool."""
    return [(name, line) for name, line in lines() if line.split()[0] == tool]


def action_steps() -> list[tuple[str, dict[str, str]]]:
    """The inputs of each step that uses the action, as text."""
    return [
        (name, {key: str(value) for key, value in step.get("with", {}).items()})
        for name in WORKFLOWS
        for step in steps(name)
        if step.get("uses", "").startswith(USED)
    ]
