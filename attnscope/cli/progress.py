"""Progress on stderr while something takes longer than a moment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """Yields a function that says what is being done; silent when stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda words: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text("working"), spinner="line") as status:
        yield lambda words: status.update(Text(words))
