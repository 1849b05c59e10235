"""Models on a hub: a local folder, and a server that answers as one."""

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from lit_models import load


@pytest.fixture
def run(fit, tmp_path: Path) -> Path:
    assert fit("vqvae", "--trainer.max_epochs=2") == 0
    return tmp_path / "logs" / "vqvae" / "digits" / "version_0"


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as huggingface_hub asks for: repositories are made, files committed, and read."""

    files: ClassVar[dict[str, bytes]] = {}

    def _answer(self, content: bytes, **headers: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "/preupload/" in self.path:
            files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
            self._answer(json.dumps({"files": files}).encode(), Content_Type="application/json")
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    Hub.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            answer = {
                "commitUrl": f"http://{self.headers['Host']}/me/vqvae/commit/{'0' * 40}",
                "commitOid": "0" * 40,
                "pullRequestUrl": None,
            }
            self._answer(json.dumps(answer).encode(), Content_Type="application/json")
        else:
            answer = {"url": f"http://{self.headers['Host']}/me/vqvae", "name": "me/vqvae", "id": "me/vqvae", "updated": [], "valid": True}
            self._answer(json.dumps(answer).encode(), Content_Type="application/json")

    def do_GET(self) -> None:
        name = self.path.split("?")[0].rpartition("/")[2]
        if "/resolve/" in self.path and name in Hub.files:
            self._answer(Hub.files[name], ETag=f'"{len(Hub.files[name])}"', X_Repo_Commit="0" * 40)
        elif self.path.startswith("/api/"):
            answer = {
                "id": "me/vqvae",
                "sha": "0" * 40,
                "siblings": [{"rfilename": file} for file in Hub.files],
                "type": "user",
                "name": "me",
            }
            self._answer(json.dumps(answer).encode(), Content_Type="application/json")
        else:
            self.send_error(404)

    do_HEAD = do_GET

    def log_message(self, *arguments: Any) -> None: ...


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.files = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_model_is_saved_to_a_folder_and_read_from_it(run: Path, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="pip install huggingface_hub")
    assert hub
    from lit_models.checkpoints.hub import Published

    Published(run).save_pretrained(tmp_path / "saved")
    assert {"model.safetensors", "README.md"} <= {file.name for file in (tmp_path / "saved").iterdir()}
    back = Published.from_pretrained(str(tmp_path / "saved")).model
    assert torch.equal(*(each.sample(4, generator=torch.Generator().manual_seed(0)) for each in (load(run), back)))


def test_a_model_is_pushed_to_a_hub_and_comes_back(run: Path, hub: str, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="pip install huggingface_hub")
    source = f"""
import torch
from lit_models import load
from lit_models.checkpoints.hub import Published
Published({str(run)!r}).push_to_hub("me/vqvae", token="hf_none")
back = Published.from_pretrained("me/vqvae", token="hf_none").model
assert torch.equal(*(each.sample(4, generator=torch.Generator().manual_seed(0)) for each in (load({str(run)!r}), back)))
"""
    environment = os.environ | {
        "HF_ENDPOINT": hub,
        "HF_HOME": str(tmp_path / "cache"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {"model.safetensors", "README.md"} <= Hub.files.keys()
    assert re.search(r"sha256 `[0-9a-f]{64}`", Hub.files["README.md"].decode())
