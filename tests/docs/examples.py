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


def runs(page: str) -> Iterator[tuple[str, str, str | None]]:
    """Each block's code, what it prints, and what the page says that it prints.

    All blocks run in one namespace, in the order of the page.
    """
    namespace: dict[str, object] = {"__name__": "examples"}
    for found in BLOCK.finditer(page):
        stream = io.StringIO()
        with redirect_stdout(stream):
            exec(found["code"], namespace)
        yield found["code"], stream.getvalue(), found["output"]


def rewritten(page: str) -> str:
    """The page with every output made anew."""
    outputs = iter([printed for _, printed, _ in runs(page)])

    def make(found: re.Match[str]) -> str:
        printed = next(outputs)
        output = f"\n```text\n{printed}```\n" if printed else ""
        return f"```python\n{found['code']}```\n{output}"

    return BLOCK.sub(make, page)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
