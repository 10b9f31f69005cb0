"""The registry: codes, names, families, and a docstring with every section."""

from __future__ import annotations

import inspect
import re

import pytest

from attnscope.checks import CHECKS, Check, find
from attnscope.checks.base import HEADINGS
from attnscope.errors import SelectionError

FAMILIES = {0: "observer", 1: "weights", 2: "mask", 3: "influence", 4: "serving", 5: "backends"}


def test_codes_and_names_are_unique_and_in_reading_order() -> None:
    codes = [check.code for check in CHECKS]
    assert codes == sorted(set(codes))
    assert len({check.name for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_each_check_is_grouped_and_documented(check: type[Check]) -> None:
    assert re.fullmatch(r"ATN[0-5]\d\d", check.code)
    assert FAMILIES[int(check.code[3])] == check.family
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", check.name)
    sections = check.sections()
    assert tuple(sections) == HEADINGS
    assert all(len(text) > 6 and text.rstrip(")").endswith(".") for text in sections.values())
    assert check.title().endswith(".")
    assert not any(heading in check.title() for heading in HEADINGS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_each_docstring_is_its_own(check: type[Check]) -> None:
    assert inspect.getdoc(check) == inspect.cleandoc(check.__doc__ or "")
    assert check.__doc__ != Check.__doc__


def test_find_takes_codes_and_names_in_any_case() -> None:
    assert find("atn301") is find(" Future-Influence ") is find("ATN301")


def test_find_names_what_is_near() -> None:
    with pytest.raises(SelectionError) as told:
        find("ATN3O1")
    assert "ATN301" in told.value.hint
