"""The files that come out: whole, self-contained, and deaf to what a log tries to say to a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from livemig.analysis.judge import judge
from livemig.analysis.report.comparison import NEVER_MIGRATED, compare_page
from livemig.analysis.report.run_page import run_page
from livemig.cli.main import main
from livemig.errors import UsageError

from ..histories import arm, ended, irq, passed, resume, state, stop
from ..test_judge import write

D = "destination"
ATTACK = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'


def history(timer: str = "decrementer", delivered: bool = True) -> list[dict[str, Any]]:
    """One arm over a blackout of 100 ns: delivered at the resume, or never."""
    came = [irq(150, side=D, timer=timer), arm(160, 500, side=D, timer=timer)] if delivered else []
    return [
        arm(0, 20, timer=timer), irq(20, timer=timer), passed(30), arm(30, 70, timer=timer), stop(50),
        resume(150), *came, state(151, "completed"), ended(151), ended(400, D),
    ]  # fmt: skip


class Reader(HTMLParser):
    """What a browser would make of the page: its elements, and the text of each script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[-1] += data


def data_of(page: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Reader(page).scripts[0])
    return read


def test_the_report_shows_the_verdict_the_failed_check_and_its_line(tmp_path: Path) -> None:
    page = run_page(write(tmp_path, history(delivered=False), strategy="none"))
    said = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.S)
    assert "1 interrupt lost (cpu 0); the guest hangs after the migration" in said
    assert "source.jsonl:4" in said
    assert (tmp_path / "source.jsonl").read_text().splitlines()[3].replace('"', "&quot;") in said
    assert 'data-ns="30"' in said


def test_the_data_are_exact(tmp_path: Path) -> None:
    data = data_of(run_page(write(tmp_path, history())))
    assert data["pauses"] == [{"stop_ns": 50, "from": "source", "resume_ns": 150, "to": "destination"}]
    arcs = data["arcs"]
    ends = [
        (arcs["outcomes"][o], a, d, e)
        for o, a, d, e in zip(arcs["outcome"], arcs["arm"], arcs["due"], arcs["end"], strict=True)
    ]
    assert ends == [("on_time", 0, 20, 20), ("late", 30, 70, 150), ("pending", 160, 500, 400)]
    assert data["drift"] == [[0, 0], [50, 0], [150, 0], [160, 0]]
    assert data["stride"] == 1


def test_a_number_that_javascript_would_round_goes_as_text(tmp_path: Path) -> None:
    large = (1 << 55) + 1
    events = [arm(0, large, due=None), ended(9)]
    assert data_of(run_page(write(tmp_path, events, decrementer_bits=56)))["arcs"]["value"] == [str(large)]


def test_a_malicious_log_injects_nothing(tmp_path: Path) -> None:
    events = history(ATTACK, delivered=False)
    events[0]["cause"] = ATTACK
    reader = Reader(run_page(write(tmp_path, events, strategy=ATTACK, model=ATTACK, reason=ATTACK)))
    assert "img" not in [tag for tag, _ in reader.elements]
    assert not [key for _, attributes in reader.elements for key in attributes if key.startswith("on")]
    assert sum("alert(" in code for code in reader.scripts) == 1, "in the data alone"
    assert json.loads(reader.scripts[0])["arcs"]["timers"] == [ATTACK]


def test_only_the_scripts_of_the_page_may_run_and_nothing_may_be_fetched(tmp_path: Path) -> None:
    reader = Reader(run_page(write(tmp_path, history())))
    policy = next(a["content"] or "" for tag, a in reader.elements if a.get("http-equiv") == "Content-Security-Policy")
    hashes = {base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in reader.scripts[1:]}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes
    assert policy.startswith("default-src 'none'")
    assert not [a for tag, a in reader.elements if "src" in a or tag == "link"]


def test_a_run_that_did_not_cross_and_one_without_events_have_a_report(tmp_path: Path) -> None:
    stayed = [arm(0, 10), state(5, "failed", "peer lost"), irq(10), ended(99)]
    for name, events in (("stayed", stayed), ("empty", [ended(0)])):
        (tmp_path / name).mkdir()
        assert data_of(run_page(write(tmp_path / name, events, owner="source")))["pauses"] == []


def test_strategies_side_by_side_with_their_twin(tmp_path: Path) -> None:
    for name, delivered in (("none", False), ("tb-offset", True)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, history(delivered=delivered), strategy=name)
    twin = [line for line in (tmp_path / "none" / "source.jsonl").read_text().splitlines() if "machine" not in line]
    (tmp_path / "none" / "twin.jsonl").write_text("\n".join(twin) + "\n")
    page = compare_page("tiny", {name: judge(tmp_path / name) for name in ("none", "tb-offset")})
    data = data_of(page)
    assert data["names"] == [NEVER_MIGRATED, "none", "tb-offset"]
    late_and_lost = {
        (arcs_lane, data["arcs"]["outcomes"][o])
        for arcs_lane, o in zip(data["arcs"]["cpu"], data["arcs"]["outcome"], strict=True)
    }
    assert {(1, "lost"), (2, "late")} <= late_and_lost
    assert data["guides"] == [[0, 100]]
    assert '<span class="word">tb-offset</span> keeps' in page


def test_the_command_writes_beside_the_run_or_where_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, history())
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "there.html")]) == 0
    assert (tmp_path / "there.html").read_text() == (tmp_path / "report.html").read_text()
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "no" / "way.html")]) == 2
    assert main(["report", str(tmp_path / "nothing")]) == 2


def test_without_plotly_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    write(tmp_path, history())
    with pytest.raises(UsageError, match=re.escape("report needs plotly: pip install 'livemig[report]'")):
        run_page(tmp_path)
