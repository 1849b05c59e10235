"""The site of docs/ is built without a warning, asks nothing of a network, and browsers find no fault in it."""

import json
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from browser import chrome, needs_browser, resize, take_picture
from conftest import ROOT

pytestmark = pytest.mark.skipif(find_spec("mkdocs") is None, reason="the site needs mkdocs: pip install -e '.[docs]'")

LOOKED_AT = ("index.html", "models/vae.html", "comparison.html", "guides/commands.html", "models/index.html")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Strict: mkdocs ends at the first warning."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder, before = tmp_path_factory.mktemp("site"), Path.cwd()
    os.environ["NO_MKDOCS_2_WARNING"] = "1"
    os.chdir(ROOT)  # mkdocstrings looks for sources from there
    try:
        build(load_config("mkdocs.yml", site_dir=str(folder)))
    finally:
        os.chdir(before)
    return folder


def pages(site: Path) -> list[Path]:
    own = [page for page in sorted(site.rglob("*.html")) if page.name != "explorer.html" and "study" not in page.parts]
    assert len(own) > 25
    return own


def test_no_page_asks_anything_of_a_network(site: Path) -> None:
    for page in pages(site):
        text = page.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)[^>]* src=[\"']?(https?:[^\"' >]+)", text)
        loaded += re.findall(r"<link[^>]* rel=[\"']?(?:stylesheet|preload|icon)[\"']?[^>]* href=[\"']?(https?:[^\"' >]+)", text)
        assert loaded == [], page


def test_code_and_equations_are_in_the_pages(site: Path) -> None:
    text = (site / "models" / "vae.html").read_text()
    assert "lit_models/vae.py" in text
    assert "<math" in text
    assert "gaussian_kl" in text
    for page in pages(site):
        assert "arithmatex" not in page.read_text(), page
        assert ":math:" not in re.sub(r"<code>.*?</code>", "", page.read_text(), flags=re.DOTALL), page


def test_a_name_that_is_not_in_the_source_is_refused() -> None:
    hooks = run_path(str(ROOT / "docs" / "site" / "page_hooks.py"))
    with pytest.raises(ValueError, match="found no _stride"):
        hooks["source_of"](ROOT / "lit_models" / "vae.py", "VAE._stride")


def test_a_published_site_links_to_its_repository_and_to_colab() -> None:
    hooks = run_path(str(ROOT / "docs" / "site" / "page_hooks.py"))
    address = "https://github.com/someone/lit-generative"
    assert "/github/someone/lit-generative/blob/main/docs/notebooks/a.ipynb" in hooks["link_to_colab"]("a.ipynb", address)
    assert hooks["link_to_colab"]("a.ipynb", None) == ""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    found = chrome(tmp_path_factory.mktemp("profile"))
    found.set_script_timeout(120)
    yield found
    found.quit()


@needs_browser
@pytest.mark.parametrize("page", LOOKED_AT)
@pytest.mark.parametrize("width", [1400, 390])
def test_browsers_find_no_fault_with_accessibility(page: str, width: int, site: Path, browser: Any) -> None:
    """By axe, the tool that Lighthouse uses; a page is not wider than its window."""
    script = Path(str(find_spec("axe_core_python").submodule_search_locations[0])) / "axe.min.js"  # type: ignore[union-attr, index]
    resize(browser, width)
    browser.get((site / page).as_uri())
    browser.execute_script(script.read_text())
    found = browser.execute_async_script("axe.run({iframes: false}).then(arguments[0], error => arguments[0](String(error)))")
    faults = {fault["id"]: [node["html"][:120] for node in fault["nodes"][:3]] for fault in found["violations"]}
    assert faults == {}, json.dumps(faults, indent=1)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    take_picture(browser, f"site_{Path(page).stem}_{width}")
