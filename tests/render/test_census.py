"""The census as a table, as Markdown and as data."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rich.cells import cell_len

from attnscope.records.census import Census, Found, Row, State
from attnscope.render.census import census_page
from attnscope.render.census_json import census_json
from attnscope.render.census_markdown import census_markdown
from tests.render.examples import printed

ALL_PASS = tuple(
    (family, "pass")
    for family in ("observer", "weights", "mask", "influence", "serving", "backends")
)


def found(code: str, condition: str = "plain", backend: str = "eager", message: str = "") -> Found:
    return Found(
        code=code, condition=condition, backend=backend, module="model.layers.0",
        message=message or "Changing token 3 moves position 1 by 0.3: enters at model.layers.0.",
        count=1,
    )  # fmt: skip


def row(model_type: str, state: State = "pass", *findings: Found, **more: object) -> Row:
    families = tuple((name, "fail" if state == "fail" else "pass") for name, _ in ALL_PASS)
    fields: dict[str, object] = {
        "architecture": "SomeForCausalLM", "mixers": ("attention", "experts"),
        "seam": ("interface",), "backends": ("eager", "sdpa"), "families": families,
        "controls": True, "seconds": 30.0,
    }  # fmt: skip
    return Row(model_type=model_type, state=state, findings=findings, **(fields | more))  # type: ignore[arg-type]


CENSUS = Census(
    rows=(
        row("bert", "fail", found("ATN301"), variant="default"),
        row(
            "cpmant", "fail", found("ATN301"), found("ATN301", "left padding", "sdpa"),
            found("ATN101"), found("ATN302", ""), found("ATN404"), found("ATN405"),
        ),
        row("gpt2", families=(*ALL_PASS[:3], ("influence", "skip"), ("serving", "unpromised"))),
        row(
            "llama",
            without=(
                ("flex_attention", "its process was ended by SIGABRT"),
                ("sdpa", "X does not support an attention implementation through sdpa."),
            ),
        ),
        Row(model_type="gemma3n", state="not applicable", reason="its image tower needs timm"),
        Row(model_type="slow", state="error", reason="it took longer than 9 seconds"),
    ),
    versions=(("attnscope", "1"), ("torch", "2.13.0"), ("transformers", "5.23.0")),
    date="2026-11-22", quick=True, backends=("eager", "sdpa"), seconds=120.0,
)  # fmt: skip


def test_one_line_a_type_and_findings_below() -> None:
    text = printed(census_page(CENSUS), 100)
    lines = text.splitlines()
    assert lines[0] == ("census · transformers 5.23.0 · torch 2.13.0 · quick form · 2026-11-22")
    assert lines[1] == "6 rows: 2 pass, 2 fail, 1 without a verdict, 1 not applicable"
    assert any(line.startswith("llama") and "pass" in line and "✓✓✓✓✓✓" in line for line in lines)
    assert any(line.startswith("gpt2") and "✓✓✓?–·" in line for line in lines)
    assert "ATN301 (plain, left padding; eager, sdpa) Changing token 3" in text
    assert "… and ATN405" in text
    assert "its image tower needs timm" in text
    assert "not on flex: its process was ended by SIGABRT" in text
    assert "X does not support" not in text
    assert "it took longer than 9 seconds" in text


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_it_fits(width: int, ascii_only: bool) -> None:
    text = printed(census_page(CENSUS), width, "ascii" if ascii_only else "utf-8")
    assert max(cell_len(line) for line in text.splitlines()) <= width
    if ascii_only:
        assert text.isascii()
        assert "++++++" in text
    for one in CENSUS.rows:
        assert one.model_type in text


def test_markdown_has_every_row_and_every_finding() -> None:
    page = census_markdown(CENSUS)
    assert "| bert *default* | SomeForCausalLM | attention, experts | interface |" in page
    assert "| llama |" in page
    assert "**✗**" in page
    assert "- **ATN301** (plain, left padding; eager, sdpa): Changing token 3 moves" in page
    assert "- **ATN302** (plain; eager)" in page
    assert "1 type sees the future as its default config builds it" in page
    assert "let a later token move an earlier position: cpmant." in page
    assert "- gemma3n: its image tower needs timm" in page
    assert "- llama on flex\\_attention: its process" in page.replace("flex_", "flex\\_")
    assert "does not support" not in page
    assert "eager runs 4, sdpa runs 4" in page
    table = [line for line in page.splitlines() if line.startswith("| ")]
    assert len({line.count(" | ") for line in table}) == 1


def test_what_many_rows_share_is_told_once() -> None:
    common = found("ATN402", "static cache", "flex_attention", "It drifts.")
    rows = [row(f"m{number}", "fail", common) for number in range(8)]
    rows.append(row("own", "fail", common, found("ATN404", message="Pads move it.")))
    many = replace(CENSUS, rows=tuple(rows))
    text = printed(census_page(many), 100)
    assert text.count("It drifts.") == 1
    assert "(static cache; flex) in 9 rows; m0: It drifts." in text
    assert text.count("in common with others") == 9
    assert "Pads move it." in text
    page = census_markdown(many)
    assert page.count("It drifts.") == 1
    assert page.count("| fail, in common |") == 8
    assert "8 others share all of their findings with many" in page
    assert "Other findings of their own (padding, caches, windows): own." in page
    few = replace(CENSUS, rows=tuple(rows[:7]))
    assert printed(census_page(few), 100).count("It drifts.") == 7


def test_hostile_words_are_only_words() -> None:
    words = "a|b `code` <script> [link](x) _it_ *bo*\x1b[31m"
    hostile = Census(
        rows=(row("x", "fail", found("ATN301", message=words)),), versions=(), date="", quick=False,
        backends=(),
    )  # fmt: skip
    page = census_markdown(hostile)
    assert "<script>" not in page.replace("\\<script", "")
    assert "\x1b" not in page
    assert r"a\|b \`code\` \<script> \[link\](x) \_it\_ \*bo\*" in page
    assert "\x1b" not in printed(census_page(hostile), 80)


def test_data_is_strict_json() -> None:
    data = json.loads(json.dumps(census_json(CENSUS, 1), allow_nan=False))
    assert (data["schema"], data["exit_code"]) == (1, 1)
    assert [one["model_type"] for one in data["rows"]][:2] == ["bert", "cpmant"]
    assert data["rows"][1]["findings"][0]["code"] == "ATN301"


def test_an_empty_census() -> None:
    empty = Census(rows=(), versions=(), date="2026-11-22", quick=True, backends=())
    assert "0 rows" in printed(census_page(empty), 80)
    assert "0 rows" in census_markdown(empty)
