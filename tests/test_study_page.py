"""The page of a study: as text, and in a real browser."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import needs_browser, resize
from matplotlib.figure import Figure
from PIL import Image

from lit_models.study.charts import draw_seeds
from lit_models.study.page import write_page

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'text' {{ 7 * 7 }} $x"
KINDS = ("samples", "latents")


def column(key: str, better: str | None, digits: int) -> dict[str, Any]:
    return {"key": key, "title": key, "help": f"help of {key}", "unit": "", "better": better, "digits": digits, "group": "samples"}


def row(system: str, title: str, share: float | None, fid: float | None, coverage: float | None = 0.7, **others: Any) -> dict[str, Any]:
    means = {key: mean for key, mean in (("recognisable", share), ("fid", fid), ("coverage", coverage)) if mean is not None}
    values = {key: {"mean": mean, "std": 0.01, "worst": mean, "n": 3} for key, mean in means.items()}
    nothing = {"copies": {"mean": None, "std": None, "worst": None, "n": 0}}
    common = {"system": system, "title": title, "sampler": "normal", "seeds": [0, 1, 2], "note": "", "error": None, "main": True}
    common |= {"variant": None, "labelled": False, "best": [], "command": f"lightning fit --config {system}"}
    return common | {"values": values | nothing} | others


def study() -> dict[str, Any]:
    """Four systems: one has no FID, one failed and has a hostile name. FIDs sort differently as text and as numbers."""
    stages = [
        {"system": system, "title": system.upper(), "seed": seed, "images": 1000 * step, "seconds": 2.5 * step + seed,
         "values": {"recognisable": 0.2 * step, "fid": None if step == 2 else 90.0 / step, "coverage": 0.1 * step}}
        for system in ("ae", "vae") for seed in (0, 1) for step in (1, 2, 3, 4)
    ]  # fmt: skip
    response = {"system": "ae", "title": "AE", "at": "codes", "unit": HOSTILE, "sigmas": [0, 1, 2], "sigma50": None}
    measure = {"what": HOSTILE, "value": 0.5, "low": 0.4, "high": 0.6, "compare": ">=", "threshold": 0.3, "holds": True, "spaces": {}}
    real = {"recognisable": 0.95, "fid": 0.5}
    empty = dict.fromkeys(("value", "low", "high", "threshold", "holds"), None)
    return {
        "study": {
            "title": HOSTILE, "date": "2026-11-24", "dataset": "mnist", "machine": "2 cores", "versions": {"torch": "2.9"},
            "notes": [HOSTILE], "judge": {"sha256": "0123456", "recipe": "net"}, "features": "first", "budget_seconds": 9, "samples": 100,
            "spaces": ["first"],
        },
        "columns": [column("recognisable", "higher", 3), column("fid", "lower", 1), column("copies", None, 2)],
        "controls": [
            {"name": "real test images", "values": real, "real": True}, {"name": "noise", "values": {"recognisable": 0.0}, "real": True},
        ],
        "rows": [
            row("ae", "AE", 0.6, 100.0), row("ae", "AE", 0.7, 20.0, sampler="mixture", main=False), row("vae", "VAE", 0.9, None),
            row("gan", "GAN", 0.8, 9.5, note=HOSTILE), row("bad", HOSTILE, None, None, None, error=HOSTILE),
        ],
        "stages": stages,
        "knobs": [],
        "agreement": [],
        "responses": [response | {key: [0.9, None, 0.1] for key in ("recognisable", "kept", "sharpness", "change")}],
        "claims": [{"number": 1, "text": HOSTILE, "verdict": "holds", "why": HOSTILE,
                    "verdict_lower": "holds", "verdict_higher": "holds", "measures": [measure, measure | empty]}],
        "pictures": [{"system": "ae", "title": "AE", "kind": kind, "caption": HOSTILE, "file": f"pictures/{kind}.png"} for kind in KINDS],
    }  # fmt: skip


def save(folder: Path, results: object) -> Path:
    (folder / "results.json").write_text(json.dumps(results))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for kind in KINDS:
        Image.new("L", (60, 40), 90).save(tmp_path / "pictures" / f"{kind}.png")
    return save(tmp_path, study())


class PageReader(HTMLParser):
    """The addresses and tags of a page, and the text that its reader sees."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data if self.tags[-1:] not in (["script"], ["style"]) else ""


