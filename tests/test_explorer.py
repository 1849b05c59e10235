"""The explorer in a real browser: it draws what the model draws, by pointer, touch and keys, without a network."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import needs_browser, resize
from builders import build

from lit_models.explorer.graph_json import Weights
from lit_models.explorer.page import knowledge_of, page

onnx = pytest.importorskip("onnx", reason="pip install onnx onnxscript")
MODELS = ["ae", "vae", "vqvae", "anchored", "latent_flow", "gan_conditional", "vae_conditional", "pca_ae", "vae_gan"]
UNNAMED = """
return [...document.querySelectorAll("button, input, select, canvas")].filter(e => e.offsetParent && !e.closest("button canvas")
  && !e.getAttribute("aria-label") && !e.textContent.trim() && !(e.labels && e.labels.length)).map(e => e.outerHTML)
"""
READ = "const c = document.getElementById('image'); return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"


def trained(name: str) -> Any:
    """A small model whose flow moves codes and reads labels, and whose codes are apart, as after a training."""
    model = build(name)
    for key, parameter in model.named_parameters():
        if "averaged_velocity" in key and ("out.weight" in key or "modulation" in key):
            torch.nn.init.normal_(parameter, std=0.1)
    if name == "vqvae":
        model.quantiser.codebook.normal_()
    return model


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {name: trained(name) for name in MODELS}


@pytest.fixture(scope="module")
def file(models: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("explorer") / "explorer.html"
    weights = Weights()
    found.write_text(page([knowledge_of(model, name, weights, points=60) for name, model in models.items()], weights, "Explorer"))
    return found


@pytest.fixture
def explorer(browser: Any, file: Path) -> Callable[[str], Any]:
    """The page with one of the models, in a window of a desktop."""
    resize(browser, 1400, 1000)
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(file.as_uri())

    def with_model(name: str) -> Any:
        wait_for(browser)
        browser.execute_script("choose(arguments[0])", MODELS.index(name))
        wait_for(browser)
        return browser

    return with_model


def wait_for(browser: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if browser.execute_script("return Boolean(window.explorer && explorer.ready)"):
            return
        time.sleep(0.1)
    raise AssertionError(f"the page was not ready after {seconds:.0f} s: {browser.get_log('browser')}")


def drawn(browser: Any) -> np.ndarray:
    """The image on the page, in [0, 1]."""
    pixels = np.array(browser.execute_script(READ)).reshape(28, 28, 4)
    assert (pixels[..., 0] == pixels[..., 1]).all()
    return pixels[..., 0] / 255


def slide(browser: Any, control: str, value: float) -> list[float]:
    """Move a slider, and return the code that is shown then."""
    move = "const s = document.querySelector(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('input'))"
    browser.execute_script(move, control, value)
    return browser.execute_script("return explorer.code")


def expected(model: Any, browser: Any) -> np.ndarray:
    """What PyTorch draws of the code that the page has."""
    known = browser.execute_script("return explorer.code")
    shape = browser.execute_script("return model.shape")
    with torch.no_grad():
        return model.decode(torch.tensor(known).view(1, *shape))[0, 0].numpy()


@needs_browser
@pytest.mark.parametrize("name", MODELS)
def test_the_page_draws_what_the_model_decodes(name: str, explorer: Callable[[str], Any], models: dict[str, Any]) -> None:
    browser = explorer(name)
    for point in range(5):
        browser.execute_script("moveTo(model.points[arguments[0]])", point)
        assert np.abs(drawn(browser) - expected(models[name], browser)).max() <= 2 / 255
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@needs_browser
@pytest.mark.parametrize("name", ["ae", "vqvae", "anchored"])
def test_a_drag_changes_the_picture(name: str, explorer: Callable[[str], Any], models: dict[str, Any]) -> None:
    from selenium.webdriver import ActionChains

    browser = explorer(name)
    before, canvas = drawn(browser), browser.find_element("id", "map")
    ActionChains(browser).move_to_element_with_offset(canvas, -120, 80).click_and_hold().move_by_offset(200, -150).release().perform()
    after = drawn(browser)
    assert np.abs(after - before).max() > 0.01
    assert np.abs(after - expected(models[name], browser)).max() <= 2 / 255


@needs_browser
def test_keys_and_touch_move_the_point(explorer: Callable[[str], Any]) -> None:
    browser = explorer("ae")
    canvas = browser.find_element("id", "map")
    before = browser.execute_script("return explorer.code")
    canvas.send_keys("\ue014\ue014\ue013")  # right, right, up
    moved = browser.execute_script("return explorer.code")
    assert moved != before
    box = canvas.rect
    place = {"x": box["x"] + box["width"] / 3, "y": box["y"] + box["height"] / 3}
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [place]})
    further = {"x": place["x"] + 60, "y": place["y"] + 40}
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [further]})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert browser.execute_script("return explorer.code") != moved


@needs_browser
def test_between_two_clicked_points_codes_are_interpolated(explorer: Callable[[str], Any]) -> None:
    browser = explorer("ae")
    browser.execute_script("addEnd(model.points[1]); addEnd(model.points[2])")
    first, half, last = (np.array(slide(browser, "#between", share)) for share in (0, 0.5, 1))
    assert browser.find_element("id", "between-label").is_displayed()
    np.testing.assert_allclose(half, (first + last) / 2, atol=1e-5)
    assert np.abs(last - first).max() > 0.01


@needs_browser
@pytest.mark.parametrize("name", ["ae", "anchored"])
def test_a_class_place_is_drawn_and_moves_with_noise(name: str, explorer: Callable[[str], Any], models: dict[str, Any]) -> None:
    from lit_models.sampling.class_places import class_places

    browser = explorer(name)
    browser.execute_script("document.querySelectorAll('#classes button')[3].click()")
    places, units, _ = class_places(models[name])
    np.testing.assert_allclose(browser.execute_script("return explorer.code"), places[3].detach().numpy(), atol=1e-4)
    moved = (np.array(slide(browser, "#noise", 1.5)) - places[3].detach().numpy()) / units[3].detach().numpy()
    np.testing.assert_allclose(moved, 1.5 * np.array(browser.execute_script("return Array.from(noise)")), atol=1e-3)


@needs_browser
@pytest.mark.parametrize(("steps", "guidance"), [(1, 1.0), (4, 0.0), (4, 2.5)])
def test_the_flow_of_the_page_is_that_of_the_model(
    steps: int, guidance: float, explorer: Callable[[str], Any], models: dict[str, Any]
) -> None:
    browser, model = explorer("latent_flow"), models["latent_flow"]
    noise = torch.randn(1, 16, generator=torch.Generator().manual_seed(3))
    given = "return Array.from(explorer.flow(Float32Array.from(arguments[0]), 7, arguments[1], arguments[2]))"
    found = browser.execute_script(given, noise[0].tolist(), steps, guidance)
    with torch.no_grad():
        codes = model.prior._from_noise(noise, torch.tensor([7]), guidance, steps)
    torch.testing.assert_close(torch.tensor([found]), codes, rtol=1e-2, atol=2e-2)  # weights in half precision
    for control in ("steps", "guidance"):
        before = drawn(browser)
        slide(browser, f"#{control}", 3)
        assert np.abs(drawn(browser) - before).max() > 1e-3, control


@needs_browser
def test_a_cell_gets_another_code_and_the_prior_finishes_the_rest(explorer: Callable[[str], Any], models: dict[str, Any]) -> None:
    browser, model = explorer("vqvae"), models["vqvae"]
    browser.execute_script("moveTo(model.points[7]); readGrid()")
    assert browser.execute_script("return get('prior-class').value") == "7", "the label of the image"
    before = browser.execute_script("return explorer.indices")
    browser.execute_script("document.querySelectorAll('#cells button')[5].click()")
    browser.execute_script("document.querySelector('#palette button[aria-pressed=false]').click()")
    changed = browser.execute_script("return explorer.indices")
    assert [at for at in range(16) if changed[at] != before[at]] == [5]
    with torch.no_grad():
        image = model.decode(model.lookup(torch.tensor(changed).view(1, 4, 4)))[0, 0].numpy()
    assert np.abs(drawn(browser) - image).max() <= 2 / 255
    scores = browser.execute_script("return Array.from(explorer.logits(indices)(5))")
    with torch.no_grad():
        logits = model.prior(torch.tensor([changed]), torch.tensor([7]))[0, 5]
    torch.testing.assert_close(torch.tensor(scores), logits, rtol=0, atol=5e-3)
    browser.execute_script("document.getElementById('finish').click()")
    finished = browser.execute_script("return explorer.indices")
    assert finished[:6] == changed[:6]
    assert finished[6:] != changed[6:]


@needs_browser
def test_each_number_of_the_code_has_a_slider(explorer: Callable[[str], Any]) -> None:
    browser = explorer("ae")
    assert len(browser.find_elements("css selector", "#numbers input")) == 16
    before = browser.execute_script("return explorer.code")
    after = slide(browser, "#numbers input", before[0] + 0.01)
    assert after[0] == pytest.approx(before[0] + 0.01, abs=1e-4)
    assert after[1:] == before[1:]


@needs_browser
def test_the_line_of_the_anchors_can_be_walked(explorer: Callable[[str], Any], models: dict[str, Any]) -> None:
    browser, anchors = explorer("anchored"), models["anchored"].anchors()
    np.testing.assert_allclose(slide(browser, "#walk", 4), anchors[4], atol=1e-4)
    np.testing.assert_allclose(slide(browser, "#walk", 6.5), (anchors[6] + anchors[7]) / 2, atol=1e-4)


@needs_browser
@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_and_follows_light_and_dark(width: int, scheme: str, explorer: Callable[[str], Any]) -> None:
    browser = explorer("latent_flow")
    resize(browser, width, 900)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), "nothing is cut off"
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, colour[4:-1].split(",")[:3])) > 380
    assert light == (scheme == "light")
    assert browser.execute_script(UNNAMED) == [], "every control has a name"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@needs_browser
def test_the_page_asks_no_network_for_anything(explorer: Callable[[str], Any]) -> None:
    browser = explorer("ae")
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert asked
    assert all(url.startswith(("file:", "data:", "blob:", "about:")) for url in asked), asked
