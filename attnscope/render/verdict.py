"""The whole page that `attnscope verify-mask` prints, the verdict first."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from attnscope.render.findings import findings
from attnscope.render.headline import headline
from attnscope.render.remarks import remarks
from attnscope.render.results import results
from attnscope.report import Report


def verdict(report: Report) -> RenderableType:
    """Headline, checks, findings where there are some, and remarks."""
    parts = [headline(report)]
    if not report.model.architecture:
        return Group(*parts)
    if report.results:
        parts += [Text(), results(report)]
    if report.findings:
        parts += [Text(), findings(report)]
    return Group(*parts, Text(), remarks(report))


if __name__ == "__main__":
    from rich.console import Console

    from attnscope.render.demo import leaking

    Console().print(verdict(leaking()))
