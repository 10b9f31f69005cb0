from __future__ import annotations

import pytest

from attnscope.transport import packed, unpacked
from tests.render import reports


@pytest.mark.parametrize("name", reports.ALL)
def test_a_report_comes_back_as_it_was(name: str) -> None:
    report = reports.ALL[name]()
    text = packed(report)
    assert text.isascii()
    assert "\n" not in text
    assert repr(unpacked(text)) == repr(report)  # NaN is equal to nothing


def test_half_a_character_survives() -> None:
    report = reports.make_report(notes=("\udcff",), reproducer="print('\n')\n", swapped=3)
    assert unpacked(packed(report)) == report
