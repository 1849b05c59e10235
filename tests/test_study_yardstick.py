"""What the page of a study shows of the yardstick."""

import re
from pathlib import Path
from typing import Any

import pytest
from test_study_page import PageReader, row, save, study

from lit_models.study.page import write_page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def results_of(**parts: Any) -> dict[str, Any]:
    return study() | {"pictures": []} | parts


def text_of(folder: Path, results: dict[str, Any]) -> str:
    return " ".join(PageReader(write_page(save(folder, results))).text.split())


def bold(page: Path) -> list[str]:
    return re.findall(r"<td[^>]*><b>([^<]*)</b>", page.read_text(encoding="utf-8"))


def test_what_is_marked_as_the_best_is_bold(folder: Path) -> None:
    results = results_of()
    results["rows"][2]["best"], results["rows"][3]["best"] = ["recognisable"], ["fid"]
    page = write_page(save(folder, results))
    assert bold(page) == ["0.900", "9.5"]
    assert "coverage of at least 0.5 can be the best" in page.read_text(encoding="utf-8")


def test_rows_with_and_without_labels_have_tables_of_their_own(folder: Path) -> None:
    best = ["recognisable", "fid"]
    rows = [row("vae", "VAE", 0.6, 9.0, best=best), row("gan", "conditional GAN", 0.9, 2.0, labelled=True, best=best)]
    page = write_page(save(folder, results_of(rows=rows))).read_text(encoding="utf-8")
    without, labelled = page[page.index("Samplers without labels") :].split("Samplers that take labels")
    assert re.findall(r"<b>([^<]*)</b>", without) == ["0.600", "9.0"]
    assert re.findall(r"<b>([^<]*)</b>", labelled) == ["0.900", "2.0"]
    for table in (without, labelled):
        assert "real test images" in table, "both have the row of real images"


def test_distorted_images_are_in_a_table_of_controls(folder: Path) -> None:
    controls = [
        {"name": name, "values": {"recognisable": 0.5}, "real": real} for name, real in (("held-out images", True), ("blurred", False))
    ]
    page = write_page(save(folder, results_of(controls=controls))).read_text(encoding="utf-8")
    tables, distorted = page.split("<h3>Controls</h3>")
    assert ("held-out images" in tables, "blurred" in tables) == (True, False)
    assert "blurred" in distorted


def test_a_kernel_distance_shows_its_interval(folder: Path) -> None:
    results = results_of(controls=[{"name": "real", "values": {"fid": 1.0, "fid_error": 0.25}, "real": True}])
    results["columns"][1]["error"] = "fid_error"
    results["rows"][0]["values"]["fid"]["interval"] = 3.3
    text = text_of(folder, results)
    assert "100.0 ± 3.3 (95 %)" in text
    assert "1.0 ± 0.5 (95 %)" in text


def test_a_claim_shows_its_spaces_and_whether_it_depends_on_its_threshold(folder: Path) -> None:
    one = {"value": 1.5, "low": 1.0, "high": 2.0, "holds": True}
    line = {
        "what": "distance",
        "compare": "<=",
        "threshold": 3.0,
        "disagreement": "",
        "spaces": {"first": one, "second": one | {"value": 2.5}},
    }
    claim = {"number": 1, "text": "near", "verdict": "holds", "why": "all", "verdict_lower": "depends", "verdict_higher": "holds"}
    results = results_of(claims=[claim | {"measures": [one | line]}])
    text = text_of(folder, results)
    assert "first 1.5 [1, 2] ✓, second 2.5 [1, 2] ✓ ≤ 3" in text
    assert "Thresholds 20 % lower: depends. Thresholds 20 % higher: holds. (depends on the threshold)" in text
    results["claims"][0]["verdict_lower"] = "holds"
    assert "(depends on the threshold)" not in text_of(folder, results)


@pytest.mark.parametrize("key", ["recall", "coverage"])
def test_temperatures_make_a_line_per_system(folder: Path, key: str) -> None:
    """Against recall, or against coverage on data without the space in which recall is measured."""
    points = [{"temperature": each, key: each, "recognisable": 1 - each / 2} for each in (0.5, 0.75, 1.0)]
    knobs = [{"system": system, "title": system.upper(), "points": points} for system in ("ae", "vae")]
    page = write_page(save(folder, results_of(knobs=knobs))).read_text(encoding="utf-8")
    figure = page[page.index("<h3>Temperature</h3>") :].split("</section>")[0].split('class="charts"')[1]
    assert len(re.findall(r'id="knobs-line-\d+-\d+"', figure)) == 2
    assert f"against {key}, over temperatures" in figure
    assert "<h3>Temperature</h3>" not in write_page(save(folder, results_of(knobs=[]))).read_text(encoding="utf-8")
