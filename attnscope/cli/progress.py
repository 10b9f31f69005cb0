"""Progress on stderr while something takes longer than a moment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attnscope import ranks


@contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """Yields a function that says what is being done; silent when stderr is no terminal, and in all
    but one of several processes.

    Empty words stop the display until there are words again.
    """
    if not sys.stderr.isatty() or not ranks.prints():
        yield lambda words: None
        return
    from rich.console import Console
    from rich.text import Text

    status = Console(stderr=True).status(Text("working"), spinner="line")

    def tell(words: str) -> None:
        if words:
            status.update(Text(words))
            status.start()
        else:
            status.stop()

    with status:
        yield tell
