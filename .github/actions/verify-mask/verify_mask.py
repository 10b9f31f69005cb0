"""The two steps of the action: `install`, and `verify`, which leaves with attnscope's exit code.

Every input is an environment variable that becomes words of an argument list. No shell reads them.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

CPU = "https://download.pytorch.org/whl/cpu"
ERROR = 2
"""Of attnscope too. What goes wrong in this script must not read as 1, a leak."""
INTERRUPTED = 128


class InputError(ValueError):
    """An input that means nothing."""


def given(name: str) -> str:
    """An input without the blanks around it; empty where it was not said."""
    return os.environ.get(f"INPUT_{name}", "").strip()


def words(name: str) -> list[str]:
    """An input's words: quotes hold them together, a line begins none of its own."""
    try:
        return shlex.split(given(name))
    except ValueError as error:
        raise InputError(f"{name.lower()}: {error}") from error


def installs() -> Iterator[list[str]]:
    """The arguments of each `pip install`."""
    torch = given("TORCH") or "cpu"
    if torch not in {"cpu", "as-is"}:
        raise InputError(f"torch is {torch!r} and neither cpu nor as-is")
    if torch == "cpu":
        yield ["torch", "--index-url", CPU]
    own = str(Path(__file__).resolve().parents[3])
    # What is installed next may ask for another torch: that one is to be a CPU build as well.
    index = ["--extra-index-url", CPU] if torch == "cpu" else []
    yield [*index, *(words("ATTNSCOPE") or [own]), *words("INSTALL")]


def install() -> int:
    """Install everything; 2 where pip fails."""
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    for arguments in [*installs()]:
        if subprocess.run([*pip, *arguments], check=False).returncode:
            return ERROR
    return 0


def anchor() -> list[str]:
    """SARIF shows its results in the pyproject.toml of the working directory."""
    root = os.environ.get("GITHUB_WORKSPACE", "")
    here = Path(os.path.relpath(Path.cwd(), root)) if root else Path()
    if here.parts and ".." not in here.parts:
        return ["--sarif-anchor", (here / "pyproject.toml").as_posix()]
    return []


def command(reports: dict[str, Path]) -> list[str]:
    """The line that is run; what follows `--` is a model, whatever it begins with."""
    models = [line.strip() for line in given("MODELS").splitlines() if line.strip()]
    line = [sys.executable, "-P", "-m", "attnscope", "verify-mask", "--format", "github", *anchor()]
    for form, path in reports.items():
        line += ["--report", f"{form}:{path}"]
    if baseline := given("BASELINE"):
        line += ["--baseline", baseline]
    return [*line, *words("ARGUMENTS"), "--", *models]


def verify() -> int:
    """Run attnscope, and say which reports there are."""
    if find_spec("attnscope") is None:
        raise InputError(f"attnscope is not installed for {sys.executable}")
    named = {form: given(form.upper()) for form in ("sarif", "junit")}
    reports = {form: Path(name) for form, name in named.items() if name}
    for path in reports.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    before = {form: written(path) for form, path in reports.items()}
    code = subprocess.run(command(reports), check=False).returncode
    # An older report must not be taken for this run's, should this run end without one.
    new = [form for form, path in reports.items() if written(path) not in {None, before[form]}]
    for form in new:
        output(form, str(reports[form].resolve()))
    if code == 0 and len(new) < len(reports):
        raise InputError("attnscope ended without the reports that were asked for")
    return INTERRUPTED - code if code < 0 else code


def written(path: Path) -> tuple[int, int] | None:
    """What tells one writing of a file from the next; None where there is no file."""
    if not path.is_file():
        return None
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def output(name: str, value: str) -> None:
    """Between two lines that no value holds, as GitHub asks of values that might have several."""
    end = uuid4().hex
    if file := os.environ.get("GITHUB_OUTPUT"):
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(f"{name}<<{end}\n{value}\n{end}\n")


def main() -> int:
    """The step that is named; 2 for whatever keeps it from running."""
    step = sys.argv[1]
    try:
        code = {"install": install, "verify": verify}[step]()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"attnscope: {error}\n")
        code = ERROR
    if step == "verify":
        output("exit-code", str(code))
    return code


if __name__ == "__main__":
    sys.exit(main())
