"""The README is short, and what it says is so: its table is the committed measurement, its config and its files are there."""

import re
from pathlib import Path

import pytest
from pages import CHINESE, README, block

from benchmarks.course import commands_of
from benchmarks.studies import study_of


def test_the_readme_is_short() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.split()) <= 1000


@pytest.mark.parametrize("page", [README, CHINESE], ids=lambda page: page.name)
def test_the_table_of_a_readme_is_written_from_the_measures(page: Path) -> None:
    assert "<!-- table readme -->" in page.read_text()


def test_what_the_readme_says_of_its_table_follows_from_it() -> None:
    rows = study_of().rows
    gan, vqvae = (rows[place]["values"] for place in (("gan_conditional_360s", "own"), ("vqvae_360s", "autoregressive")))
    assert gan["kid"]["low"] < vqvae["kid"]["mean"] < gan["kid"]["high"] or vqvae["kid"]["low"] < gan["kid"]["mean"] < vqvae["kid"]["high"]
    assert gan["control"]["low"] > vqvae["control"]["high"]
    assert vqvae["coverage"]["low"] > gan["coverage"]["high"]


def test_both_readmes_have_the_same_commands_and_program() -> None:
    assert commands_of(README) == commands_of(CHINESE)
    programs = [re.sub(r" *#.*", "", block(page, "python")) for page in (README, CHINESE)]
    assert programs[0] == programs[1]


def test_the_readme_explains_each_column_of_its_table() -> None:
    text = README.read_text()
    assert [name for name in ("Coverage", "KID", "Recognisable", "Control") if f"*{name}*" not in text] == []