def test_the_page_names_nothing_outside_itself(folder: Path) -> None:
    reader = PageReader(page := write_page(folder))
    assert len([address for address in reader.addresses if address.startswith("data:image/png;base64,")]) == 2
    outside = {address for address in reader.addresses if not address.startswith(("data:", "#"))}
    assert outside == {"results.csv", "results.json"}, "which lie next to it"
    assert not re.search(r"@import|https?://|url\((?!#)", page.read_text(encoding="utf-8"))
    assert [path.name for path in folder.iterdir() if path.name.startswith("index")] == ["index.html"]


def test_every_text_is_escaped(folder: Path) -> None:
    reader = PageReader(page := write_page(folder))
    assert reader.tags.count("script") == 1
    assert "alert(1)</script>" not in page.read_text(encoding="utf-8")
    assert reader.text.count(HOSTILE) >= 9  # title twice, note, row's title, note and error, claim and why, measure, pictures


def test_a_missing_number_reads_as_such(folder: Path) -> None:
    results = study()
    results["rows"][0]["values"]["fid"]["mean"] = float("nan")
    text = PageReader(write_page(save(folder, results))).text
    assert not re.search(r"\b(nan|inf|None|null)\b", text, flags=re.IGNORECASE)
    assert text.count("n/a") >= 6


def test_the_same_results_give_the_same_bytes(folder: Path) -> None:
    first = write_page(folder).read_bytes()
    assert write_page(folder).read_bytes() == first


def test_a_study_of_nothing_has_a_page(folder: Path) -> None:
    results = {part: [] for part in study()} | {"study": study()["study"] | {"judge": None, "notes": [], "versions": {}, "machine": None}}
    page = write_page(save(folder, results))
    assert PageReader(page).text.count("None in this study.") == 6
    assert '<ol class="claims">' not in page.read_text(encoding="utf-8"), "nor a list, nor what its thresholds are"


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no results": (lambda folder: (folder / "results.json").unlink(), "expected results of a study in .*, got no such file: run the study"),
    "no JSON": (lambda folder: (folder / "results.json").write_text("{"), "expected JSON in .*results.json, got Expecting property name"),
    "a part missing": (lambda folder: save(folder, {"study": {}}), "got some that lack columns, controls, .*, pictures: run it again"),
    "a key missing": (lambda folder: save(folder, study() | {"claims": [{"number": 1, "text": ""}]}), "lack .*'verdict'.*: run it again"),
    "no picture": (lambda folder: (folder / "pictures/samples.png").unlink(), "expected the picture .*samples.png, .* got no such file"),
    "no PNG": (lambda folder: (folder / "pictures/samples.png").write_text("GIF89a"), "expected a PNG in .*samples.png, got b'GIF89a'"),
}


@pytest.mark.parametrize(("spoil", "message"), BROKEN.values(), ids=BROKEN)
def test_an_error_names_what_is_missing_and_the_last_page_stays(folder: Path, spoil: Callable[[Path], object], message: str) -> None:
    (folder / "index.html").write_text("the last page")
    spoil(folder)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        write_page(folder)
    assert (folder / "index.html").read_text() == "the last page"


