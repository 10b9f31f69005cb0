"""Exit codes and the one line that a user sees, from the real command in a real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attnscope.cli.exit import run

REDIRECTS = (">&-", "2>&-", "<&-")

COMMAND = [sys.executable, "-m", "attnscope"]


def attnscope(
    *arguments: str, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments], input=stdin, capture_output=True, timeout=120, check=False,
        env=os.environ | environment,
    )  # fmt: skip


def one_line(result: subprocess.CompletedProcess[bytes]) -> str:
    """The single line on stderr; nothing may be on stdout."""
    assert result.stdout == b""
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("attnscope: ")
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trace", "--layer", "99"], "no layer 99"),
        (["trace", "--head", "-99"], "no head -99"),
        (["trace", "--query", "dragon"], "No token reads 'dragon'"),
        (["trace", "--query", "77"], "no query 77"),
        (["trace", ""], "empty"),
        (["trace", "The cat", "--ids", "1,2"], "exclude each other"),
        (["trace", "--ids", "1;2"], "--ids takes numbers"),
        (["trace", "--ids", "1" * 5000], "--ids takes numbers"),
        (["trace", "--ids", "1", "--chat"], "exclude each other"),
        (["trace", "--query", "9" * 5000], "No token reads '999"),
        (["trace", "--query", "²"], "No token reads"),
        (["trace", "--revision", "v2"], "--revision is for hub models"),
        (["trace", "--model", ""], "--model is empty"),
        (["trace", "--ids", "1,999999"], "not in the vocabulary"),
        (["trace", "--file", "/nowhere/at.all"], "no such file"),
        (["trace", "--file", "/"], "is a directory"),
        (["trace", "-m", "textbook", "The dog sat"], "dog"),
        (["trace", "-m", "./nowhere"], "nowhere"),
        (["trace", "--backend", "magic"], "magic"),
        (["trace", "--bogus"], "No such option"),
        (["trace", "The", "cat"], "unexpected extra argument"),
        (["tracee"], "No such command"),
        (["verify-mask"], "MODEL"),
        (["verify-mask", "m", "--backend", "magic"], "magic"),
        (["verify-mask", "fable", "--length", "1"], "no later token"),
        (["explain", "ATN999"], "There is no check"),
        (["trace", "-m", "textbook", "-o", "/nowhere/out.svg"], "cannot be written"),
    ],
)
def test_users_mistakes_end_with_one_line_and_exit_code_2(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """In this process, because each start costs seconds; the tests below start real ones."""
    assert run(arguments) == 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.startswith("attnscope: ")
    assert captured.err.count("\n") == 1


def test_a_mistake_in_a_real_process() -> None:
    result = attnscope("trace", "-m", "textbook", "The dog sat")
    assert "The cat sat on mat" in one_line(result)
    assert result.returncode == 2


def test_a_prompt_longer_than_the_models_positions(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prompt = tmp_path / "long.txt"
    prompt.write_text("the king " * 400)
    assert run(["trace", "--file", str(prompt)]) == 2
    assert "512" in capfd.readouterr().err


def test_an_unknown_hub_model_without_a_network(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["trace", "-m", "nobody/nothing-at-all"]) == 2
    captured = capfd.readouterr()
    assert "nobody/nothing-at-all" in captured.err
    assert captured.err.count("\n") == 1


def test_a_closed_pipe_is_silent_and_keeps_the_exit_code() -> None:
    for arguments in (["trace", "-m", "textbook"], ["--help"], ["trace", "--help"]):
        process = subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("code", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_closed_pipe_keeps_the_verdict(code: int, size: int) -> None:
    """Nobody reads the report of a leak, as with `| head -1`; it is a leak all the same."""
    script = (
        "import sys\nimport attnscope.cli.app as app\nfrom attnscope.cli import exit, output\n"
        "from attnscope.cli.options import Format\n"
        "def judge(form: Format = Format.table) -> int:\n"
        f"    text = 'x' * {size}\n"
        "    answer = output.Answer(title='', page=lambda: text, data=lambda: text)\n"
        "    output.deliver(answer, form, None, None)\n"
        f"    return exit.Verdict({code})\n"
        "app.app.command()(judge)\nsys.exit(exit.run(sys.argv[1:]))"
    )
    for form in ("table", "json"):
        command = [sys.executable, "-c", script, "judge", "--form", form]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == code


@pytest.mark.parametrize("way", ["raise typer.Exit(1)", "return 1", "raise typer.Abort"])
def test_a_1_that_is_no_verdict_is_not_1(way: str) -> None:
    script = (
        "import sys, typer\nimport attnscope.cli.app as app\nfrom attnscope.cli import exit\n"
        f"def judge() -> int:\n    {way}\n"
        "app.app.command()(judge)\nsys.exit(exit.run(['judge']))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert result.returncode == (130 if "Abort" in way else 2)


@pytest.mark.parametrize(
    "redirect", [">&- 2>&-", *(pytest.param(one, marks=pytest.mark.slow) for one in REDIRECTS)]
)
def test_closed_streams_are_no_crash(redirect: str) -> None:
    """Nobody reads, so nothing is said; above all not 1, and not a traceback."""
    command = f"{' '.join(COMMAND)} trace -m textbook {redirect}"
    result = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert result.returncode == 0
    assert result.stderr == b""
    assert (result.stdout == b"") is (">&-" in redirect.split())


@pytest.mark.slow
def test_errors_never_go_to_stdout() -> None:
    command = f"{' '.join(COMMAND)} trace --layer 99 2>&-"
    result = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (2, b"")


def test_no_command_prints_the_help() -> None:
    result = attnscope()
    assert b"Usage" in result.stdout
    assert result.stderr == b""
    assert result.returncode == 2


def test_ctrl_c_exits_130_with_one_line() -> None:
    process = subprocess.Popen(
        [*COMMAND, "trace", "--file", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    time.sleep(2.5)  # it is waiting for standard input now
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors.decode() == "attnscope: interrupted.\n"
    assert process.returncode == 130


def test_an_error_of_our_own_is_2_and_never_1(tmp_path: Path) -> None:
    script = "import attnscope.cli.trace as t, attnscope.cli.exit as e, sys\n"
    script += "def broken(*a): raise ZeroDivisionError('planted')\n"
    script += "t.read_prompt = broken\nsys.exit(e.run(['trace']))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert result.returncode == 2
    assert b"ZeroDivisionError: planted" in result.stderr
    assert b"Traceback" not in result.stderr


def test_version_names_what_a_bug_report_needs() -> None:
    result = attnscope("--version")
    names = [line.split()[0] for line in result.stdout.decode().splitlines()]
    assert {"attnscope", "torch", "transformers", "Python", "device"} <= set(names)
    assert result.returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["trace", "--help"],
        ["heads", "--help"],
        ["verify-mask", "--help"],
        ["checks", "--help"],
        ["explain", "--help"],
    ],
)
def test_help_imports_neither_torch_nor_transformers(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom attnscope.cli.exit import run\n"
        f"code = run({arguments!r})\n"
        "heavy = {'torch', 'transformers', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
    assert b"Usage" in result.stdout


def test_import_attnscope_is_light() -> None:
    script = "import attnscope, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
