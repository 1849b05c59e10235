"""Graphs of a model in a form that the page runs: ONNX nodes as JSON, and weights in half precision."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lit_models.nn.export import write_graph
from lit_models.nn.graphs import GraphOf

SMALL = 16  # numbers: scalars and the like stay as they are


@dataclass
class Weights:
    """Arrays one after the other, in half precision. An array that is there already, as one that two models share, is not stored again."""

    parts: list[np.ndarray] = field(default_factory=list)
    places: dict[bytes, int] = field(default_factory=dict)
    length: int = 0

    def add(self, array: np.ndarray) -> int:
        """The place where an array begins; it is appended if it is new.

        Raises:
            ValueError: If a number is too large for half precision.
        """
        if np.abs(array).max(initial=0) > np.finfo(np.float16).max:
            raise ValueError(f"expected weights below 65504 for half precision\ngot {np.abs(array).max():.3g}")
        half = array.astype(np.float16).ravel()
        known = hashlib.sha256(half.tobytes()).digest()
        if known not in self.places:
            self.places[known] = self.length
            self.parts.append(half)
            self.length += half.size
        return self.places[known]

    def tobytes(self) -> bytes:
        return np.concatenate(self.parts).tobytes() if self.parts else b""


def graph_json(graph: GraphOf, name: str, weights: Weights) -> dict[str, Any]:
    """Inputs, output and nodes of a graph. Large arrays of floats are added to `weights`; all else stands in the result."""
    import onnx
    from onnx import numpy_helper

    with TemporaryDirectory() as folder:
        file = Path(folder) / "graph.onnx"
        write_graph(graph, name, file)
        found = onnx.load(str(file)).graph
    constants = {}
    for each in found.initializer:
        array = numpy_helper.to_array(each)
        if array.dtype.kind == "f" and array.size <= SMALL:
            constants[each.name] = {"dims": list(array.shape), "floats": array.ravel().astype(float).tolist()}
        elif array.dtype.kind == "f":
            constants[each.name] = {"dims": list(array.shape), "at": weights.add(array)}
        else:  # the largest integers mean "to the end"
            constants[each.name] = {"dims": list(array.shape), "values": np.clip(array, -(2**31), 2**31 - 1).ravel().tolist()}
    nodes = []
    for node in found.node:
        attributes = {each.name: plain(onnx.helper.get_attribute_value(each)) for each in node.attribute}
        nodes.append([node.op_type, list(node.input), list(node.output), attributes])
    return {"inputs": [each.name for each in found.input], "output": found.output[0].name, "nodes": nodes, "constants": constants}


def plain(value: Any) -> Any:
    """An attribute as JSON has it."""
    if isinstance(value, bytes):
        return value.decode()
    return list(value) if isinstance(value, list | tuple) else value
