"""Every finding of the census is triaged, and every reproducer prints what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from attnscope.census.ledger import read
from attnscope.render.census_markdown import census_markdown
from tests.docs.outputs import alike

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/findings.md").read_text(encoding="utf-8")
CENSUS = read(ROOT / "docs/census.jsonl")
SHOWN = re.findall(r"```console\n\$ python (docs/findings/\w+\.py)\n((?:.*\n)*?)```", PAGE)
SCRIPTS = sorted((ROOT / "docs/findings").glob("*.py"))
COMPILED = "flex_attention"
ON_COMPILED = {("ATN301", "static cache"), ("ATN402", "static cache")}
"""The one finding that every type has there."""


def triaged() -> dict[str, set[str]]:
    """Row to the codes that the table of the page tells of."""
    found: dict[str, set[str]] = {}
    for types, codes in re.findall(r"^\| ([^|]*) \| ([^|]*) \| [^|]* \| \[", PAGE, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", types):
            found.setdefault(name, set()).update(re.findall(r"ATN\d{3}", codes))
    return found


def test_every_finding_is_triaged() -> None:
    told = triaged()
    for row in CENSUS.rows:
        for one in row.findings:
            known = one.backend == COMPILED and (one.code, one.condition) in ON_COMPILED
            assert known or one.code in told.get(row.key, ()), (row.key, one)


def test_nothing_is_triaged_that_was_not_found() -> None:
    found = {row.key: {one.code for one in row.findings} for row in CENSUS.rows}
    for name, codes in triaged().items():
        assert name in found
        assert not codes or codes & found[name], name


def test_the_census_is_whole() -> None:
    """189 types and the defaults of 18; a verdict wherever there is a model."""
    plain = [row for row in CENSUS.rows if not row.variant]
    assert len(plain) == 189
    assert len(CENSUS.rows) - len(plain) == 18
    assert sum(row.state == "not applicable" for row in CENSUS.rows) <= 5
    for row in CENSUS.rows:
        assert row.state in {"pass", "fail", "not applicable"}, (row.key, row.reason)
        assert row.controls or row.state == "not applicable", row.key
    assert not CENSUS.quick


def test_the_page_of_the_census_is_made_of_its_rows() -> None:
    """Write it anew: attnscope census --from docs/census.jsonl -o docs/census.md."""
    assert (ROOT / "docs/census.md").read_text(encoding="utf-8") == census_markdown(CENSUS)


def test_links_lead_to_sections() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
    assert {*re.findall(r"\]\(#([^)]*)\)", PAGE)} <= anchors


def test_every_reproducer_is_shown_and_stands_alone() -> None:
    assert sorted(ROOT / name for name, _ in SHOWN) == SCRIPTS
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"attnscope|tests\.", text), script
        assert {*re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE)} <= {
            "torch", "transformers", "subprocess", "sys",
        }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("script", "output"), SHOWN, ids=[Path(name).stem for name, _ in SHOWN])
def test_a_reproducer_prints_what_the_page_says(script: str, output: str) -> None:
    ran = subprocess.run(
        [sys.executable, script], cwd=ROOT, capture_output=True, text=True, check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert alike(ran.stdout, output), ran.stdout
