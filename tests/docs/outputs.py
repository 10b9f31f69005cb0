"""The outputs in the docs: each block of a page that starts with a command is what it prints.

    python -m tests.docs.outputs docs/tutorial.md      # writes them anew

A command may end with `# section 3`: then the block holds that section of the page it prints.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path
from unittest import mock

from attnscope.cli.exit import run

PAGES = ("docs/tutorial.md",)
"""Pages whose outputs are real."""

BLOCK = re.compile(r"```console\n\$ (?P<command>attnscope .*)\n(?P<output>(?:.*\n)*?)```\n")
SECTION = re.compile(r"^(\d)  \S.*─\s*$", flags=re.MULTILINE)
NUMBER = re.compile(r"[<+!]?-?\d*\.?\d+(?:e[+-]\d+)?%?")
BAR = re.compile(r"[━╸]+")
WIDTH = "80"
"""Columns of a pipe."""


def printed(command: str) -> str:
    """What a command prints into a pipe, or the section of it that is asked for."""
    words = shlex.split(command, comments=True)
    stream = io.StringIO()
    environment = mock.patch.dict("os.environ", {"COLUMNS": WIDTH, "NO_COLOR": "1"})
    with environment, redirect_stdout(stream):
        code = run(words[1:])
    assert code == 0, f"{command} exits with {code}"
    lines = (line.rstrip() for line in stream.getvalue().splitlines())
    page = "\n".join(lines).strip("\n") + "\n"
    asked = re.search(r"# section (\d)$", command)
    return section(page, asked[1]) if asked else page


def section(page: str, number: str) -> str:
    """The lines between one section's title and the next one's."""
    starts = [(found[1], found.start(), found.end()) for found in SECTION.finditer(page)]
    for place, (name, _, end) in enumerate(starts):
        if name == number:
            stop = starts[place + 1][1] if place + 1 < len(starts) else len(page)
            return page[end:stop].strip("\n") + "\n"
    raise AssertionError(f"there is no section {number}")


def blocks(page: str) -> list[tuple[str, str]]:
    """Each block's command and the output that stands below it."""
    return [(found["command"], found["output"]) for found in BLOCK.finditer(page)]


def alike(one: str, other: str) -> bool:
    """Equal, but for numbers that rounding on another machine moves in their last place."""
    first, second = one.split(), other.split()
    return len(first) == len(second) and all(map(_alike, first, second))


def _alike(one: str, other: str) -> bool:
    if one == other or (BAR.fullmatch(one) and BAR.fullmatch(other)):
        return True
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    return all(map(_close, NUMBER.findall(one), NUMBER.findall(other)))


def _close(one: str, other: str) -> bool:
    """Within two of the last digit; what is written as 1.0e-08 is rounding itself."""
    if "e" in one or "e" in other:
        return all(abs(float(each.strip("<+!%"))) < 1e-3 for each in (one, other))
    places = [len(each.strip("<+!%").partition(".")[2]) for each in (one, other)]
    step = 10.0 ** -min(places)
    values = [float(each.strip("<+!%")) for each in (one, other)]
    return abs(values[0] - values[1]) <= 2.0001 * step and (step < 1 or "%" in one)


def rewritten(page: str) -> str:
    """The page with every output made anew."""

    def make(found: re.Match[str]) -> str:
        return f"```console\n$ {found['command']}\n{printed(found['command'])}```\n"

    return BLOCK.sub(make, page)


def main() -> None:
    """Write the outputs of the pages that are named, or of all."""
    for name in sys.argv[1:] or PAGES:
        path = Path(name)
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"{path}: {len(blocks(path.read_text(encoding='utf-8')))} outputs")


if __name__ == "__main__":
    main()
