from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from attnscope.text import escape, fit, label, pad, to_ascii

ANY = st.text(
    st.characters(categories=None) | st.sampled_from("\x1b\u202e\u200d\ufe0f\u0301 \n漢👍")
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cat", "cat"),
        (" cat", "cat"),
        ("  cat", "␣␣cat"),
        ("cat ", "cat␣"),
        (" ", "␣"),
        (" " * 16, "␣×16"),
        ("", "''"),
        ("\n", "\\n"),
        ("\r\n\t", "\\r\\n\\t"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("[bold]", "[bold]"),
        ("\u202eabc\u202c", "\\u202eabc\\u202c"),
        ("a\u200db", "a\\u200db"),
        ("\u2028", "\\u2028"),
        ("a\xa0b", "a\\xa0b"),
        ("\udce2\udc80", "\\xe2\\x80"),
        ("\ud800", "\\ud800"),
        ("\ufffd", "\ufffd"),
        ("漢字", "漢字"),
        ("👍🏽", "👍\\U0001f3fd"),
        ("❤\ufe0f", "❤\\ufe0f"),
        ("\u0301", "◌\u0301"),
        ("e\u0301", "e\u0301"),
        ("e" + "\u0301" * 5, "e" + "\u0301" * 3 + "\\u0301\\u0301"),
        ("\ue000\U000e0041", "\\ue000\\U000e0041"),
        ("שלום", "שלום"),
    ],
)
def test_label_reads_well_and_is_harmless(text: str, shown: str) -> None:
    assert label(text) == shown


@given(ANY)
def test_any_label_is_printable(text: str) -> None:
    shown = label(text)
    assert shown
    assert shown.isprintable()
    assert not any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Cn") for each in shown)
    assert not shown.startswith(" ")
    assert not shown.endswith(" ")
    shown.encode()


@given(ANY)
def test_labels_keep_their_width_beside_other_text(text: str) -> None:
    shown = label(text)
    assert cell_len(f"|{shown}|") == cell_len(shown) + 2 == sum(map(cell_len, shown)) + 2


@given(ANY)
def test_escaping_twice_changes_nothing(text: str) -> None:
    assert escape(escape(text)) == escape(text)


@given(ANY, st.integers(0, 30))
def test_fit_and_pad_give_the_width(text: str, width: int) -> None:
    cut = fit(label(text), width)
    assert cell_len(cut) <= width
    for align in "<>^":
        assert cell_len(pad(cut, width, align)) == width


def test_fit_cuts_wide_characters_whole() -> None:
    assert fit("漢字漢字", 6) == "漢字…"
    assert fit("漢字漢字", 5) == "漢字…"
    assert fit("漢字漢字", 4) == "漢…"
    assert fit("漢字漢字", 8) == "漢字漢字"
    assert fit("abcdef", 4, "~") == "abc~"
    assert fit("abc", 0) == ""


@given(ANY)
def test_ascii_is_ascii(text: str) -> None:
    assert to_ascii(label(text)).isascii()


def test_ascii_spells_out_and_keeps() -> None:
    assert to_ascii("é漢👍 a") == "\\xe9\\u6f22\\U0001f44d a"
