"""sha256 over the weights that each shipped config has after 60 steps: `python -m benchmarks.fingerprints`.

A change that must not change any number is checked by running this before and after it. Floating-point results depend on the
processor, so `fingerprints.json` stores the fingerprints under the processor's name. On a processor that is not in the file,
`--at COMMIT --write` first records the fingerprints of an older commit.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from lit_models.checkpoints.atomic_io import read_plain_values

ROOT = Path(__file__).parent.parent
RECORD = Path(__file__).with_name("fingerprints.json")
STEPS = 60
LENGTH = ["--model.lr_steps", str(STEPS)]
PHASES = ["--model.autoencoder_steps", str(STEPS // 2), "--model.prior_steps", str(STEPS // 2)]
RUNS = {
    **{
        name: LENGTH
        for name in (
            "ae",
            "anchored",
            "classifier",
            "gan",
            "gan_conditional",
            "vae_gan",
            "pca_ae",
            "pca_vae",
            "vae",
            "vae_2d",
        )
    },
    "vae_conditional": [*LENGTH, "--model.lr", "4e-3", "--data.batch_size", "128"],  # as when they were recorded
    "vqvae": PHASES,
    "vae+binarized": LENGTH,
    "vqvae+binarized": PHASES,
    "anchored+matched": LENGTH,
    "vae_2d+no_kl": LENGTH,
    "vae_2d+no_reconstruction": LENGTH,
    "classifier+second": LENGTH,
    "classifier+clean": LENGTH,
    "classifier+clean+dense": LENGTH,
    "vae+fast": LENGTH,
    "vae+cpu": LENGTH,
    "vae+ddp": [*LENGTH, "--trainer.accelerator", "cpu"],
}
BEFORE = {"vae_gan": "gan_reconstruction"}  # what configs were called in 0.1.0


def weights_after_training(name: str, options: list[str], checkout: Path) -> dict[str, torch.Tensor]:
    """Parameters and buffers after `STEPS` steps of `lightning fit` with the code of a checkout."""
    configs = name.split("+")
    if not (checkout / "configs" / f"{configs[0]}.yaml").is_file():
        configs[0] = BEFORE[configs[0]]
    words = [word for config in configs for word in ("--config", config)]
    words += ["--data.limit", str(STEPS * 128), "--data.dataset", "mnist", "--seed_everything", "0"]
    words += ["--trainer.max_steps", str(STEPS), "--trainer.limit_val_batches", "0", "--trainer.enable_progress_bar", "false", *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(checkout)}
    if "MNIST_ROOT" in environment:
        environment["MNIST_ROOT"] = str(Path(environment["MNIST_ROOT"]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "lit_models", "fit", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
        (file,) = Path(folder).glob("logs/*/*/version_0/checkpoints/last.ckpt")
        saved = read_plain_values(file)
    assert saved["global_step"] == STEPS, (name, saved["global_step"])
    return {key: value for key, value in saved["state_dict"].items() if isinstance(value, torch.Tensor)}


def fingerprint(weights: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return f"{found.get('model name', 'unknown')}, model {found.get('model', '?')}, torch {torch.__version__}"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--at", metavar="COMMIT", help="run the code of this commit instead of the working tree")
    options.add_argument("--write", action="store_true", help="record the fingerprints instead of comparing them")
    options.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS), metavar="RUN")
    given = options.parse_args()
    record = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    known = record.setdefault(processor(), {})
    if not known and not given.write:
        print(f"no fingerprints of {processor()}: record those of an older commit first, --at COMMIT --write", file=sys.stderr)
        return 2
    differing = []
    with tempfile.TemporaryDirectory() as folder:
        checkout = ROOT
        if given.at:
            checkout = Path(folder) / "checkout"
            subprocess.run(["git", "worktree", "add", "--detach", "--quiet", str(checkout), given.at], cwd=ROOT, check=True)
        try:
            for name in given.only:
                found = fingerprint(weights_after_training(name, RUNS[name], checkout))
                if given.write:
                    known[name] = found
                    RECORD.write_text(json.dumps(record, indent=1) + "\n")
                same = known.get(name) == found
                differing += [] if same else [name]
                print(f"{name:26} {found[:16]}  {'recorded' if given.write else 'equal' if same else 'DIFFERENT'}", flush=True)
        finally:
            if given.at:
                subprocess.run(["git", "worktree", "remove", "--force", str(checkout)], cwd=ROOT, check=True)
    print(f"{len(given.only) - len(differing)} of {len(given.only)} equal on {processor()}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
