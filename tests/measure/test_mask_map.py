"""Mask maps: which layers share a mask, and that no cell is lost in a large one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from attnscope.masks import causal, dense, everything, sliding
from attnscope.measure import mask_map, pooling
from attnscope.measure.mask_map import MaskMaps
from attnscope.records import (
    CELL_BLOCKED,
    CELL_FUTURE_BLOCKED,
    CELL_FUTURE_SEEN,
    CELL_SEEN,
    AttentionCall,
    MaskMap,
    Offered,
)
from tests.calls import random_call


def maps_of(*calls: AttentionCall) -> tuple[MaskMap, ...]:
    maps = MaskMaps()
    for call in calls:
        maps.add(call)
    return maps.result()


def offer(**changes: object) -> Offered:
    nothing = dict.fromkeys(
        ("mask", "is_causal", "scale", "window", "softcap", "sinks", "position_bias")
    )
    return Offered(**{"implementation": "sdpa", **nothing, **changes})  # type: ignore[arg-type]


def test_equal_masks_share_a_map() -> None:
    window = causal() & sliding(4)
    calls = [
        random_call(layer=layer, mask=mask)
        for layer, mask in enumerate((causal(), window, causal(), window))
    ]
    maps = maps_of(*calls)
    assert [each.layers for each in maps] == [(0, 2), (1, 3)]


def test_cells_say_what_is_seen_and_where() -> None:
    (drawn,) = maps_of(random_call(tokens=3, mask=causal() & sliding(2)))
    later = CELL_FUTURE_BLOCKED
    assert drawn.cells.tolist() == [
        [CELL_SEEN, later, later],
        [CELL_SEEN, CELL_SEEN, later],
        [CELL_BLOCKED, CELL_SEEN, CELL_SEEN],
    ]
    assert drawn.pool == 1


def test_one_open_cell_survives_pooling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling, "EXACT_UP_TO", 64)
    monkeypatch.setattr(pooling, "CELLS", 8)
    monkeypatch.setattr(mask_map, "_ROWS_AT_ONCE", 30)
    allowed = torch.ones(200, 200).tril().bool()
    allowed[17, 170] = True
    (drawn,) = maps_of(random_call(tokens=200, mask=dense(allowed)))
    assert (drawn.pool, tuple(drawn.cells.shape)) == (25, (8, 8))
    leaks = ((drawn.cells & CELL_FUTURE_SEEN) > 0).nonzero().tolist()
    on_diagonal = [place for place in leaks if place[0] == place[1]]
    assert leaks == [[0, 6]]
    assert on_diagonal == []


def test_heads_that_differ_are_drawn_by_the_one_that_sees_most() -> None:
    allowed = torch.ones(1, 4, 20, 20).tril().bool()
    allowed[0, 2, 0, 19] = True
    (drawn,) = maps_of(random_call(mask=dense(allowed)))
    assert drawn.cells[0, 19] == CELL_FUTURE_SEEN | CELL_FUTURE_BLOCKED
    assert "heads differ" in drawn.notes[0]


def test_what_a_kernel_ignores_is_said() -> None:
    (drawn,) = maps_of(random_call(offered=offer(window=4, softcap=30.0, sinks=torch.zeros(4))))
    assert len(drawn.notes) == 3
    assert all(note.startswith("IGNORED") for note in drawn.notes)
    (drawn,) = maps_of(random_call(mask=everything(), mask_form="none", offered=offer(mask=1)))
    assert "was handed none" in drawn.notes[0]


def test_a_window_that_the_mask_carries_is_not_ignored() -> None:
    call = random_call(mask=causal() & sliding(4), offered=offer(window=4))
    assert maps_of(call)[0].notes == ()
    wrong = replace(call, mask=causal() & sliding(5))
    assert "window of 4" in maps_of(wrong)[0].notes[0]
