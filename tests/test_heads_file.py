"""Heads saved and read again: equal in every field, and nothing else is taken for one."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from attnscope.errors import LoadError, OutputError
from attnscope.heads_file import load_heads, save_heads
from attnscope.records import Heads
from tests import heads
from tests.render.examples import make_focus, make_tokens, make_view

NASTY = heads.make_heads(
    focus=(
        make_focus(0, 0, induction=None, duplicate=nan, entropy=inf, difference=nan),
        make_focus(0, 0, induction=nan, duplicate=None, verified=False, entropy=-0.0),
        make_focus(7, 3, local_weight=0.1 + 0.2, distance=-1e-300, compared=0),
    ),
    layers=(0, 7),
    received=torch.tensor([[nan, inf, 1e-45, 0.1, 0.0], [0.0] * 5]),
    views=(
        make_view(torch.tensor([[nan, 1]]), difference=nan, origin=(3, 2), reason="\x1b[31m\udcff"),
        make_view(torch.rand(2, 2), pool=2, layer=1),
    ),
    notes=("one\ntwo", ""),
    unchecked=("\u202e",),
    windows=((0, 2), (2, 5)),
)  # fmt: skip
EMPTY = heads.make_heads(focus=(), layers=(), received=torch.zeros(0, 5))
WITH_VIEW = heads.make_heads(views=(make_view(torch.eye(5)),))


@pytest.mark.parametrize("made", [heads.make_heads(), NASTY, EMPTY, heads.hostile(), heads.long()])
def test_what_is_saved_comes_back(made: Heads, tmp_path: Path) -> None:
    save_heads(made, tmp_path / "heads.safetensors")
    assert heads.same(load_heads(tmp_path / "heads.safetensors"), made)
    assert [one.name for one in tmp_path.iterdir()] == ["heads.safetensors"]


def test_the_comparison_of_these_tests_sees_a_difference() -> None:
    changed = replace(NASTY.focus[1], induction=None)
    assert not heads.same(NASTY, replace(NASTY, focus=(NASTY.focus[0], changed, NASTY.focus[2])))
    assert not heads.same(NASTY, replace(NASTY, received=NASTY.received + 1))


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(st.characters(exclude_categories=())), min_size=1, max_size=6))
def test_any_text_comes_back(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("texts") / "heads"
    tokens = make_tokens(tuple(texts))
    made = heads.make_heads(
        tokens=replace(tokens, labels=tuple(reversed(tokens.labels))),
        focus=(),
        windows=((0, len(texts)),),
        received=torch.zeros(2, len(texts)),
    )
    save_heads(made, path)
    assert heads.same(load_heads(path), made)


def test_other_tools_read_its_tensors(tmp_path: Path) -> None:
    path = tmp_path / "heads.safetensors"
    save_heads(heads.make_heads(), path)
    with safe_open(path, "np") as file:
        assert file.get_tensor("focus.entropy").tolist() == [0.5, 1.5, 0.1, 0.9]
        assert file.get_tensor("received").shape == (2, 5)
        assert file.metadata()["format"] == "attnscope-heads"


def test_reading_needs_no_transformers(tmp_path: Path) -> None:
    path = tmp_path / "heads.safetensors"
    save_heads(heads.make_heads(), path)
    code = (
        "import sys; from attnscope.heads_file import load_heads;"
        "print(len(load_heads(sys.argv[1]).tokens), 'transformers' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["5", "False"]


def refused(path: Path) -> str:
    with pytest.raises(LoadError) as caught:
        load_heads(path)
    told = str(caught.value)
    assert "\n" not in told
    assert path.name in told
    return told


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert "no such file" in refused(path)
    assert "directory" in refused(tmp_path)
    for content in (b"", b"{}", b"PK\x03\x04" * 100, b"\x80\x04\x95 pickle", b"\xff" * 64):
        path.write_bytes(content)
        assert "no safetensors file" in refused(path)
    deep = b"[" * 100_000
    path.write_bytes(struct.pack("<Q", len(deep)) + deep)
    assert "no safetensors file" in refused(path)
    save_file({"model.embed_tokens.weight": torch.zeros(3)}, path)
    assert "nothing that `attnscope heads --save` wrote" in refused(path)
    save_file({"a": torch.zeros(3)}, path, {"format": "pt"})
    assert "nothing that `attnscope heads --save` wrote" in refused(path)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_heads(WITH_VIEW, path)
    content = path.read_bytes()
    for size in (0, 4, 8, 100, len(content) // 3, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        refused(path)
    path.write_bytes(content + b"more")
    assert "damaged" in refused(path)


Change = Callable[[dict[str, Any], dict[str, Any]], None]


def rewritten(path: Path, made: Heads, change: Change) -> None:
    """The file with its tensors and words changed by hand."""
    save_heads(made, path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = dict(file.metadata())
    words = json.loads(metadata["words"])
    metadata["words"] = ""
    both = {"words": words, "metadata": metadata}
    change(tensors, both)
    metadata["words"] = metadata["words"] or json.dumps(both["words"])
    save_file(tensors, path, metadata)


TENSORS = {
    "a tensor missing": lambda one: one.pop("focus.entropy"),
    "a tensor too many heads": lambda one: one.update({"focus.entropy": torch.zeros(9).double()}),
    "another dtype": lambda one: one.update({"received": one["received"].half()}),
    "another shape": lambda one: one.update({"received": one["received"].T.contiguous()}),
    "no matrix": lambda one: one.update({"windows": torch.tensor([0, 5])}),
    "windows apart": lambda one: one.update({"windows": torch.tensor([[0, 2], [3, 5]])}),
    "windows short": lambda one: one.update({"windows": torch.tensor([[0, 4]])}),
    "no windows": lambda one: one.update({"windows": torch.zeros(0, 2, dtype=torch.int64)}),
    "a text too far": lambda one: one["tokens.piece"].fill_(99),
    "a key too far": lambda one: one["focus.strongest_key"].fill_(5),
    "a head below 0": lambda one: one["focus.head"].fill_(-1),
    "a view of no pool": lambda one: one["views"].zero_(),
    "a view without cells": lambda one: one.update({"view.0.weights": torch.zeros(0, 5).double()}),
    "another view's future": lambda one: one.update({"view.0.future": torch.zeros(5, 4).bool()}),
}
WORDS: dict[str, Callable[[Any], Any]] = {
    "no object": lambda words: [],
    "a key missing": lambda words: words.pop("roles") and None,
    "a role of no name": lambda words: words.update(roles=["king"] * 4),
    "roles short": lambda words: words.update(roles=["mixed"]),
    "no words": lambda words: words.update(notes=[5]),
    "a sentence": lambda words: words.update(notes="note"),
    "a model with more": lambda words: words["model"].update(run="rm"),
    "a model's number in words": lambda words: words["model"].update(layers="2"),
    "no model": lambda words: words.update(model=None),
    "a piece of one part": lambda words: words.update(pieces=[["a"]]),
    "pieces of numbers": lambda words: words.update(pieces=[[1, 2]] * 5),
}


@pytest.mark.parametrize("name", TENSORS)
def test_changed_tensors_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    rewritten(path, WITH_VIEW, lambda tensors, _: TENSORS[name](tensors))
    assert "damaged" in refused(path)


@pytest.mark.parametrize("name", WORDS)
def test_changed_words_are_refused(name: str, tmp_path: Path) -> None:
    def change(_: dict[str, Any], both: dict[str, Any]) -> None:
        other = WORDS[name](both["words"])
        if other is not None:
            both["words"] = other

    rewritten(tmp_path / "file", WITH_VIEW, change)
    assert "damaged" in refused(tmp_path / "file")


def test_changed_metadata_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    rewritten(path, WITH_VIEW, lambda _, both: both["metadata"].update(words="{"))
    assert "no JSON" in refused(path)
    rewritten(path, WITH_VIEW, lambda _, both: both["metadata"].update(version="2"))
    assert "Update attnscope" in refused(path)
    rewritten(path, WITH_VIEW, lambda _, both: both["metadata"].update(version="\x1b[31m"))
    assert "Save it again" in refused(path)
    rewritten(path, WITH_VIEW, lambda *_: None)
    assert heads.same(load_heads(path), WITH_VIEW)


def test_a_place_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        save_heads(heads.make_heads(), tmp_path / "no" / "file")
