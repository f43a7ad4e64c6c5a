"""The pages in a real browser: they draw, say nothing on the console, fetch nothing, and answer to the mouse."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from livemig.analysis.judge import judge
from livemig.analysis.report.comparison import compare_page
from livemig.analysis.report.run_page import run_page

from ..histories import arm, ended, irq, passed, resume, state, stop
from ..test_judge import write
from .test_pages import ATTACK

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MS = 1_000_000
D = "destination"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
         "--disable-component-update"]  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]


def history(delivered: bool, timer: str = "decrementer") -> list[dict[str, Any]]:
    """An interrupt every millisecond for two seconds, but for a blackout of 500 ms; after it all of them, or none."""

    def ticks(begin: int, end: int, side: str) -> list[dict[str, Any]]:
        return [
            event
            for n in range(begin, end)
            for event in (arm(n * MS, MS, side=side, timer=timer), irq((n + 1) * MS, side=side, timer=timer))
        ]

    crossing = [
        passed(1000 * MS, took=100 * MS), arm(1000 * MS, MS, timer=timer), stop(1000 * MS + 5),
        resume(1500 * MS + 5), state(1500 * MS + 5, "completed"),
    ]  # fmt: skip
    after = [irq(1500 * MS + 5, side=D, timer=timer), *ticks(1501, 2000, D)] if delivered else []
    return [*ticks(0, 1000, "source"), *crossing, ended(1500 * MS + 5), *after, ended(2000 * MS, D)]


class Seen:
    """What the browser had to say."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.requests.append(request.url))

    def view(self, which: int = 0) -> tuple[int, int]:
        """What the timeline shows, in ns."""
        chart = self.page.locator(".timeline .chart").nth(which)
        return int(chart.get_attribute("data-from")), int(chart.get_attribute("data-to"))

    def drawn(self) -> str:
        return str(self.page.locator(".timeline .chart").first.get_attribute("data-drawn"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(chromium: Any, file: Path, scheme: str = "light", width: int = 1440) -> Iterator[Seen]:
    """A page of its own, that must have had nothing to complain of and fetched nothing at the end."""
    seen = Seen(chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme))
    seen.page.goto(file.as_uri())
    seen.page.wait_for_selector(".timeline .chart[data-to]")
    yield seen
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    seen.page.close()


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = write(tmp_path_factory.mktemp("lost"), history(delivered=False), strategy="none")
    (directory / "report.html").write_text(run_page(directory))
    return directory / "report.html"


def test_every_chart_draws_and_the_first_look_is_the_whole_run(chromium: Any, lost: Path) -> None:
    with opened(chromium, lost) as seen:
        assert seen.view() == (0, 2000 * MS)
        assert seen.drawn() == "density"
        assert seen.page.locator(".chart svg.main-svg").count() >= 4
        assert "never delivered" in seen.page.locator(".timeline .chart").inner_text()
        assert "blackout 500 ms" in seen.page.locator(".timeline .chart").inner_text()
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_drag_zooms_and_a_double_click_shows_the_whole_run_again(chromium: Any, lost: Path) -> None:
    with opened(chromium, lost) as seen:
        seen.page.locator(".timeline").scroll_into_view_if_needed()
        box = seen.page.locator(".timeline .nsewdrag").first.bounding_box()
        middle = box["y"] + box["height"] / 2
        seen.page.mouse.move(box["x"] + box["width"] * 0.25, middle)
        seen.page.mouse.down()
        seen.page.mouse.move(box["x"] + box["width"] * 0.30, middle, steps=5)
        seen.page.mouse.up()
        seen.page.wait_for_selector(".timeline .chart[data-drawn=each]")
        begin, end = seen.view()
        assert 490 * MS < begin < 510 * MS
        assert 590 * MS < end < 610 * MS
        seen.page.mouse.dblclick(box["x"] + box["width"] * 0.5, middle)
        seen.page.wait_for_selector(".timeline .chart[data-drawn=density]")
        assert seen.view() == (0, 2000 * MS)


def test_it_zooms_to_single_ticks_and_says_how_many(chromium: Any, lost: Path) -> None:
    with opened(chromium, lost) as seen:
        seen.page.click("[data-view=stop]")
        for _ in range(30):
            seen.page.click("[data-view=in]")
        begin, end = seen.view()
        assert end - begin == 20
        assert begin <= 1000 * MS + 5 <= end
        assert seen.page.locator(".timeline .span").inner_text() == "20 ns · 20 ticks"
        assert "+1006 ns" in seen.page.locator(".timeline .chart").inner_text()


def test_a_click_on_a_failed_check_shows_its_events_and_one_more_the_moment(chromium: Any, lost: Path) -> None:
    with opened(chromium, lost) as seen:
        line = seen.page.locator("#check-no_interrupt_lost .here")
        assert not line.is_visible()
        seen.page.click("#check-no_interrupt_lost summary")
        assert line.is_visible()
        assert '"deadline_ns":1001000000' in line.inner_text()
        seen.page.click("#check-no_interrupt_lost .jump")
        begin, end = seen.view()
        assert begin < 1000 * MS < end
        assert end - begin < 50 * MS
        assert "source.jsonl:" in seen.page.locator(".timeline .chart").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_system_until_the_button_is_pressed(chromium: Any, lost: Path, scheme: str) -> None:
    def tones() -> Any:
        return seen.page.evaluate(
            "[getComputedStyle(document.body).backgroundColor,"
            " document.querySelector('.timeline .ytick text').style.fill]"
        )

    with opened(chromium, lost, scheme) as seen:
        assert seen.page.locator("html").get_attribute("data-theme") == scheme
        before = tones()
        seen.page.click("#theme")
        assert seen.page.locator("html").get_attribute("data-theme") != scheme
        assert all(one != other for one, other in zip(before, tones(), strict=True))


def test_a_narrow_window_scrolls_in_one_direction_only(chromium: Any, lost: Path) -> None:
    with opened(chromium, lost, width=390) as seen:
        assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_a_log_says_is_text_in_the_picture_too(chromium: Any, tmp_path: Path) -> None:
    directory = write(tmp_path, history(delivered=False, timer=ATTACK), strategy=ATTACK, model=ATTACK)
    (directory / "report.html").write_text(run_page(directory))
    with opened(chromium, directory / "report.html") as seen:
        seen.page.click("[data-view=stop]")
        seen.page.click("#check-no_interrupt_lost summary")
        point = seen.page.locator(".timeline .points path").first.bounding_box()
        seen.page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
        seen.page.wait_for_selector(".timeline .hoverlayer text")
        assert "<script>alert(1)</script>" in seen.page.locator(".timeline .hoverlayer").text_content()
        assert seen.page.locator("img").count() == 0


def test_strategies_side_by_side_draw_the_blackout_and_the_waking(chromium: Any, tmp_path: Path) -> None:
    for name, delivered in (("none", False), ("tb-offset", True)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, history(delivered), strategy=name)
    file = tmp_path / "compare.html"
    file.write_text(compare_page("tiny", {name: judge(tmp_path / name) for name in ("none", "tb-offset")}))
    with opened(chromium, file) as seen:
        charts = seen.page.locator(".timeline .chart")
        assert "never delivered" in charts.first.inner_text()
        assert "499 ms late" in charts.nth(1).inner_text()
        assert seen.view(0)[0] < 1000 * MS < 1500 * MS < seen.view(0)[1]
        assert seen.view(1)[1] - seen.view(1)[0] < 50 * MS
