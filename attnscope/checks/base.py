"""What a check is: a named question over one piece of evidence."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from attnscope.report import Finding

Evidence = Literal[
    "repeat", "sight", "floor", "sweep", "modules", "calls", "contents", "agreement", "backends"
]
"""Which experiment answers: see `attnscope.experiments.laboratory`, which has a method for each."""

HEADINGS = (
    "What it finds",
    "Why it matters",
    "How it is measured",
    "When it is wrong",
    "How to fix",
)
"""The sections of every check's docstring, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A check's answer. Without findings and without a skip it passed."""

    findings: tuple[Finding, ...] = ()
    """Worst first."""
    reason: str = ""
    """What was measured, in words."""
    skipped: bool = False
    """True when the evidence cannot answer; `reason` says why."""
    beside_the_point: bool = False
    """True when the model has nothing of the kind that is asked about; `reason` says what."""


class Check:
    """One named defect. The subclass's docstring is its documentation: a first line that names
    the defect, then the sections of `HEADINGS`, each a line `Heading: text` with its paragraph.
    """

    code: ClassVar[str]
    """`ATN` and three digits, grouped by family, never reused."""
    name: ClassVar[str]
    """The defect's name."""
    family: ClassVar[str]
    """`observer`, `weights`, `mask`, `influence`, `serving` or `backends`."""
    evidence: ClassVar[Evidence]
    """What it reads."""
    conditions: ClassVar[tuple[str, ...]] = ("plain",)
    """Keys of the conditions in which it is asked."""
    quick: ClassVar[tuple[str, ...]] = ()
    """Those of them that take no more than a handful of forwards."""
    required: ClassVar[bool] = False
    """True for the controls: without a pass nothing is clean."""

    def judge(self, evidence: Any) -> Verdict:
        """Judge one piece of evidence, a record of `attnscope.records.evidence`."""
        raise NotImplementedError

    @classmethod
    def title(cls) -> str:
        """The docstring's first paragraph, as one line."""
        return " ".join(inspect.getdoc(cls).split("\n\n")[0].split())  # type: ignore[union-attr]

    @classmethod
    def sections(cls) -> dict[str, str]:
        """Heading to text, each text one line; see `HEADINGS`."""
        text = inspect.getdoc(cls) or ""
        names = "|".join(HEADINGS)
        parts = re.split(rf"^({names}):", text, flags=re.MULTILINE)[1:]
        return {
            heading: " ".join(body.split())
            for heading, body in zip(parts[::2], parts[1::2], strict=True)
        }
