"""TensorBoard shows what a run has left: every epoch's images, the scalars, the projector."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

EPOCHS = 12  # TensorBoard's own default keeps ten images a tag


def test_board_keeps_every_epochs_images(fit, tmp_path: Path) -> None:
    assert fit("ae", f"--trainer.max_epochs={EPOCHS}", "--data.init_args.limit=64", "--trainer.log_every_n_steps=1", figures=True) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    board = subprocess.Popen(
        [Path(sys.executable).parent / "lightning", "board", "--port", str(port), "--load_fast", "false"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    run = "ae/digits/version_0"
    try:
        tags = wait_for(port, "images/tags", lambda found: run in found)
        assert {"reconstructions", "samples/grid", "centroids/means", "centroids/noise", "neighbours", "latents/pca"} <= set(tags[run])
        query = urllib.parse.urlencode({"run": run, "tag": "reconstructions", "sample": 0})
        images = wait_for(port, f"images/images?{query}", lambda found: len(found) >= EPOCHS)
        assert [image["step"] for image in images] == list(range(EPOCHS)), "one batch an epoch"
        picture = urllib.request.urlopen(f"http://127.0.0.1:{port}/data/plugin/images/individualImage?{images[-1]['query']}").read()
        assert picture.startswith(b"\x89PNG")
        scalars = wait_for(port, "scalars/tags", lambda found: run in found)
        assert {"train/loss", "val/loss", "val/mse", "best/val/loss"} <= set(scalars[run])
        projector = wait_for(port, "projector/runs", lambda found: run in found)
        assert run in projector
    finally:
        subprocess.run(["pkill", "-TERM", "-s", str(board.pid)], check=False)
        board.wait(timeout=20)


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
