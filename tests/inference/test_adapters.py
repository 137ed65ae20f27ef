"""Adapters: what a graph is fed with and what its output means, against a few lines of NumPy and scikit-image."""

import io
import itertools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from skimage.color import lab2rgb, rgb2lab

from colorization import Colorizer
from colorization.errors import CheckpointError, ConfigError
from colorization.inference.adapters import Adapter, find_adapter, shipped_adapters
from colorization.inference.onnx_network import OnnxNetwork
from colorization.inference.provenance import network_hash
from tests.helpers import graphs
from tests.helpers.graphs import SIGNATURES, Graph
from tests.helpers.photos import make_photo
from tests.helpers.tiny import write_tiny

Array = NDArray[Any]
_SIDE = 64
# Smooth, from black to white.
L = np.linspace(0, 100, _SIDE * _SIDE).reshape(_SIDE, _SIDE)
BINS = np.array([[60.0, 10.0], [-40.0, 30.0], [5.0, -70.0]])


def gray_of(lightness: Array) -> Array:
    """SRGB in 0..1 of grays, (H, W)."""
    rgb: Array = lab2rgb(np.stack([lightness, 0 * lightness, 0 * lightness], axis=-1))
    return rgb[..., 0]


def ab_of(rgb: Array) -> Array:
    """Ab of RGB (3, H, W) in 0..1: (2, H, W)."""
    lab: Array = rgb2lab(np.moveaxis(rgb, 0, -1))
    return np.moveaxis(lab[..., 1:], -1, 0)


def softmax(logits: Array) -> Array:
    shares: Array = np.exp(logits - logits.max(axis=0))
    return shares / shares.sum(axis=0)


def four_times_larger(values: Array) -> Array:
    """Linear interpolation between the centres of blocks of 4 x 4 pixels, in both directions."""
    for axis in (1, 2):
        count = values.shape[axis]
        places = np.clip((np.arange(4 * count) + 0.5) / 4 - 0.5, 0, count - 1)
        values = np.apply_along_axis(lambda row, at=places, n=count: np.interp(at, np.arange(n), row), axis, values)
    return values


def blocks(values: Array) -> Array:
    """The means of blocks of 4 x 4 pixels."""
    side = _SIDE // 4
    means: Array = values.reshape(side, 4, side, 4).mean(axis=(1, 3))
    return means


def expected_eccv16() -> Array:
    small = blocks(L)
    shares = softmax(np.stack([0.02 * small, 0 * small + 0.5, -0.03 * small + 1]))
    return four_times_larger(110 * np.tensordot([[0.3, -0.1, 0.2], [-0.2, 0.4, 0.1]], shares, 1))


def expected_deoldify() -> Array:
    gray = 255 * gray_of(L)
    return ab_of(np.clip(np.stack([gray + 10, 0.8 * gray + 5, 0.5 * gray]), 0, 255) / 255)


EXPECTED: dict[str, Callable[[], Array]] = {
    "ddcolor": lambda: np.stack([40 * gray_of(L) - 20, 30 * gray_of(L) - 10]),
    "siggraph17": lambda: 110 * np.tanh(np.stack([0.004 * L - 0.1, -0.002 * L + 0.2])),
    "eccv16": expected_eccv16,
    "deoldify": expected_deoldify,
    "generic": lambda: np.stack([L / 4, 20 - L / 5]),
}


def seen(network: OnnxNetwork, lightness: Array = L) -> Array:
    """What a network gives for one lightness, (2, H, W)."""
    ab: Array = network(torch.from_numpy(lightness).float()[None, None])[0].numpy()
    return ab


@pytest.mark.parametrize("name", SIGNATURES)
def test_each_adapter_s_arithmetic(name: str, tmp_path: Path) -> None:
    network = OnnxNetwork(SIGNATURES[name](tmp_path / "model.onnx"), find_adapter(name))
    np.testing.assert_allclose(seen(network), EXPECTED[name](), atol=0.02)


def test_every_adapter_has_its_signature_here() -> None:
    assert set(shipped_adapters()) == set(SIGNATURES) == set(EXPECTED)


