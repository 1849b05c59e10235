"""The labs of the course: their parts are complete, and the numbers of their solutions are those that the labs' own commands gave."""

import math
import re
from pathlib import Path

import pytest
from pages import DOCS, README, read

from benchmarks.course import MEASURED, PAGES, commands_of

LABS = sorted(PAGES.glob("[0-9]_*.md"))
TRANSLATED = [DOCS / "zh" / "course" / page.name for page in LABS]
KNOWN = {  # of no run: logarithms, and what defines a measure
    *(f"{nats:.1f}" for nats in (16 * math.log(256), 784 * math.log(2), math.log(100))),
    *("0.69", "0.5", "0.11", "0.067"),
}


def lab_of(page: Path) -> str:
    return page.name.split("_")[0]


@pytest.mark.parametrize("page", LABS, ids=lambda page: page.stem)
def test_a_lab_has_all_its_parts(page: Path) -> None:
    text = page.read_text()
    assert [part for part in ("**Aim.**", "**Run**", "**Look", "**Read**", "## Predict, then run") if part not in text] == []
    assert [text.count(f"\n**{number}.** ") for number in (1, 2, 3)] == [1, 1, 1]
    assert text.count("<details markdown") == text.count("</details>") == 3
    assert re.search(r"^\[`[\w.]+`\]\(", text, flags=re.MULTILINE), "code to read"


@pytest.mark.parametrize("page", [*LABS, *TRANSLATED], ids=lambda page: f"{page.parent.parent.name} {page.stem}")
def test_the_commands_of_a_lab_are_those_that_were_measured(page: Path) -> None:
    assert [each["command"] for each in read(MEASURED)[lab_of(page)]["commands"]] == commands_of(page)


@pytest.mark.parametrize("page", [*LABS, *TRANSLATED], ids=lambda page: f"{page.parent.parent.name} {page.stem}")
def test_the_numbers_of_the_solutions_were_measured(page: Path) -> None:
    values = [value for each in read(MEASURED)[lab_of(page)]["commands"] for value in each["values"].values()]
    solutions = "\n".join(re.findall(r"<details.*?</details>", page.read_text(), flags=re.DOTALL))
    prose = re.sub(r"`[^`]*`|\([^)]*\)", "", solutions)  # not of names and links
    for number in re.findall(r"-?\d+\.\d+", prose):
        digits = len(number.split(".")[1])
        measured = {f"{round(value, digits) + 0.0:.{digits}f}" for value in values} | KNOWN  # no minus before 0
        assert number in measured or gained(number, values), (page.name, number)


def gained(number: str, values: list[float]) -> bool:
    """Nats that a prior has learnt: what it began with less what it has."""
    return any(f"{16 * math.log(256) - value:.1f}" == number for value in values)


@pytest.mark.parametrize("page", [PAGES / "index.md", DOCS / "zh" / "course" / "index.md"], ids=lambda page: page.parent.parent.name)
def test_the_minutes_of_the_labs_were_measured(page: Path) -> None:
    measured = read(MEASURED)
    for file in LABS:
        minutes = measured[lab_of(file)]["minutes"]
        assert re.search(rf"\({file.name}\).*\| {minutes} \|", page.read_text()), file.name
        assert f" {minutes} " in (page.parent / file.name).read_text(), file.name


def test_the_minutes_of_models_are_those_that_labs_measured() -> None:
    """In the README and in the table of models, for models that a lab trains with its shipped config."""
    index, readme = (DOCS / "models" / "index.md").read_text(), README.read_text()
    trained = {
        words[-1]: each["seconds"]
        for lab in read(MEASURED).values()
        if "2 threads" in lab["machine"]
        for each in lab["commands"]
        if (words := each["command"].split())[:3] == ["lightning", "fit", "--config"] and len(words) == 4
    }
    assert len(trained) >= 7
    for name, seconds in trained.items():
        assert re.search(rf"^\| \[`{name}`.* \| {seconds / 60:.1f} \|", index, flags=re.MULTILINE), name
        rows = [line for line in readme.splitlines() if line.startswith("| [") and f"`{name}`" in line]
        assert all(f"{seconds / 60:.1f}" in row for row in rows), name
