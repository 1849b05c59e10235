"""A page about exported weights: what they are, what they reach, how to use them."""

import hashlib
from pathlib import Path
from typing import Any

from lit_models.checkpoints.run_list import run_in
from lit_models.checkpoints.runs import run_of

MEASURES = ("val/coverage", "val/kid", "val/kid_untrained", "val/recognisable", "val/control", "val/mse", "val/loss")


def model_card(saved: dict[str, Any], checkpoint: Path, weights: Path, pretrained: bool = False) -> str:
    """The page in Markdown, with the front matter that model hubs read.

    Args:
        saved: The content of the checkpoint.
        weights: The file that was written.
        pretrained: Whether the file travels with the package.
    """
    run, arguments = saved.get("run", {}), saved.get("hyper_parameters", {})
    folder = run_of(checkpoint)
    found = run_in(folder) if folder is not None else None
    name = str(run.get("model", "model")).rpartition(".")[2]
    recipe = f" as the run {found.config}" if found else ""
    named, asked = (f"pretrained/{weights.stem}", f"{weights.stem} --pretrained") if pretrained else (weights.name, weights.name)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    parts = [
        "---\nlibrary_name: lit-generative\npipeline_tag: unconditional-image-generation\n---",
        f"# {name} on {run.get('dataset', 'unknown data')}",
        f"Trained by Lit-Generative{recipe}, {saved.get('global_step')} steps. The file `{weights.name}` has "
        f"{weights.stat().st_size:,} bytes and the sha256 `{digest}`.",
        f'```python\nfrom lit_models import load\n\nmodel = load("{named}")\nimages = model.sample(16)  # in [0, 1]\n```',
        f"    lightning sample {asked} --output samples.png",
        table("argument", arguments),
    ]
    measures = {measure: f"{found.curves[measure]:.4g}" for measure in MEASURES if measure in found.curves} if found else {}
    if measures:
        parts += ["Measures of the last epoch, of at most 1,000 samples next to as many validation images:", table("measure", measures)]
    return "\n\n".join(parts) + "\n"


def table(title: str, values: dict[str, Any]) -> str:
    """A Markdown table of two columns."""
    return "\n".join([f"| {title} | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in values.items())])
