"""Pages of examples: each block of Python is followed by what it prints.

python -m tests.docs.examples docs/examples.md      # writes the outputs anew
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```text\n(?P<output>.*?)```\n)?", re.DOTALL)


def printed_by(page: str) -> Iterator[str]:
    """What each block prints. All run in one namespace, in the order of the page."""
    namespace: dict[str, object] = {"__name__": "examples"}
    for found in BLOCK.finditer(page):
        stream = io.StringIO()
        with redirect_stdout(stream):
            exec(found["code"], namespace)
        yield stream.getvalue()


def outputs(page: str) -> list[tuple[str, str]]:
    """Each block's code, and what the page says that it prints."""
    return [(found["code"], found["output"] or "") for found in BLOCK.finditer(page)]


def rewritten(page: str) -> str:
    """The page with every output made anew."""
    made = printed_by(page)

    def make(found: re.Match[str]) -> str:
        printed = next(made)
        output = f"\n```text\n{printed}```\n" if printed else ""
        return f"```python\n{found['code']}```\n{output}"

    return BLOCK.sub(make, page)


def main(arguments: list[str]) -> None:
    """Write the outputs of the pages that are named; with `--print`, to standard output."""
    show = "--print" in arguments
    for name in arguments:
        if name == "--print":
            continue
        path = Path(name)
        page = rewritten(path.read_text(encoding="utf-8"))
        print(page, end="") if show else path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