@pytest.mark.parametrize("gives", ["logits", "probabilities"])
def test_bins_with_a_table_and_a_temperature(gives: str, tmp_path: Path) -> None:
    np.save(tmp_path / "bins.npy", BINS)
    graph = Graph([1, 1, _SIDE, _SIDE]).then("AveragePool", kernel_shape=[4, 4], strides=[4, 4])
    graph.mix([[0.02], [0.0], [-0.03]], [0.0, 0.5, 1.0])
    if gives == "probabilities":
        graph.then("Softmax", axis=1)
    path = graph.save(tmp_path / "model.onnx", [1, 3, _SIDE // 4, _SIDE // 4])
    adapter = Adapter("lightness", gives, bins=str(tmp_path / "bins.npy"), temperature=0.5)  # type: ignore[arg-type]
    network = OnnxNetwork(path, adapter)
    small = blocks(L)
    logits = np.stack([0.02 * small, 0 * small + 0.5, -0.03 * small + 1])
    for temperature in (0.5, 2.0):
        network.temperature = temperature
        expected = four_times_larger(np.tensordot(BINS.T, softmax(logits / temperature), 1))
        np.testing.assert_allclose(seen(network), expected, atol=0.02)
    with pytest.raises(ConfigError, match="temperature=0 is out of range"):
        network.temperature = 0


def test_normalization_goes_both_ways(tmp_path: Path) -> None:
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    graph = Graph([1, 3, _SIDE, _SIDE]).mix(np.eye(3), [0.5, 0.0, -0.5])
    adapter = Adapter("gray_rgb", "rgb", mean=mean.tolist(), std=std.tolist())
    network = OnnxNetwork(graph.save(tmp_path / "raw.onnx", [1, 3, _SIDE, _SIDE]), adapter)
    seen_by_graph = (gray_of(L) - mean[:, None, None]) / std[:, None, None]
    given = seen_by_graph + np.array([0.5, 0.0, -0.5])[:, None, None]
    rgb = np.clip(given * std[:, None, None] + mean[:, None, None], 0, 1)
    np.testing.assert_allclose(seen(network), ab_of(rgb), atol=0.02)


def test_axes_in_another_order_and_scaled_ab(tmp_path: Path) -> None:
    graph = Graph(["n", "h", "w", 1]).then("Transpose", perm=[0, 3, 1, 2]).mix([[1.0], [-0.5]], [0.0, 0.25])
    path = graph.then("Transpose", perm=[0, 2, 3, 1]).save(tmp_path / "last.onnx", ["n", "h", "w", 2])
    network = OnnxNetwork(path, Adapter("gray", "ab", ab_scale=110, layout="nhwc", mean=0.5, std=0.5))
    value = (gray_of(L) - 0.5) / 0.5
    np.testing.assert_allclose(seen(network), 110 * np.stack([value, 0.25 - 0.5 * value]), atol=0.02)


def test_half_precision(tmp_path: Path) -> None:
    graph = Graph([1, 1, _SIDE, _SIDE], kind=TensorProto.FLOAT16)
    graph.then("Mul", graph.constant(np.array([0.25, -0.125]).reshape(1, 2, 1, 1)))
    network = OnnxNetwork(graph.save(tmp_path / "half.onnx", [1, 2, _SIDE, _SIDE]), find_adapter("siggraph17"))
    np.testing.assert_allclose(seen(network), np.stack([L / 4, -L / 8]), atol=0.05)


def test_no_hints_means_zeros(tmp_path: Path) -> None:
    adapter = find_adapter("siggraph17")
    plain = OnnxNetwork(graphs.siggraph17(tmp_path / "plain.onnx"), adapter)
    asking = OnnxNetwork(graphs.siggraph17(tmp_path / "asking.onnx", hints=True), adapter)
    assert np.array_equal(seen(plain), seen(asking))
    with pytest.raises(CheckpointError, match=r"takes L float 1 x 1 x 64 x 64, hints .*; adapter=siggraph17 fits"):
        OnnxNetwork(tmp_path / "asking.onnx", find_adapter("eccv16"))


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_batch_is_as_its_pictures(at_once: int, tmp_path: Path) -> None:
    graph = Graph([at_once, 1, _SIDE, _SIDE]).mix([[0.25], [-0.2]], [0, 20])
    network = OnnxNetwork(graph.save(tmp_path / "model.onnx", [at_once, 2, _SIDE, _SIDE]), find_adapter("eccv16"))
    lightness = 100 * torch.rand(3, 1, _SIDE, _SIDE)
    together = network(lightness)
    assert together.shape == (3, 2, _SIDE, _SIDE)
    for index in range(3):
        assert torch.equal(together[index : index + 1], network(lightness[index : index + 1]))


def test_what_size_a_graph_sees(tmp_path: Path) -> None:
    fixed = OnnxNetwork(graphs.ddcolor(tmp_path / "fixed.onnx"), find_adapter("ddcolor"))
    assert fixed.size == 64
    assert fixed.seen_size(100, 300, 64) == (64, 64)
    free = OnnxNetwork(graphs.ddcolor(tmp_path / "free.onnx", "side"), find_adapter("ddcolor"))
    assert free.size == 512
    assert free.seen_size(100, 300, 300) == (320, 320)  # a multiple of 32
    inside = OnnxNetwork(graphs.siggraph17(tmp_path / "keep.onnx"), Adapter("lightness", "ab", fit="keep"))
    assert inside.seen_size(100, 300, 64) == (21, 64)
    part = L[:21]
    np.testing.assert_allclose(seen(inside, part), EXPECTED["siggraph17"]()[:, :21], atol=0.02)
    anything = OnnxNetwork(graphs.generic(tmp_path / "any.onnx"), Adapter("lightness", "ab", multiple=8, size=32))
    assert anything.seen_size(20, 80, 64) == (32, 128)
    assert seen(anything, L[:13, :9]).shape == (2, 13, 9)


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_wrong_adapter_is_refused(name: str, tmp_path: Path) -> None:
    path = SIGNATURES[name](tmp_path / "model.onnx")
    wrong = {"ddcolor": "deoldify", "deoldify": "ddcolor"}.get(name, "ddcolor")
    with pytest.raises(CheckpointError) as refused:
        Colorizer.from_onnx(path, wrong, device="cpu")
    assert "does not fit the adapter, which feeds a gray picture as RGB (3 channels)" in str(refused.value)
    first = {"siggraph17": "L", "generic": "lightness"}.get(name, "input")
    assert f"the graph takes {first} float " in str(refused.value)
    assert name in str(refused.value).rpartition("; adapter=")[2]
    assert "\n" not in str(refused.value)


def test_a_graph_that_hides_its_channels_is_found_out(tmp_path: Path) -> None:
    path = Graph(["n", "c", "h", "w"]).then("Identity").save(tmp_path / "model.onnx", ["n", "c", "h", "w"])
    with pytest.raises(CheckpointError, match=r"expects ab \(2 channels\), nchw: the graph gives 1 x 3 x 512 x 512"):
        Colorizer.from_onnx(path, "ddcolor", device="cpu")(make_photo())


def test_an_adapter_has_to_be_named(tmp_path: Path) -> None:
    path = graphs.deoldify(tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match=r"adapter is missing: .* gives out float 1 x 3 x 64 x 64; give adapter=deol"):
        Colorizer.from_onnx(path)
    with pytest.raises(ConfigError, match=r"adapter=dcolor does not exist; did you mean ddcolor\?"):
        Colorizer.from_onnx(path, "dcolor")
    with pytest.raises(ConfigError, match=r"adapter has no effect on .*tiny\.ckpt"):
        Colorizer.from_checkpoint(write_tiny(tmp_path / "tiny.ckpt"), adapter="ddcolor")
    with pytest.raises(ConfigError, match=r"resolution=256 has no effect: .* takes 64 x 64 pixels"):
        Colorizer.from_onnx(path, "deoldify", resolution=256, device="cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"std": 0.0}, r"adapter\.std=0 is out of range"),
        ({"scale": float("nan")}, r"adapter\.scale=nan is out of range"),
        ({"mean": [1.0, 2.0]}, r"adapter\.mean=\[1\.0, 2\.0\]: give one number, or 1"),
        ({"multiple": 0}, r"adapter\.multiple=0 is out of range"),
        ({"size": 5}, r"adapter\.size=5 is out of range"),
        ({"bins": "bins.npy"}, r"adapter\.bins has no effect with adapter\.gives=ab"),
        ({"gives": "logits", "bins": "missing.npy"}, r"adapter\.bins=missing\.npy can't be read"),
        ({"gives": "logits", "temperature": -1.0}, "temperature=-1 is out of range"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Adapter(**{"takes": "lightness", "gives": "ab", **options})


def test_a_table_of_bins_from_a_stranger(tmp_path: Path) -> None:
    pickled, wide = tmp_path / "pickled.npy", tmp_path / "wide.npy"
    np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(wide, np.zeros((4, 3)))
    lying = io.BytesIO()
    np.lib.format.write_array_header_1_0(lying, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 2)})
    (tmp_path / "lying.npy").write_bytes(lying.getvalue())
    for path, message in ((pickled, "can't be read"), (wide, "is not a table"), (tmp_path / "lying.npy", "can't be")):
        with pytest.raises(ConfigError, match=message):
            Adapter("lightness", "logits", bins=str(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("defaults:\nsize: 64", "its defaults are None: give a list of names out of ddcolor"),
        ("defaults: [{generic: 1}]", r"its defaults are \[\{'generic': 1\}\]: give a list"),
        ("defaults: [generi]", "its defaults are .*: give a list"),
        ("_target_: os.getcwd", r"names code of os: a file may name colorization\.inference\.adapters\.Adapter only"),
        ("defaults: [generic]\nbins: {_target_: os.getcwd}", "names code of os"),
        ("_target_: colorization.data.folder.FolderDataModule\nroot: x", "_target_=.* is refused: only"),
        ("_target_: colorization.inference.adapters.read_bins\npath: x", "adapter.bins=x can't be read"),
        ("_target_: colorization.inference.adapters.shipped_adapters", "is not an Adapter: leave it out"),
    ],
)
def test_a_file_of_an_adapter_is_no_code(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        find_adapter(str(tmp_path / "mine.yaml"))


def test_a_few_lines_do_not_expand_to_billions(tmp_path: Path) -> None:
    names = "abcdef"
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{this}: &{this} [{', '.join([f'*{last}'] * 10)}]" for last, this in itertools.pairwise(names)]
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"adapter=.*mine\.yaml can't be read"):
        find_adapter(tmp_path / "mine.yaml")


def test_a_file_may_have_the_name_of_the_one_that_it_builds_on(tmp_path: Path) -> None:
    (tmp_path / "ddcolor.yaml").write_text("defaults: [ddcolor, _self_]\nsize: 256")
    made = find_adapter(tmp_path / "ddcolor.yaml")
    assert (made.size, made.takes) == (256, "gray_rgb")


def test_a_network_survives_pickling_and_says_who_it_is(tmp_path: Path) -> None:
    path = graphs.siggraph17(tmp_path / "model.onnx")
    network = OnnxNetwork(path, find_adapter("siggraph17"))
    again = pickle.loads(pickle.dumps(network))
    assert np.array_equal(seen(again), seen(network))

    def identity(adapter: Adapter, file: Path = path) -> str:
        return network_hash(Colorizer(OnnxNetwork(file, adapter), 64))

    same = identity(find_adapter("siggraph17"))
    assert same == identity(find_adapter("siggraph17"))
    assert same != identity(Adapter("lightness", "ab", ab_scale=2, fit="stretch"))
    model = onnx.load(path)
    model.doc_string = "another file"
    onnx.save(model, tmp_path / "other.onnx")
    assert same != identity(find_adapter("siggraph17"), tmp_path / "other.onnx")


def test_colours_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = Graph([1, 1, 64, 64]).mix([[1.0], [float("nan")]], [0, 0]).save(tmp_path / "model.onnx", [1, 2, 64, 64])
    with pytest.raises(ValueError, match="colours that are not finite"):
        Colorizer.from_onnx(path, "eccv16", device="cpu")(make_photo())


def test_cuda_needs_an_onnxruntime_that_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = graphs.siggraph17(tmp_path / "model.onnx")
    monkeypatch.setattr("colorization.inference.colorizer.find_device", lambda _: torch.device("cpu"))
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ConfigError, match="device=cuda: onnxruntime can't use CUDA here: install onnxruntime-gpu"):
        Colorizer.from_onnx(path, "siggraph17", device="cuda")
