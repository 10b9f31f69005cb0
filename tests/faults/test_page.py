from __future__ import annotations

from pathlib import Path

from tests.faults.page import faults_markdown

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"


def test_the_document_is_what_the_catalogue_says() -> None:
    """If this fails: python -m tests.faults.page > docs/faults.md."""
    assert DOCUMENT.read_text(encoding="utf-8") == faults_markdown()
