"""The file of rows: whole after any ending, and never mixed with rows that were made otherwise."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from attnscope.census.ledger import Heading, Ledger, read
from attnscope.errors import OutputError, SelectionError
from attnscope.records.census import Found, Row

HEADING = Heading(
    versions=(("torch", "2.13.0"), ("transformers", "5.23.0")), date="2026-11-22", quick=True,
    backends=("eager", "sdpa"), seed=0,
)  # fmt: skip
LEAK = Found(
    code="ATN301", condition="left padding", backend="sdpa", module="model.layers.0",
    message="Changing “[bold]” | moves\x1b it.", count=2,
)  # fmt: skip
ROWS = (
    Row(
        model_type="bert", variant="default", state="fail", architecture="BertLMHeadModel",
        mixers=("attention",), seam=("interface",), backends=("eager", "sdpa"),
        without=(("flex_attention", "no compiler"),), families=(("influence", "fail"),),
        controls=True, findings=(LEAK,), seconds=1.5,
    ),
    Row(model_type="gpt2", state="pass", backends=("eager",), controls=True, seconds=0.5),
    Row(model_type="gemma3n", state="not applicable", reason="it needs timm"),
)  # fmt: skip


def written(path: Path, *rows: Row, heading: Heading = HEADING) -> Path:
    ledger = Ledger(path, heading)
    for row in rows:
        ledger.add(row)
    ledger.close()
    return path


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", *ROWS)
    found = read(path)
    assert {row.key: row for row in found.rows} == {row.key: row for row in ROWS}
    assert [row.key for row in found.rows] == ["bert (default)", "gemma3n", "gpt2"]
    assert (found.versions, found.date, found.quick) == (HEADING.versions, HEADING.date, True)
    assert found.seconds == 2.0


def test_a_line_cut_short_is_forgotten_and_the_file_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", *ROWS[:2])
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    ledger = Ledger(path, HEADING)
    assert list(ledger.rows) == ["bert (default)"]
    ledger.add(ROWS[1])
    ledger.close()
    assert path.read_bytes() == whole


def test_shards_one_after_the_other_are_one_census(tmp_path: Path) -> None:
    one = written(tmp_path / "1.jsonl", ROWS[0])
    later = replace(HEADING, date="2026-11-23")
    two = written(tmp_path / "2.jsonl", ROWS[1], heading=later)
    both = tmp_path / "both.jsonl"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    found = read(both)
    assert [row.key for row in found.rows] == ["bert (default)", "gpt2"]
    assert found.date == "2026-11-22"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(HEADING, quick=False), "other quick: True, not False"),
        (replace(HEADING, seed=3), "other seed: 0, not 3"),
        (replace(HEADING, backends=("eager",)), "other backends: eager, sdpa, not eager"),
        (replace(HEADING, versions=(("torch", "2.14.0"),)), "other versions: torch 2.13.0"),
    ],
)
def test_rows_that_were_made_otherwise_are_not_mixed(
    tmp_path: Path, other: Heading, words: str
) -> None:
    path = written(tmp_path / "rows.jsonl", *ROWS)
    before = path.read_bytes()
    with pytest.raises(SelectionError, match=words):
        Ledger(path, other)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        b"hello\n", b"hello", b"{}", b"{}\n", b"[]\n", b'{"model_type": "gpt2"}\n', b"\xff\xfe\n",
        b'{"attnscope census": 2}\n', b"null\n", b"\n",
    ],
)  # fmt: skip
def test_another_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    for act in (lambda: Ledger(path, HEADING), lambda: read(path)):
        with pytest.raises(OutputError, match=r"notes\.txt"):
            act()
    assert path.read_bytes() == content


def test_a_row_that_is_none_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", ROWS[0])
    with path.open("a") as file:
        file.write('{"model_type": "gpt2"}\n')
    with pytest.raises(OutputError, match="no file of census rows"):
        read(path)


def test_nothing_is_read_from_a_missing_or_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    with pytest.raises(OutputError, match="holds no census rows"):
        read(tmp_path / "empty")
    with pytest.raises(OutputError, match="no such file"):
        read(tmp_path / "missing")


def test_a_last_line_without_its_end_is_a_row(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", *ROWS[:2])
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert len(read(path).rows) == 2
    written(path)
    assert path.read_bytes() == whole


def test_odd_line_ends_in_a_reason_end_no_line(tmp_path: Path) -> None:
    odd = replace(ROWS[2], reason="one\u2028two\x85three\ud800")
    path = written(tmp_path / "rows.jsonl", odd, ROWS[1])
    assert {row.key: row.reason for row in read(path).rows}["gemma3n"] == odd.reason


def test_a_state_that_there_is_not_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl", ROWS[1])
    path.write_text(path.read_text().replace('"state": "pass"', '"state": "fine"'))
    with pytest.raises(OutputError, match="no file of census rows"):
        read(path)


def test_two_at_once_do_not_lose_each_others_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    first = Ledger(path, HEADING)
    with pytest.raises(OutputError, match="in use by another census"):
        Ledger(path, HEADING)
    first.add(ROWS[1])
    first.close()
    assert [row.key for row in read(written(path, ROWS[2])).rows] == ["gemma3n", "gpt2"]


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path: Path) -> None:
    real, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(real)
    written(link, ROWS[1])
    assert link.is_symlink()
    assert [row.key for row in read(real).rows] == ["gpt2"]
    with pytest.raises(OutputError, match="no file in which rows can be kept"):
        Ledger(Path(os.devnull), HEADING)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be"):
        Ledger(tmp_path / "nowhere" / "rows.jsonl", HEADING)
