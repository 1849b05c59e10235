"""TensorBoard shows what runs have left, in an order for readers: images of every epoch, curves, what differs, the projector."""

import inspect
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import needs_browser, resize, take_picture
from conftest import LIGHTNING, mnist_root

from lit_models import VAE

EPOCHS = 12  # TensorBoard's own default keeps ten images a tag


@contextmanager
def board(folder: Path, *words: str) -> Iterator[int]:
    """`lightning board` as a process; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [LIGHTNING, "board", *words, "--port", str(port), "--load_fast", "false"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield port
    finally:
        subprocess.run(["pkill", "-TERM", "-s", str(process.pid)], check=False)
        process.wait(timeout=20)


def test_board_keeps_every_epochs_images(fit, tmp_path: Path) -> None:
    assert fit("ae", f"--trainer.max_epochs={EPOCHS}", "--data.init_args.limit=64", "--trainer.log_every_n_steps=1", figures=True) == 0
    run = "ae/digits/version_0"
    with board(tmp_path) as port:
        tags = wait_for(port, "images/tags", lambda found: run in found)
        assert {"images/reconstructions", "images/samples", "views/centroids/means", "views/neighbours", "views/latents/pca"} <= set(
            tags[run]
        )
        query = urllib.parse.urlencode({"run": run, "tag": "images/reconstructions", "sample": 0})
        images = wait_for(port, f"images/images?{query}", lambda found: len(found) >= EPOCHS)
        assert [image["step"] for image in images] == list(range(EPOCHS)), "one batch an epoch"
        picture = urllib.request.urlopen(f"http://127.0.0.1:{port}/data/plugin/images/individualImage?{images[-1]['query']}").read()
        assert picture.startswith(b"\x89PNG")
        scalars = wait_for(port, "scalars/tags", lambda found: run in found)
        assert {"train/loss", "val/loss", "val/mse"} <= set(scalars[run])
        assert {tag.split("/")[0] for tag in scalars[run]} == {"train", "val"}, "no chart of one point, none of the epoch"
        projector = wait_for(port, "projector/runs", lambda found: run in found)
        assert run in projector


DEEP_TEXT = """
const words = [];
const visit = node => {
  const word = node.nodeType === 3 && node.parentElement?.offsetParent && node.textContent.trim();
  if (word) words.push(word);
  if (["STYLE", "SCRIPT", "TEMPLATE"].includes(node.nodeName)) return;
  if (node.shadowRoot) node.shadowRoot.childNodes.forEach(visit);
  node.childNodes.forEach(visit);
};
visit(document.body);
return words;
"""


SHOWN = "SCREENSHOTS" in os.environ  # pictures for the documentation are of real trainings, which take minutes


@pytest.fixture
def sweep(fit, lightning, tmp_path: Path) -> Path:
    """Four runs of a VAE over beta and latent_dim, and measures of one."""
    for beta in (1, 4):
        for dim in (2, 16):
            words = [f"--model.beta={beta}", f"--model.latent_dim={dim}", f"--name=beta{beta}_dim{dim}"]
            if SHOWN:
                assert lightning("fit", "--config", "vae", *words, f"--data.root={mnist_root()}") == 0
            else:
                assert fit("vae", *words, "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", figures=True) == 0
    assert lightning("test", tmp_path / "logs/vae+beta4_dim2", "--samples", 2000 if SHOWN else 100) == 0
    return tmp_path


@needs_browser
def test_the_board_shows_a_sweep_in_order(sweep: Path, browser: Any) -> None:
    """Pictures and curves on the first screen, what differs in HPARAMS, and curves that can be compared in CUSTOM SCALARS."""
    resize(browser, 1400, 1100)
    with board(sweep) as port:
        wait_for(port, "images/tags", lambda found: len(found) == 4)
        wait_for(port, "scalars/tags", lambda found: len(found) == 4)
        browser.get(f"http://127.0.0.1:{port}/#timeseries")
        words = wait_in(browser, lambda words: "train" in words and "images" in words)
        known = ("images", "train", "val", "views", "best", "epoch", "test")
        groups = list(dict.fromkeys(word for word in words[words.index("Pinned") :] if word in known))
        assert groups[:2] == ["images", "train"], "pictures come first, then curves"
        assert not {"best", "epoch", "test"} & set(groups)
        assert any(word.startswith("vae+beta4_dim2") for word in words), "the legend has the names of the runs"
        take_picture(browser, "tensorboard_time_series")
        browser.get(f"http://127.0.0.1:{port}/#hparams")
        words = wait_in(browser, lambda words: "Hyperparameters" in words and "beta" in words)
        between = words[words.index("Hyperparameters") : words.index("Metrics")]
        named = [word for word in between if word in (*inspect.signature(VAE).parameters, "dataset", "batch_size", "model")]
        assert sorted(named) == ["beta", "latent_dim"], "what differs, and nothing else"
        for metric in ("val/kid_untrained", "val/final/kid"):
            assert metric in words
        take_picture(browser, "tensorboard_hparams")
        browser.get(f"http://127.0.0.1:{port}/#custom_scalars")
        words = wait_in(browser, lambda words: any("squared error of reconstructions" in word for word in words))
        assert any("KID in the untrained space" in word for word in words)
        assert SHOWN or not any("coverage (higher" in word for word in words), "the small digits have no judge: no empty chart"
        take_picture(browser, "tensorboard_custom_scalars")
        wait_for(port, "projector/runs", lambda found: len(found) == 4)  # the tab appears some seconds after the others
        browser.get(f"http://127.0.0.1:{port}/#projector")
        browser.refresh()
        browser.implicitly_wait(60)
        for _ in range(2):  # its page is a frame within a frame
            browser.switch_to.frame(browser.find_element("css selector", "iframe"))
        browser.implicitly_wait(0)
        wait_in(browser, lambda words: "Points:" in words and words[words.index("Points:") + 1].isdigit())
        browser.switch_to.default_content()
        take_picture(browser, "tensorboard_projector")


def test_hparams_has_values_of_each_run_at_the_end_of_fit(sweep: Path) -> None:
    with board(sweep) as port:
        wait_for(port, "scalars/tags", lambda found: len(found) == 4 and any("val/final/mse" in tags for tags in found.values()))
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/data/plugin/hparams/session_groups",
            json.dumps({
                "experimentName": "", "allowedStatuses": ["STATUS_SUCCESS", "STATUS_UNKNOWN"], "startIndex": 0, "sliceSize": 10,
                "colParams": [{"metric": {"tag": tag, "group": ""}} for tag in ("val/kid_untrained", "val/final/mse")],
            }).encode(),
            {"Content-Type": "application/json"},
        )  # fmt: skip
        groups = json.load(urllib.request.urlopen(request))["sessionGroups"]
    assert len(groups) == 4
    for group in groups:
        values = {value["name"]["tag"]: value["value"] for value in group["metricValues"]}
        assert values["val/kid_untrained"] > 0
    assert sum(any(value["name"]["tag"] == "val/final/mse" for value in group["metricValues"]) for group in groups) == 1, (
        "of the tested run"
    )
    assert {(group["hparams"]["beta"], group["hparams"]["latent_dim"]) for group in groups} == {(1, 2), (1, 16), (4, 2), (4, 16)}


def wait_in(browser: Any, ready: Callable[[list[str]], bool], seconds: float = 60) -> list[str]:
    """The words that a reader of the page sees, shadow roots included, once they satisfy `ready`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        words = browser.execute_script(DEEP_TEXT)
        if ready(words):
            time.sleep(2)  # pictures and curves are drawn after the words
            return browser.execute_script(DEEP_TEXT)
        time.sleep(0.5)
    raise AssertionError(f"the page was not ready after {seconds:.0f} s: {words[:200]}")


def wait_for(port: int, path: str, ready, seconds: float = 60) -> object:
    """TensorBoard's answer, once it satisfies `ready`."""
    deadline, found = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            found = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/data/plugin/{path}", timeout=5))
            if ready(found):
                return found
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            found = error
        time.sleep(0.5)
    raise AssertionError(f"{path} was not ready after {seconds:.0f} s; last answer: {found}")
