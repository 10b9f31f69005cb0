"""Write the table of clean outcomes anew, or the rows of some architectures, and look at its diff:

python -m tests.clean.outcomes [NAME …]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TABLE = Path(__file__).with_name("outcomes.json")


def main() -> None:
    """Ask every architecture once in float32, and the flex ones on flex."""
    import torch

    from tests.clean.architectures import CLEAN, FLEX, outcomes, passed, report_of

    wanted = sys.argv[1:]
    table = json.loads(TABLE.read_text()) if wanted else {}
    cases = [(name, ()) for name in CLEAN] + [(name, ("flex_attention",)) for name in FLEX]
    for name, backends in cases:
        if wanted and name not in wanted:
            continue
        torch._dynamo.reset()
        report = report_of(name, 0, "float32", backends)
        key = f"{name} on {backends[0]}" if backends else name
        table[key] = {"passed": passed(report), "not passed": outcomes(report)}
        print(f"{key}: {report.outcome}, {report.seconds:.1f} s")
    TABLE.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
