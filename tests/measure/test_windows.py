"""Long texts in windows."""

from __future__ import annotations

import pytest

from attnscope.errors import PromptError
from attnscope.measure.windows import in_windows
from attnscope.records import Tokens


def tokens(count: int, special: int = 0) -> Tokens:
    names = tuple(map(str, range(count)))
    return Tokens(
        ids=tuple(range(count)), texts=names, labels=names,
        special=(True,) * special + (False,) * (count - special),
    )  # fmt: skip


@pytest.mark.parametrize("size", [None, 10, 11])
def test_a_text_that_fits_is_read_at_once(size: int | None) -> None:
    assert in_windows(tokens(10), size) == (tokens(10), ((0, 10),))


def test_every_token_is_read_once() -> None:
    read, windows = in_windows(tokens(10), 4)
    assert read == tokens(10)
    assert windows == ((0, 4), (4, 8), (8, 10))


def test_what_starts_the_text_starts_every_window() -> None:
    read, windows = in_windows(tokens(8, special=1), 4)
    assert read.ids == (0, 1, 2, 3, 0, 4, 5, 6, 0, 7)
    assert read.special == (True, False, False, False, True, False, False, False, True, False)
    assert windows == ((0, 4), (4, 8), (8, 10))


def test_a_window_without_room_for_the_text_is_refused() -> None:
    with pytest.raises(PromptError, match="A window of 3 tokens is too small"):
        in_windows(tokens(8, special=2), 3)
