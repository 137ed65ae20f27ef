"""ONNX files from strangers: what is refused before onnxruntime sees it."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from colorization import Colorizer
from colorization.errors import CheckpointError
from colorization.weights import onnx_files
from colorization.weights.onnx_files import check_onnx
from colorization.weights.safe_load import UnreadableError
from tests.helpers import graphs
from tests.helpers.photos import make_photo


def external(location: str, name: str = "weight0") -> onnx.TensorProto:
    """A weight that lies in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2, 1, 1, 1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def with_weights_in(path: Path, location: str) -> Path:
    """A graph whose first weight lies in another file."""
    model = onnx.load(graphs.siggraph17(path))
    model.graph.initializer[0].CopyFrom(external(location, model.graph.initializer[0].name))
    path.write_bytes(model.SerializeToString())
    return path


def test_a_file_s_own_sha256(tmp_path: Path) -> None:
    path = graphs.ddcolor(tmp_path / "model.onnx")
    assert check_onnx(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_beside_a_graph_are_used_and_counted(tmp_path: Path) -> None:
    path = with_weights_in(tmp_path / "model.onnx", "weights.bin")
    with pytest.raises(UnreadableError, match=r"needs the file weights\.bin beside it"):
        check_onnx(path)
    (tmp_path / "weights.bin").write_bytes(np.array([0.004, -0.002], np.float32).tobytes())
    plain = Colorizer.from_onnx(graphs.siggraph17(tmp_path / "plain.onnx"), "siggraph17", device="cpu")
    beside = Colorizer.from_onnx(path, "siggraph17", device="cpu")
    assert np.array_equal(np.asarray(plain(make_photo())), np.asarray(beside(make_photo())))
    before = check_onnx(path)
    (tmp_path / "weights.bin").write_bytes(np.array([0.004, 0.002], np.float32).tobytes())
    assert check_onnx(path) != before


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "sub/weights", "..", "a\\b", "", "a\0b"])
def test_weights_elsewhere_are_refused(location: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(8))
    (tmp_path / "in").mkdir()
    path = with_weights_in(tmp_path / "in" / "model.onnx", location)
    with pytest.raises(CheckpointError, match=r"model\.onnx is refused: it names a file outside of its folder"):
        Colorizer.from_onnx(path, "siggraph17", device="cpu")


def test_a_link_to_weights_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(bytes(8))
    (tmp_path / "in" / "weights").symlink_to(tmp_path / "secret")
    with pytest.raises(UnreadableError, match="needs the file weights beside it"):
        check_onnx(with_weights_in(tmp_path / "in" / "model.onnx", "weights"))


def _in_an_attribute(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["more"], value=external("/etc/passwd")))


def _in_a_branch(model: onnx.ModelProto) -> None:
    branch = helper.make_graph([], "branch", [], [], [external("../passwd")])
    model.graph.node.append(helper.make_node("If", ["flag"], ["more"], then_branch=branch, else_branch=branch))


def _in_a_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["more"], value=external("/etc/passwd"))
    model.functions.append(helper.make_function("mine", "F", [], ["more"], [node], [helper.make_opsetid("", 18)]))


def _sparse(model: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "values")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "indices")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2**40]))


def _training(model: onnx.ModelProto) -> None:
    model.training_info.add()


def _compiled(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("EPContext", [], ["more"], domain="com.microsoft", ep_cache_context="x"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_in_an_attribute, "names a file outside of its folder"),
        (_in_a_branch, "names a file outside of its folder"),
        (_in_a_function, "names a file outside of its folder"),
        (_sparse, "has sparse weights"),
        (_training, "holds graphs for training"),
        (_compiled, "holds compiled code of a device"),
    ],
)
def test_what_a_trained_network_has_no_use_for(
    change: Callable[[onnx.ModelProto], None], message: str, tmp_path: Path
) -> None:
    path = graphs.siggraph17(tmp_path / "model.onnx")
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnreadableError, match=f"is refused: it {message}"):
        check_onnx(path)


def test_other_files_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = graphs.siggraph17(tmp_path / "good.onnx").read_bytes()
    for name, content in (("empty", b""), ("text", b"not a graph"), ("cut", good[: len(good) // 2])):
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"{name}\.onnx is corrupt, or not an ONNX file"):
            Colorizer.from_onnx(tmp_path / f"{name}.onnx", "siggraph17", device="cpu")
    (tmp_path / "folder.onnx").mkdir()
    os.mkfifo(tmp_path / "pipe.onnx")
    for name, message in (("missing", "No such file"), ("folder", "is a folder"), ("pipe", "a pipe or a device")):
        with pytest.raises(CheckpointError, match=rf"{name}\.onnx can't be read: .*{message}"):
            Colorizer.from_onnx(tmp_path / f"{name}.onnx", "siggraph17", device="cpu")
    monkeypatch.setattr(onnx_files, "MOST_BYTES", len(good) - 1)
    with pytest.raises(UnreadableError, match="is refused: it has more than"):
        check_onnx(tmp_path / "good.onnx")


def test_what_onnxruntime_refuses_is_one_sentence(tmp_path: Path) -> None:
    path = graphs.Graph([1, 1, 64, 64]).then("NoSuchOperation").save(tmp_path / "model.onnx", [1, 2, 64, 64])
    with pytest.raises(CheckpointError, match=r"model\.onnx is refused by onnxruntime: .*NoSuchOperation"):
        Colorizer.from_onnx(path, "siggraph17", device="cpu")


def test_what_fails_while_it_runs_is_one_sentence(tmp_path: Path) -> None:
    graph = graphs.Graph(["n", 1, "h", "w"])
    graph.weights.append(numpy_helper.from_array(np.array([1, 2, 7, 7]), "shape"))
    path = graph.then("Reshape", "shape").save(tmp_path / "model.onnx", ["n", 2, "h", "w"])
    with pytest.raises(CheckpointError, match=r"model\.onnx fails in onnxruntime: "):
        Colorizer.from_onnx(path, "siggraph17", device="cpu")(make_photo())