def test_the_line_is_the_mean_of_the_stages_that_every_seed_has() -> None:
    axes = Figure().add_subplot()
    shares = {0: (0.1, 0.2, 0.3, 0.4), 1: (1.1, None, 1.3)}
    found = [(seed, i, share) for seed in shares for i, share in enumerate(shares[seed])]
    stages = [{"seed": seed, "images": i, "seconds": i + seed, "values": {"recognisable": share}} for seed, i, share in found]
    draw_seeds(axes, stages, "seconds", "recognisable", place=0)
    seeds = [line.get_xydata().tolist() for line in axes.lines]
    assert [len(points) for points in seeds] == [4, 2, 2]
    assert seeds[2] == pytest.approx(np.array([[0.5, 0.6], [2.5, 0.8]]))


def opened(browser: Any, folder: Path, width: int = 1200) -> Any:
    """The page in Chromium; the width is that of the page, which a window's can't go below 500."""
    resize(browser, width)
    browser.get(write_page(folder).as_uri())
    return browser


def shown_rows(driver: Any) -> list[list[str]]:
    """System and numbers of the rows that a reader sees, controls included, top to bottom."""
    return driver.execute_script("""return [...document.querySelectorAll("#measures tbody tr")].filter(row => row.offsetParent)
        .map(row => [...row.cells].map(cell => cell.innerText.split("\\n")[0].split(" ±")[0].trim()))""")


@needs_browser
def test_the_page_opens_whole_without_a_network(browser: Any, folder: Path) -> None:
    browser.get("about:blank")
    browser.get_log("browser")  # without any network the browser has complained about its own first page
    driver = opened(browser, folder)
    assert driver.get_log("browser") == []
    assert driver.execute_script("return [...document.images].map(image => [image.complete, image.naturalWidth])") == [[True, 60]] * 2
    assert len(driver.find_elements("css selector", ".chart svg")) == 2 * 3 + 4
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    own = [each["request"]["url"] for each in asked if each["documentURL"] == driver.current_url]  # the rest is Chromium's first tab
    assert driver.current_url in own
    assert [address for address in own if not address.startswith(("file:", "data:"))] == []
    assert driver.execute_script("return performance.getEntriesByType('resource').filter(entry => !/^(data|file):/.test(entry.name))") == []


@needs_browser
def test_a_heading_sorts_by_number_both_ways_and_controls_stay_last(browser: Any, folder: Path) -> None:
    driver = opened(browser, folder)
    button = driver.find_element("css selector", "th[data-column='2'] button")
    for keys, order, aria in (("click", ["9.5", "100.0"], "ascending"), ("\ue007", ["100.0", "9.5"], "descending")):
        button.click() if keys == "click" else button.send_keys(keys)  # the second time by the Enter key
        rows = shown_rows(driver)
        assert [line[2] for line in rows[:3]] == [*order, "n/a"]
        assert "failed" in rows[3][1]
        assert [line[0] for line in rows[4:]] == ["real test images", "noise"]
        assert button.find_element("xpath", "./..").get_attribute("aria-sort") == aria


@needs_browser
def test_all_samplers_shows_the_other_rows(browser: Any, folder: Path) -> None:
    driver = opened(browser, folder)
    before = len(shown_rows(driver))
    driver.find_element("css selector", "#measures input").click()
    assert (before, len(shown_rows(driver))) == (4 + 2, 5 + 2)


@needs_browser
def test_a_narrow_window_scrolls_the_table_not_the_page(browser: Any, folder: Path) -> None:
    script = "return [innerWidth, document.documentElement.scrollWidth <= innerWidth]"
    assert opened(browser, folder, width=400).execute_script(script) == [400, True]


@needs_browser
def test_a_name_highlights_its_line_and_a_click_enlarges(browser: Any, folder: Path) -> None:
    driver = opened(browser, folder)
    driver.find_element("css selector", ".legend button[data-system='1']").click()
    faded = driver.execute_script("return [...document.querySelectorAll('.faded')].map(line => line.id.split('-line-')[1][0])")
    assert set(faded) == {"0"}
    driver.execute_script("document.querySelector('.pictures .zoom').click()")
    assert driver.find_element("css selector", "dialog[open] img").is_displayed()
