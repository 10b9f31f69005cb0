"""The pictures of the benchmarks."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest

from tests.benchmarks.plot import COLOURS, GREY, HEIGHT, LABEL_STEP, Plot, decades, spaced, svg

SVG = "{http://www.w3.org/2000/svg}"
LINES = {"heads": [(128, 2.0), (1024, 9.0)], "a <b> & c": [(128, 3.0), (512, 30.0), (1024, 31.0)]}


def drawn() -> ElementTree.Element:
    plot = Plot(title="t & u", description="d", across="tokens", up="seconds", lines=LINES)
    return ElementTree.fromstring(svg(plot))


def test_every_number_is_one_point() -> None:
    root = drawn()
    assert len(root.findall(f"{SVG}circle")) == 5
    assert [len(one.get("points", "").split()) for one in root.findall(f"{SVG}polyline")] == [2, 3]


def test_every_line_has_its_name_and_the_picture_says_what_it_is() -> None:
    root = drawn()
    texts = [one.text for one in root.findall(f"{SVG}text")]
    assert {*LINES, "tokens", "seconds", "128", "512", "1,024", "1", "10", "100"} <= {*texts}
    assert root.findtext(f"{SVG}title") == "t & u"
    assert root.findtext(f"{SVG}desc") == "d"


def test_a_tenfold_number_is_one_decade_higher() -> None:
    plot = Plot(
        title="", description="", across="", up="",
        lines={"l": [(1, 1.0), (10, 10.0), (100, 100.0)]},
    )  # fmt: skip
    circles = ElementTree.fromstring(svg(plot)).findall(f"{SVG}circle")
    x, y = ([float(one.get(name, "")) for one in circles] for name in ("cx", "cy"))
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.11)
    assert y[0] - y[1] == pytest.approx(y[1] - y[2], abs=0.11)
    assert y[0] > y[2]


def test_names_do_not_cover_each_other_and_keep_their_order() -> None:
    places = spaced({"a": 100.0, "b": 101.0, "c": float(HEIGHT), "d": 20.0})
    heights = [places[name] for name in "dabc"]
    assert min(y - x for x, y in itertools.pairwise(heights)) >= LABEL_STEP - 1e-9
    assert max(heights) <= HEIGHT


@pytest.mark.parametrize(
    ("values", "around"), [([2.0, 30.0], (1, 100)), ([1.0], (1, 10)), ([0.02], (0.01, 0.1))]
)
def test_decades(values: list[float], around: tuple[float, float]) -> None:
    assert decades(values) == pytest.approx(around)


@pytest.mark.parametrize("colour", [*COLOURS, GREY])
@pytest.mark.parametrize("page", ["#ffffff", "#0d1117"])
def test_colours_read_on_light_and_dark_pages(colour: str, page: str) -> None:
    """WCAG's contrast of graphics: at least 3."""
    darker, lighter = sorted((luminance(colour), luminance(page)))
    assert (lighter + 0.05) / (darker + 0.05) >= 3


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
