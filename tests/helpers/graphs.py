"""ONNX graphs with the signatures of published colorization networks, and with colours that are known."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Sides = Sequence[int | str]


class Graph:
    """A graph that is built step by step.

    Args:
        shape: of its first input.
        name: of its first input.
        kind: of its numbers.
    """

    def __init__(self, shape: Sides, name: str = "input", kind: int = TensorProto.FLOAT) -> None:
        self.kind = kind
        self.inputs = [helper.make_tensor_value_info(name, kind, shape)]
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.last = name

    def further(self, name: str, shape: Sides) -> "Graph":
        """One more input."""
        self.inputs.append(helper.make_tensor_value_info(name, self.kind, shape))
        return self

    def constant(self, value: object) -> str:
        """A weight."""
        name = f"weight{len(self.weights)}"
        kind = helper.tensor_dtype_to_np_dtype(self.kind)
        self.weights.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def then(self, op: str, *further: str, **attributes: Any) -> "Graph":
        """One more operation, on the last result."""
        name = f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.last, *further], [name], **attributes))
        self.last = name
        return self

    def mix(self, weight: object, bias: object) -> "Graph":
        """A convolution with a kernel of 1 x 1."""
        kernel = np.asarray(weight, np.float32)
        return self.then("Conv", self.constant(kernel[..., None, None]), self.constant(bias))

    def model(self, shape: Sides, name: str = "output") -> onnx.ModelProto:
        """The graph, with the last result as its output."""
        self.nodes[-1].output[0] = name
        output = helper.make_tensor_value_info(name, self.kind, shape)
        graph = helper.make_graph(self.nodes, "test", self.inputs, [output], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    def save(self, path: Path, shape: Sides, name: str = "output") -> Path:
        """Writes the graph."""
        onnx.save(self.model(shape, name), path)
        return path


def ddcolor(path: Path, side: int | str = 64) -> Path:
    """Gray RGB in 0..1 to ab: a = 40 R - 20, b = 30 G - 10."""
    graph = Graph([1, 3, side, side]).mix([[40, 0, 0], [0, 30, 0]], [-20, -10])
    return graph.save(path, [1, 2, side, side])


def siggraph17(path: Path, side: int | str = 64, hints: bool = False) -> Path:
    """L in 0..100 to ab, by tanh * 110 as in the network; with hints, these are added."""
    graph = Graph([1, 1, side, side], "L")
    graph.mix([[0.004], [-0.002]], [-0.1, 0.2]).then("Tanh").then("Mul", graph.constant(110.0))
    if hints:
        graph.further("hints", [1, 2, side, side]).further("mask", [1, 1, side, side])
        graph.then("Add", "hints").then("Add", "mask")
    return graph.save(path, [1, 2, side, side])


def eccv16(path: Path, side: int = 64) -> Path:
    """L in 0..100 to ab by a softmax over three bins and their mean, at a quarter of the size, four times larger."""
    graph = Graph([1, 1, side, side])
    graph.then("AveragePool", kernel_shape=[4, 4], strides=[4, 4])
    graph.mix([[0.02], [0.0], [-0.03]], [0.0, 0.5, 1.0]).then("Softmax", axis=1)
    graph.mix([[0.3, -0.1, 0.2], [-0.2, 0.4, 0.1]], [0.0, 0.0]).then("Mul", graph.constant(110.0))
    scales = numpy_helper.from_array(np.array([1, 1, 4, 4], np.float32), "scales")
    graph.weights.append(scales)
    graph.then("Resize", "", "scales", mode="linear")
    return graph.save(path, [1, 2, side, side])


def deoldify(path: Path, side: int | str = 64) -> Path:
    """Gray RGB in 0..255 to warmer RGB in 0..255."""
    graph = Graph([1, 3, side, side]).mix([[1, 0, 0], [0, 0.8, 0], [0, 0, 0.5]], [10, 5, 0])
    return graph.save(path, [1, 3, side, side], "out")


def generic(path: Path) -> Path:
    """L in 0..100 to ab, of any size and number of pictures: a = L / 4, b = 20 - L / 5."""
    graph = Graph(["batch", 1, "height", "width"], "lightness").mix([[0.25], [-0.2]], [0, 20])
    return graph.save(path, ["batch", 2, "height", "width"], "ab")


SIGNATURES: dict[str, Callable[[Path], Path]] = {
    "ddcolor": ddcolor,
    "siggraph17": siggraph17,
    "eccv16": eccv16,
    "deoldify": deoldify,
    "generic": generic,
}
