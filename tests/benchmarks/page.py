"""Write what was measured into docs/benchmarks.md, between its markers, and draw it.

    python -m tests.benchmarks.page

Each `<!-- NAME:start -->` … `<!-- NAME:end -->` is made of docs/benchmarks/NAME.jsonl (which the
scripts write with --save); everything else on the page is written by hand and stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.plot import Line, Plot, svg
from tests.benchmarks.record import HOME, Row, growth, ratios, read, spread

PAGE = HOME.with_suffix(".md")
MARKED = re.compile(r"<!-- (\w+):start -->\n.*?<!-- \1:end -->\n", re.DOTALL)


def written(page: str, home: Path) -> str:
    """The page with its blocks made anew of the rows that are kept there."""

    def block(found: re.Match[str]) -> str:
        name = found[1]
        rows = read(home / f"{name}.jsonl")
        inside = BLOCKS[name](rows) if rows else f"Not recorded yet: {run_line(name)}.\n"
        return f"<!-- {name}:start -->\n{inside}<!-- {name}:end -->\n"

    return MARKED.sub(block, page)


def run_line(name: str) -> str:
    """How its rows are made."""
    part = " time` and `… memory" if name == "capture" else ""
    return (
        f"run `python -m tests.benchmarks.{name}{part}` with `--save docs/benchmarks/{name}.jsonl`"
    )


def plots(home: Path) -> dict[str, str]:
    """File name to content of each picture for which there are rows."""
    rows = read(home / "capture.jsonl")
    drawn = {
        "capture_time": ("seconds", "Seconds of a pass that sees attention", _seconds),
        "capture_memory": ("megabytes", "Memory on top of a forward pass", _megabytes),
    }
    return {
        f"{name}.svg": svg(Plot(
            title=title, description=f"{title}, by the number of tokens; the same numbers as in"
            " the table beside it.", across="tokens", up=up, lines=lines,
        ))
        for name, (up, title, numbers) in drawn.items()
        if (lines := numbers(rows))
    }  # fmt: skip


def _seconds(rows: Sequence[Row]) -> dict[str, Line]:
    found = _of(rows, part="time")
    lines = _lines(found, lambda one: median(one["numbers"]["run"]))
    plain: dict[float, list[float]] = {}
    for one in _of(found, base="plain sdpa"):
        plain.setdefault(one["of"]["tokens"], []).extend(one["numbers"]["base"])
    base = [(tokens, median(took)) for tokens, took in sorted(plain.items())]
    return ({"plain sdpa": base} if base else {}) | lines


def _megabytes(rows: Sequence[Row]) -> dict[str, Line]:
    grown = _lines(_of(rows, part="memory"), lambda one: median(growth(one["numbers"])) / 1e6)
    return {name: kept for name, line in grown.items() if (kept := [p for p in line if p[1] >= 1])}


def _lines(rows: Sequence[Row], value: Callable[[Row], float]) -> dict[str, Line]:
    ways = dict.fromkeys(one["of"]["way"] for one in rows)
    return {
        way: sorted((one["of"]["tokens"], value(one)) for one in _of(rows, way=way)) for way in ways
    }


def _of(rows: Sequence[Row], **wanted: object) -> list[Row]:
    return [one for one in rows if wanted.items() <= one["of"].items()]


def capture(rows: Sequence[Row]) -> str:
    """Both tables and both pictures."""
    time, memory = _of(rows, part="time"), _of(rows, part="memory")
    text = ""
    if time:
        table = _grid(time, lambda one: f"{spread(ratios(one['numbers']))} ({_pairs(one)})")
        text += f"Time, as a multiple of the forward pass beside it (pairs):\n\n{table}\n"
        text += "![Seconds by tokens](benchmarks/capture_time.svg)\n\n"
    if memory:
        table = _grid(memory, lambda one: spread([g / 1e6 for g in growth(one["numbers"])], 0))
        text += f"Peak memory on top of that forward pass, in MB:\n\n{table}\n"
        if _megabytes(rows):
            text += "![Memory by tokens](benchmarks/capture_memory.svg)\n\n"
    return text + _made(rows)


def _pairs(one: Row) -> int:
    return len(one["numbers"]["run"])


def _grid(rows: Sequence[Row], cell: Callable[[Row], str]) -> str:
    """Ways down, tokens across."""
    lengths = sorted({one["of"]["tokens"] for one in rows})
    ways = dict.fromkeys((one["of"]["way"], one["of"]["base"]) for one in rows)
    lines = []
    for way, base in ways:
        cells = {one["of"]["tokens"]: cell(one) for one in _of(rows, way=way, base=base)}
        lines.append([way, base, *(cells.get(length, "") for length in lengths)])
    return _table(["way", "beside", *(f"{length:,} tokens" for length in lengths)], lines)


def startup(rows: Sequence[Row]) -> str:
    """Both limits' ratios."""
    lines = [
        [f"`attnscope {one['of']['what']}`", one["of"]["beside"], spread(ratios(one["numbers"])),
         f"{median(one['numbers']['run']):.2f}", f"{median(one['numbers']['base']):.2f}"]
        for one in rows
    ]  # fmt: skip
    return (
        _table(["command", "beside", "ratio", "seconds", "beside it"], lines) + "\n" + _made(rows)
    )


