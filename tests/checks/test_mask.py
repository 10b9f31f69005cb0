"""ATN2xx judged from hand-written readings."""

from __future__ import annotations

from typing import Any

import pytest

from attnscope.checks.base import Check
from attnscope.checks.mask import (
    DocumentsOpen,
    MaskOpenAhead,
    MaskTooNarrow,
    PaddingOpen,
    WindowTooWide,
)
from tests.checks.evidence import ATTENTION, cells, reading, readings

KINDS: dict[type[Check], str] = {
    MaskOpenAhead: "ahead",
    WindowTooWide: "beyond",
    MaskTooNarrow: "missing",
    PaddingOpen: "padding",
    DocumentsOpen: "documents",
}
ON_TOKENS = (MaskOpenAhead, WindowTooWide, MaskTooNarrow)


@pytest.mark.parametrize("check", KINDS)
def test_a_mask_as_declared_passes(check: type[Check]) -> None:
    verdict = check().judge(readings(reading()))
    assert (verdict.findings, verdict.skipped) == ((), False)
    assert "1 mask" in verdict.reason or "1 call" in verdict.reason


@pytest.mark.parametrize("check", KINDS)
def test_each_kind_of_cell_is_found_by_its_own_check_alone(check: type[Check]) -> None:
    wrong: dict[str, Any] = {KINDS[check]: cells(3, "inverted")}
    (finding,) = check().judge(readings(reading(), reading(**wrong))).findings
    assert (finding.layer, finding.module, finding.head) == (1, ATTENTION.module, 2)
    assert (finding.query, finding.measured, finding.limit) == (1, 3.0, 0.0)
    assert finding.message.startswith("3 cells ")
    assert finding.message.endswith(": inverted.")
    for other in KINDS.keys() - {check}:
        assert not other().judge(readings(reading(**wrong))).findings


@pytest.mark.parametrize("check", ON_TOKENS)
def test_the_key_of_a_cell_is_one_of_the_tokens(check: type[Check]) -> None:
    wrong: dict[str, Any] = {KINDS[check]: cells()}
    assert check().judge(readings(reading(**wrong))).findings[0].key == 4


@pytest.mark.parametrize("check", [PaddingOpen, DocumentsOpen])
def test_a_key_beside_the_tokens_is_none_of_them(check: type[Check]) -> None:
    """Position 4 of the whole row is a pad here, not token 4."""
    wrong: dict[str, Any] = {KINDS[check]: cells()}
    assert check().judge(readings(reading(**wrong))).findings[0].key is None


@pytest.mark.parametrize("check", KINDS)
def test_a_single_cell_is_counted_as_one(check: type[Check]) -> None:
    wrong: dict[str, Any] = {KINDS[check]: cells(1)}
    (finding,) = check().judge(readings(reading(**wrong))).findings
    assert finding.message.startswith("1 cell ")


@pytest.mark.parametrize("check", KINDS)
def test_what_could_not_be_read_is_not_clean(check: type[Check]) -> None:
    assert check().judge(readings(reading(), reading(problem="?"))).skipped
    assert check().judge(readings(reading(), unseen=("x: ?",))).skipped
    assert check().judge(readings()).skipped
