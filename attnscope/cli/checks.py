"""`attnscope checks` and `attnscope explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from attnscope.cli import options
from attnscope.cli.output import Answer, deliver
from attnscope.files import require_place


def checks(
    form: options.FormatOption = options.Format.table,
    output: options.Output = None,
    width: options.Width = None,
) -> None:
    """List every check: code, name, family, and the defect that it finds."""
    if output is not None:
        require_place(output)
    from attnscope.checks import CHECKS
    from attnscope.render.check_list import check_list, check_list_json

    answer = Answer(
        title="attnscope checks",
        page=lambda: check_list(CHECKS),
        data=lambda: check_list_json(CHECKS),
    )
    deliver(answer, form, output, width)


def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="For example ATN301, or its name.")],
    form: options.FormatOption = options.Format.table,
    output: options.Output = None,
    width: options.Width = None,
) -> None:
    """Explain one check: what it finds, why, how it is measured, and who is held to it."""
    if output is not None:
        require_place(output)
    from attnscope.checks import find
    from attnscope.render.check_page import check_json, check_page

    check = find(code)
    answer = Answer(
        title=f"attnscope explain {check.code}",
        page=lambda: check_page(check),
        data=lambda: check_json(check),
    )
    deliver(answer, form, output, width)
