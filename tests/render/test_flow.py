from __future__ import annotations

from rich.text import Text

from attnscope.render.flow import flow


def test_phrases_stay_whole_and_keep_their_style() -> None:
    phrases = [Text("one two", style="bold"), Text("three"), Text("four")]
    lines = flow(phrases, " · ", 15)
    assert [line.plain for line in lines] == ["one two · three", "four"]
    assert [(span.start, span.end) for span in lines[0].spans] == [(0, 7)]
