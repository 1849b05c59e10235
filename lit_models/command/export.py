"""`lightning export`: a trained model for other programs, as networks (ONNX, torch.export) or as weights (safetensors)."""

from pathlib import Path
from typing import Any

from lit_models.command.arguments import check_output, run_parser
from lit_models.command.errors import UserError, explained
from lit_models.command.run_folders import checkpoint_of

NEEDED = {".onnx": ("onnx", "onnxscript"), ".safetensors": ("safetensors",), ".pt2": ()}


def run(command: str, arguments: list[str]) -> int:
    options = run_parser("export", "Write a trained model for other programs.")
    options.add_argument(
        "--output", type=Path, required=True, metavar="FILE",
        help="model.onnx or model.pt2: a file per function, such as model.decode.onnx; model.safetensors: weights, and model.md about them",
    )  # fmt: skip
    options.add_argument("--half", action="store_true", help="weights in half precision (.safetensors)")
    given = options.parse_args(arguments)
    checkpoint = checkpoint_of(given.run)
    check_output(given.output, tuple(NEEDED))
    if given.half and given.output.suffix != ".safetensors":
        raise UserError("--half expected --output model.safetensors", f"got {given.output}", "leave --half out")
    check_installed(given.output.suffix)
    from lit_models.command.opened_run import OpenedRun
    from lit_models.command.silence import silence

    silence()
    with explained():
        opened = OpenedRun(checkpoint, given.imports)
        if given.output.suffix == ".safetensors":
            _write_weights(opened, given.output, given.half)
        else:
            _write_graphs(opened, given.output)
    return 0


def check_installed(suffix: str) -> None:
    """The packages that a format needs are an extra."""
    from importlib.util import find_spec

    missing = [name for name in NEEDED[suffix] if find_spec(name) is None]
    if missing:
        raise UserError(
            f"--output {suffix} expected {', '.join(missing)} to be installed", "got none", "pip install 'lit-generative[export]'"
        )


def _write_weights(opened: Any, output: Path, half: bool) -> None:
    from lit_models.checkpoints.model_card import model_card
    from lit_models.checkpoints.weights_file import write_weights

    write_weights(opened.saved, output, half)
    card = output.with_suffix(".md")
    card.write_text(model_card(opened.saved, opened.checkpoint, output))
    print(f"{output}: weights of {type(opened.model).__name__}, trained on {opened.dataset_name}, {output.stat().st_size / 1e6:.1f} MB")
    print(f"{card}: what they are")


def _write_graphs(opened: Any, output: Path) -> None:
    """One file per graph."""
    from lit_models.nn.export import write_graph
    from lit_models.nn.graphs import graphs_of

    for name, graph in graphs_of(opened.model).items():
        file = output.with_name(f"{output.stem}.{name}{output.suffix}")
        write_graph(graph, name, file)
        inputs = ", ".join(f"{each} ({', '.join(['B', *map(str, example.shape[1:])])})" for each, example in graph.inputs.items())
        print(f"{file}: {name} of {inputs}", flush=True)
