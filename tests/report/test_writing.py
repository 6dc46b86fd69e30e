"""The files of a report: one page that loads nothing, and its figures in other forms."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from rebalancer.errors import InputRefused
from rebalancer.report.charts import charts_of, drawdown
from rebalancer.report.drawing import POINTS_MAX, thinned
from rebalancer.report.figures import FundFigures, Report, told_funds
from rebalancer.report.story import Gatherer
from rebalancer.report.writing import write_report
from rebalancer.sim.backtest import Result
from tests.factories import D


class Seen(HTMLParser):
    """What a browser would load, and the names of parts."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        for name in ("src", "href", "xlink:href"):
            if not given.get(name, "#").startswith("#"):
                self.loaded.append(given[name])
        self.loaded += [tag] if tag in ("script", "iframe", "link", "img") else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def written(
    replay: tuple[Result, Gatherer], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, Report]:
    """The page and the folder beside it."""
    folder = tmp_path_factory.mktemp("report")
    made = Report("A <board> title", told_funds(replay[1].stories)[:1], ["prices & made up"], "1")
    write_report(made, folder / "report.html", folder / "files")
    return folder / "report.html", folder / "files", made


def test_the_page_loads_nothing_and_names_every_part_once(
    written: tuple[Path, Path, Report],
) -> None:
    text = written[0].read_text(encoding="utf-8")
    seen = Seen()
    seen.feed(text)
    assert seen.open == []
    assert seen.loaded == []
    assert len(seen.ids) == len(set(seen.ids)) > 100
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(seen.ids)
    assert "default-src 'none'" in text
    assert "A &lt;board&gt; title" in text
    assert "prices &amp; made up" in text


def test_the_page_says_what_the_figures_are(written: tuple[Path, Path, Report]) -> None:
    text = written[0].read_text(encoding="utf-8")
    fund = written[2].funds[0]
    assert fund.tracking is not None
    assert f"{fund.tracking.mean_bp:+,.2f}" in text
    assert f"{-fund.drawdowns[0].depth * 100:+.2f} %" in text
    assert "where the price has moved 15 % either way" in text
    assert "No premium over NAV is recorded" in text
    assert "nan" not in re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)


def test_tables_and_figures_stand_beside_it(written: tuple[Path, Path, Report]) -> None:
    folder, report = written[1], written[2]
    assert json.loads((folder / "report.json").read_text()) == report.document()
    with (folder / "BTC3L-days.csv").open(newline="") as file:
        days = list(csv.DictReader(file))
    assert len(days) == 20
    assert D(days[3]["difference"]) == report.funds[0].days[3].difference
    with (folder / "BTC3L-rebalances.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(report.funds[0].story.runs)
    with (folder / "BTC3L-nav.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(report.funds[0].story.samples)


def test_every_chart_is_a_picture_and_a_drawing(written: tuple[Path, Path, Report]) -> None:
    folder = written[1]
    names = {path.stem for path in folder.glob("*.svg")}
    kinds = ("nav", "tracking", "leverage", "slippage", "decay", "drawdown")
    assert names >= {f"BTC3L-{kind}" for kind in kinds} | {"all-causes"}
    for name in names:
        assert ET.parse(folder / f"{name}.svg").getroot().tag.endswith("svg")  # noqa: S314 - ours
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_figures_draw_the_same_bytes(long_fund: FundFigures) -> None:
    assert drawdown(long_fund).svg == drawdown(long_fund).svg


def test_a_fund_of_one_instant_is_still_drawn(long_fund: FundFigures) -> None:
    story = type(long_fund.story)(long_fund.fund, samples=long_fund.story.samples[:1])
    kinds = [chart.name for chart in charts_of(FundFigures(story))]
    assert kinds == ["BTC3L-nav", "BTC3L-leverage", "BTC3L-drawdown"]


def test_a_thinned_line_keeps_its_lows_and_highs() -> None:
    values = [D(0)] * 50_000
    values[12_345], values[40_000] = D(-7), D(9)
    times, kept = thinned(range(50_000), values)
    assert len(times) == len(kept) <= POINTS_MAX
    assert (min(kept), max(kept)) == (-7, 9)


def test_a_file_that_cannot_be_written_is_named(
    written: tuple[Path, Path, Report], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputRefused, match="file: cannot be made: File exists"):
        write_report(written[2], tmp_path / "file" / "report.html", None)
