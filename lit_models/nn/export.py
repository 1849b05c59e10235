"""Graphs as files of other programs: ONNX, and torch.export's own format."""

import contextlib
import io
import logging
import warnings
from pathlib import Path

import torch

from lit_models.checkpoints.files import replacing
from lit_models.nn.graphs import GraphOf


def write_graph(graph: GraphOf, name: str, file: Path) -> None:
    """Write a graph with a batch of any size, to a file ending in `.onnx` or `.pt2`. The output has the name of the graph.

    Raises:
        ValueError: For another ending.
    """
    if file.suffix not in (".onnx", ".pt2"):
        raise ValueError(f"expected a file ending in .onnx or .pt2\ngot {file}")
    inputs = tuple(graph.inputs.values())
    batch = torch.export.Dim("batch")
    shapes = (tuple({0: batch} for _ in inputs),)
    with _quiet(), torch.no_grad(), replacing(file) as part:
        if file.suffix == ".pt2":
            with part.open("wb") as stream:
                torch.export.save(torch.export.export(graph.network, inputs, dynamic_shapes=shapes), stream)
            return
        torch.onnx.export(
            graph.network, inputs, str(part), input_names=list(graph.inputs), output_names=[name], dynamic_shapes=shapes, dynamo=True,
            external_data=False, verbose=False,
        )  # fmt: skip


@contextlib.contextmanager
def _quiet():  # type: ignore[no-untyped-def]
    """The exporter speaks of each of its passes."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
