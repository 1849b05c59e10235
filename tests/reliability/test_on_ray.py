"""A study on a real Ray cluster ends, and with the numbers of a single process, also if a machine is lost in the middle of a training."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

TIMES = {"seconds", "sample_seconds", "machine"}
SMALL = ["--model.channels=16"]
PLAN = {
    "dataset": "digits", "samples": 100, "samples_at_images": 100, "at_images": [500], "decided": False, "temperatures_of_curve": [1.0],
    "systems": {
        "ae": {"title": "AE", "config": ["ae", "fast"], "options": SMALL, "sampler": "gmm"},
        "broken": {"title": "broken", "config": ["ae", "fast"], "options": ["--model.latent_dim=-1"]},
    },
}  # fmt: skip


def wait_for(what: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread per process, as a task on Ray has; a token, as a cluster needs that more than one user can reach."""
    settings = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def cluster(environment: None) -> Iterator[str]:
    """The address of a head without cores, and two machines of one core each; each has a session of processes of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = []

    def start(*words: str) -> None:
        ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats"]
        started.append(
            subprocess.Popen([*ray, *words], start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
        lines = iter(started[-1].stdout.readline, "")
        output = []
        assert any(output.append(line) or "Ray runtime started" in line for line in lines), "".join(output)

    try:
        start("--head", f"--port={address.split(':')[1]}", "--num-cpus=0", "--include-dashboard=false")
        for _ in range(2):
            start(f"--address={address}", "--num-cpus=1")
        yield address
    finally:
        for process in started:
            kill_session(process.pid)


def kill_session(session: int) -> None:
    """Kill all processes of a session: what the loss of a machine is."""
    for pid in processes():
        try:
            if os.getsid(pid) == session:
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def processes() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def trainings() -> list[int]:
    """Processes that train a system of a study on Ray and have a checkpoint."""
    found = []
    for pid in processes():
        try:
            words, folder = Path(f"/proc/{pid}/cmdline").read_text().split("\0"), Path(f"/proc/{pid}/cwd").resolve()
        except OSError:
            continue
        if words[1:4] == ["-m", "lit_models", "fit"] and "/study_" in str(folder) and list(folder.glob("logs/*/*/*/checkpoints/last.ckpt")):
            found.append(pid)
    return found


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key not in TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def weights(study: Path) -> dict[str, torch.Tensor]:
    (file,) = study.glob("runs/ae/seed_0/logs/*/*/version_0/checkpoints/last.ckpt")
    state = torch.load(file, weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


@pytest.mark.reliability
def test_a_study_on_ray_that_loses_a_machine_has_the_numbers_of_a_single_process(cluster: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(PLAN))
    command = [str(Path(sys.executable).with_name("lightning")), "study", "--config", "plan.yaml"]
    on_ray = [*command, "--on", "ray", "--address", cluster, "--output", "many"]
    study = subprocess.Popen(on_ray, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    killed = os.getsid(wait_for(trainings)[0])
    kill_session(killed)
    output = study.communicate(timeout=300)[0]
    assert study.returncode == 1, output  # one system is broken
    assert "failed: " in output
    assert "ae, seed 0: trained in" in output

    shutil.copytree(tmp_path / "many" / "speed", tmp_path / "one" / "speed")
    alone = subprocess.run([*command, "--output", "one"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert alone.returncode == 1, alone.stderr
    one, many = (tmp_path / study / "measures" / "ae_seed_0.json" for study in ("one", "many"))
    assert without_times(json.loads(many.read_text())) == without_times(json.loads(one.read_text()))
    expected, found = (weights(tmp_path / study) for study in ("one", "many"))
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    errors = [(tmp_path / study / "runs" / "broken" / "seed_0" / "error.txt").read_text() for study in ("one", "many")]
    assert errors[0] == errors[1]
    rows = [without_times(json.loads((tmp_path / study / "results.json").read_text())["rows"]) for study in ("one", "many")]
    assert rows[0] == rows[1]
    pictures = [sorted(file.name for file in (tmp_path / study / "pictures").iterdir()) for study in ("one", "many")]
    assert pictures[0] == pictures[1]
