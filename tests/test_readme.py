"""The README is short, and what it says is so: its table is the committed measurement, its config and its files are there."""

import re

from pages import README, SYSTEMS, cell, read

SHOWN = ("coverage", "kid", "recognisable", "control")


def test_the_readme_is_short() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 1000


def test_the_readmes_table_is_the_committed_measurement() -> None:
    text, rows = README.read_text(), read(SYSTEMS)["rows"]
    table = re.findall(r"^\| ([a-z_]+(?:, [\w ,.]+)?|real images) \| (\d.*) \|$", text, flags=re.MULTILINE)
    assert len(table) == 8
    for name, cells in table:
        values = rows[name]["values"] | ({} if rows[name]["labelled"] else {"control": None})
        expected = [cell(key, values) if values[key] is not None else "" for key in SHOWN]
        assert [each.strip() for each in cells.split("|")] == expected, name


def test_the_readme_explains_each_column_of_its_table() -> None:
    text = README.read_text()
    assert [name for name in ("Coverage", "KID", "Recognisable", "Control") if f"*{name}*" not in text] == []
