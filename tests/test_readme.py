"""The README is short, and what it says is so: its table is the committed measurement, its config and its files are there."""

import re
from pathlib import Path

import pytest
from pages import CHINESE, README, SYSTEMS, block, cell, read

from benchmarks.course import commands_of

SHOWN = ("coverage", "kid", "recognisable", "control")


def test_the_readme_is_short() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 1000


@pytest.mark.parametrize("page", [README, CHINESE], ids=lambda page: page.name)
def test_the_table_of_a_readme_is_the_committed_measurement(page: Path) -> None:
    text, rows = page.read_text(), read(SYSTEMS)["rows"]
    table = re.findall(r"^\| ([a-z_]+(?:, [\w ,.]+)?|real images) \| (\d.*) \|$", text, flags=re.MULTILINE)
    assert len(table) == 8
    for name, cells in table:
        values = rows[name]["values"] | ({} if rows[name]["labelled"] else {"control": None})
        expected = [cell(key, values) if values[key] is not None else "" for key in SHOWN]
        assert [each.strip() for each in cells.split("|")] == expected, name


def test_what_the_readme_says_of_its_table_follows_from_it() -> None:
    rows = read(SYSTEMS)["rows"]
    shown = [name for name in rows if f"\n| {name} | " in README.read_text() and name != "real images"]
    first, second = (rows[name]["values"] for name in ("gan_conditional, own, temperature 0.95", "vqvae, autoregressive"))
    assert abs(first["kid"] - second["kid"]) < 1.96 * (first["kid_error"] + second["kid_error"])
    assert first["control"] > second["control"]
    assert second["coverage"] == max(rows[name]["values"]["coverage"] for name in shown)


def test_both_readmes_have_the_same_commands_and_program() -> None:
    assert commands_of(README) == commands_of(CHINESE)
    programs = [re.sub(r" *#.*", "", block(page, "python")) for page in (README, CHINESE)]
    assert programs[0] == programs[1]


def test_the_readme_explains_each_column_of_its_table() -> None:
    text = README.read_text()
    assert [name for name in ("Coverage", "KID", "Recognisable", "Control") if f"*{name}*" not in text] == []