def verify_cost(rows: Sequence[Row]) -> str:
    """Forwards, tokens, seconds."""
    lines = [
        [one["of"]["model"], one["of"]["form"], f"{one['numbers']['forwards'][0]:,}",
         f"{one['numbers']['pushed'][0]:,}", spread(one["numbers"]["run"], 1),
         spread(ratios(one["numbers"]), 0)]
        for one in rows
    ]  # fmt: skip
    head = ["model", "form", "forwards", "tokens", "seconds", "in time, plain forwards"]
    return _table(head, lines) + "\n" + _made(rows)


def census_time(rows: Sequence[Row]) -> str:
    """One line a type."""
    lines = [
        [one["of"]["type"], spread(one["numbers"]["run"]), spread(ratios(one["numbers"]), 0)]
        for one in rows
    ]
    return _table(["type", "seconds", "plain forwards"], lines) + "\n" + _made(rows)


def memory_of_traces(rows: Sequence[Row]) -> str:
    """As it is, and planted."""
    lines = [
        [one["of"]["leak"], f"{one['of']['traces']}", f"{one['numbers']['bytes'][0]:,.0f}",
         f"{one['numbers']['matrices'][0]:.3f}"]
        for one in rows
    ]  # fmt: skip
    head = ["leak", "traces", "bytes a trace", "attention matrices a trace"]
    return _table(head, lines) + "\n" + _made(rows)


def long_text(rows: Sequence[Row]) -> str:
    """One line a length."""
    lines = [
        [f"{one['of']['tokens']:,}", spread(one["numbers"]["run"], 1),
         spread(ratios(one["numbers"])), spread(one["numbers"]["grown"], 0)]
        for one in rows
    ]  # fmt: skip
    head = ["tokens", "seconds", "plain forwards", "MB on top of a forward pass"]
    return _table(head, lines) + "\n" + _made(rows)


BLOCKS: dict[str, Callable[[Sequence[Row]], str]] = {
    "capture": capture,
    "long_text": long_text,
    "startup": startup,
    "verify_cost": verify_cost,
    "census_time": census_time,
    "memory_of_traces": memory_of_traces,
}


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(head)
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))


def _made(rows: Sequence[Row]) -> str:
    """When, where and with what; everything that any row names."""
    told: dict[str, None] = {}
    for one in rows:
        made = one["made"]
        told[f"{made['processor']}, {made['cores']} cores"] = None
    dates = sorted({one["made"]["date"] for one in rows})
    with_ = sorted({f"{k} {v}" for one in rows for k, v in one["made"]["versions"].items()})
    return (
        f"Minimum / median / maximum. {' to '.join(dict.fromkeys([dates[0], dates[-1]]))};"
        f" {'; '.join(told)}; {', '.join(with_)}.\n"
    )


def main() -> None:
    """Write the page and its pictures."""
    PAGE.write_text(written(PAGE.read_text(), HOME))
    for name, content in plots(HOME).items():
        (HOME / name).write_text(content)


if __name__ == "__main__":
    main()
