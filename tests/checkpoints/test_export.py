"""Exported networks: they colour as the checkpoint that they were made from, at any size, and say what they are."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from colorization import Colorizer
from colorization.checkpoints.export import export, largest_difference, write_onnx, write_torch_export
from colorization.checkpoints.network import ENTRY, build_network, describe, read_checkpoint, rebuild, shareable
from colorization.checkpoints.shipped import DEFAULT_MODEL
from colorization.errors import CheckpointError, ConfigError
from colorization.inference.loading import load_model
from colorization.network import TrainedNetwork
from colorization.runtime.installation import install_hint
from tests.helpers.photos import make_photo
from tests.helpers.runs import RunScript
from tests.helpers.tiny import DECODERS, tiny_checkpoint, tiny_config, write_tiny

Writer = Callable[[TrainedNetwork, str, Path], Callable[[Tensor], Tensor]]

SIZES = [(1, 1, 64, 32), (2, 1, 7, 131), (1, 1, 1, 5), (5, 1, 96, 96)]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "tiny.ckpt")


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_convnext", "test_vit"])
def test_safetensors_colors_like_the_checkpoint(tmp_path: Path, backbone: str, decoder: str) -> None:
    source = write_tiny(tmp_path / "tiny.ckpt", backbone, decoder)
    # Recognized by content, under any name.
    # The same numbers, but a matrix product may round otherwise where they lie otherwise in memory.
    assert export(str(source), str(tmp_path / "exported.safetensors"), "safetensors").difference < 1e-3
    renamed = (tmp_path / "exported.safetensors").rename(tmp_path / "renamed.ckpt")
    before, after = (Colorizer.from_checkpoint(path, device="cpu") for path in (source, renamed))
    photo = np.asarray(make_photo(50, 37))
    assert np.array_equal(before(photo), after(photo))
    assert np.abs(before(photo).astype(int) - photo.mean(-1, keepdims=True)).max() > 5  # it does colour
    said = describe(shareable(read_checkpoint(source)[ENTRY]["config"]))
    assert json.loads(json.dumps(said)) == read_checkpoint(renamed)[ENTRY]


def test_a_run_of_train_exports_and_predicts(trained: Path, tmp_path: Path, run_script: RunScript) -> None:
    """The command as users type it, on weights in channels-last layout with an optimizer's state beside them."""
    checkpoint = trained / "checkpoints" / "best.ckpt"
    run_script(
        "colorization.checkpoints.export",
        f"checkpoint={checkpoint}",
        f"output={tmp_path / 'deep' / 'best.safetensors'}",
    )
    exported = tmp_path / "deep" / "best.safetensors"
    assert exported.stat().st_size < checkpoint.stat().st_size / 2
    assert exported.stat().st_mode & 0o777 == checkpoint.stat().st_mode & 0o777
    assert list(exported.parent.iterdir()) == [exported]
    photo = make_photo(61, 40)
    before, after = (Colorizer.from_checkpoint(path, device="cpu")(photo) for path in (checkpoint, exported))
    assert before.tobytes() == after.tobytes()


@pytest.mark.slow
def test_onnx_file(tmp_path: Path, run_script: RunScript, capsys: pytest.CaptureFixture[str]) -> None:
    """Run by onnxruntime at sizes that the export did not try, and held against PyTorch."""
    import onnxruntime

    source = write_tiny(tmp_path / "tiny.ckpt", "test_efficientnet", "unet")
    run_script("colorization.checkpoints.export", f"checkpoint={source}", "format=onnx", "resolution=48")
    printed = capsys.readouterr().out
    assert "largest difference" in printed
    session = onnxruntime.InferenceSession(tmp_path / "tiny.onnx", providers=["CPUExecutionProvider"])
    assert [(node.name, node.shape) for node in session.get_inputs()] == [
        ("lightness", ["batch", 1, "height", "width"])
    ]
    assert [(node.name, node.shape) for node in session.get_outputs()] == [("ab", ["batch", 2, "height", "width"])]
    said = json.loads(session.get_modelmeta().custom_metadata_map[ENTRY])
    assert said["config"]["data"] == {"size": 32}
    assert said["resolution"] == 48
    exported = load_model(tmp_path / "tiny.onnx")
    assert (exported.resolution, exported.trained_size) == (48, 32)
    assert said["config"]["decoder"] == tiny_config(decoder="unet")["decoder"]
    model = TrainedNetwork(*rebuild(read_checkpoint(source), source))
    check_sizes(model, lambda x: torch.from_numpy(session.run(None, {"lightness": x.numpy()})[0]), within=1e-2)


@pytest.mark.long
def test_torch_export_file(tmp_path: Path) -> None:
    source = write_tiny(tmp_path / "tiny.ckpt", "test_efficientnet", "unet")
    assert export(source, tmp_path / "tiny.pt2", "torch_export").difference < 1e-2
    extra = {f"{ENTRY}.json": ""}
    program = torch.export.load(tmp_path / "tiny.pt2", extra_files=extra)
    assert json.loads(extra[f"{ENTRY}.json"])["config"]["data"] == {"size": 32}
    check_sizes(TrainedNetwork(*rebuild(read_checkpoint(source), source)), program.module(), within=1e-2)


def check_sizes(model: TrainedNetwork, run: Callable[[Tensor], Tensor], within: float) -> None:
    generator = torch.Generator().manual_seed(1)
    for shape in SIZES:
        lightness = 100 * torch.rand(shape, generator=generator)
        expected = model(lightness).detach()
        found = run(lightness)
        assert found.shape == expected.shape == (shape[0], 2, *shape[2:])
        assert expected.abs().max() > 1
        torch.testing.assert_close(found, expected, atol=within, rtol=0)


@pytest.mark.long
@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 14), reason="PyTorch 2.11 can't export a classifier's head"
)
@pytest.mark.parametrize(
    ("write", "decoder"), [(write_onnx, "autoencoder"), (write_onnx, "query"), (write_torch_export, "unet")]
)
def test_graphs_hold_what_the_objective_makes_of_the_map(tmp_path: Path, write: Writer, decoder: str) -> None:
    """A classifier's head, bins and temperature are in the graph, and so are the queries of a transformer."""
    torch.manual_seed(0)
    config = tiny_config(decoder=decoder)
    config["objective"] = {"_target_": "colorization.objectives.classification.Classification", "features": 16}
    network, objective = build_network(config)
    for parameter in (*network.decoder.parameters(), *objective.parameters()):
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    model = TrainedNetwork(network, objective).eval().requires_grad_(False)
    check_sizes(model, write(model, "{}", tmp_path / "bins"), within=1e-2)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["onnx", "torch_export"])
def test_graph_of_the_default_model(tmp_path: Path, kind: str) -> None:
    export(DEFAULT_MODEL, tmp_path / "default", kind)


@pytest.mark.parametrize("error", [AssertionError("Guard failed: height != 1\nin line 3"), KeyError("vals")])
def test_a_graph_that_can_not_be_made_or_run_ends_in_one_sentence(
    tiny: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def breaks(_: object) -> Tensor:
        raise error

    monkeypatch.setattr("colorization.checkpoints.export.write_torch_export", lambda *_: breaks)
    said = fails("colorization.checkpoints.export", f"checkpoint={tiny}", "format=torch_export")
    assert f"{tiny} can't be exported with format=torch_export: " in said
    assert said.endswith("; give format=safetensors or format=onnx")
    assert list(tiny.parent.iterdir()) == [tiny]


def test_a_file_has_its_own_resolution(tiny: Path, tmp_path: Path, run_script: RunScript) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    run_script("colorization.checkpoints.export", f"checkpoint={tiny}", f"output={first}", "resolution=48")
    export(first, second, "safetensors")
    assert [load_model(path).resolution for path in (tiny, first, second)] == [32, 48, 48]
    assert [load_model(path).trained_size for path in (tiny, first, second)] == [32, 32, 32]
    assert load_model(first, resolution=64).resolution == 64


def test_vividness_of_an_export(tmp_path: Path, run_script: RunScript, fails: Callable[..., str]) -> None:
    checkpoint, output = f"checkpoint={DEFAULT_MODEL}", tmp_path / "vivid.safetensors"
    run_script("colorization.checkpoints.export", checkpoint, f"output={output}", "vividness=1")
    photo = make_photo(40, 40)
    own, vivid, exported = (
        Colorizer.from_checkpoint(path, device="cpu", vividness=vividness)(photo).tobytes()
        for path, vividness in ((DEFAULT_MODEL, None), (DEFAULT_MODEL, 1), (output, None))
    )
    assert own != vivid == exported
    again = ["colorization.checkpoints.export", checkpoint, f"output={tmp_path / 'no.safetensors'}"]
    assert "vividness=2 is out of range" in fails(*again, "vividness=2")
    assert "this checkpoint's objective has no temperature" in fails(*again, "temperature=0.5")
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.slow
def test_vividness_of_a_graph_is_fixed(
    tmp_path: Path, run_script: RunScript, fails: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    config = tiny_config()
    config["objective"] = {"_target_": "colorization.objectives.vivid.Vivid", "vividness": 0.5}
    source, output = tmp_path / "tiny.ckpt", tmp_path / "tiny.onnx"
    torch.save(tiny_checkpoint(config), source)
    run_script("colorization.checkpoints.export", f"checkpoint={source}", "format=onnx", "vividness=0.25")
    assert "MB), vividness=0.25 for good" in capfd.readouterr().out
    model = load_model(source).model
    model.vividness = 0.25
    lightness = 100 * torch.rand(1, 1, 32, 48, generator=torch.Generator().manual_seed(0))
    assert (model(lightness) - load_model(output).model(lightness)).abs().max() < 1e-2
    make_photo(40, 40).save(tmp_path / "a.png")
    said = fails("predict", f"checkpoint={output}", str(tmp_path / "a.png"), "vividness=1")
    assert said.endswith(
        "vividness=1: this export has vividness=0.25 for good: leave the option out, or give it to colorize-export"
    )


def test_the_largest_difference_is_found() -> None:
    network, objective = build_network(tiny_config())
    model = TrainedNetwork(network.eval(), objective)

    def nudged(lightness: Tensor) -> Tensor:
        ab = model(lightness)
        if lightness.shape[-1] == 71:
            ab[-1, 1, -1, -1] -= 3
        return ab

    assert largest_difference(model, model, 32) == 0
    assert largest_difference(model, nudged, 32) == pytest.approx(3, abs=1e-4)


def test_an_export_with_other_colors_is_removed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colorization.checkpoints.export.TOLERANCE", -1.0)
    with pytest.raises(CheckpointError, match=r"tiny\.ckpt: format=safetensors gives other colours"):
        export(tiny, tiny.with_suffix(".safetensors"), "safetensors")
    assert list(tiny.parent.iterdir()) == [tiny]


def test_mistakes_end_in_one_sentence(tiny: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    run = ["colorization.checkpoints.export", f"checkpoint={tiny}"]
    assert "resolution=8 is out of range: give 16 to 4096" in fails(*run, "resolution=8")
    assert "did you mean safetensors?" in fails(*run, "format=safetensor")
    assert "has to end in .pt2" in fails(*run, "format=torch_export", "output=other.pth")
    tiny.with_suffix(".safetensors").write_text("mine")
    assert "overwrite=true" in fails(*run)
    assert tiny.with_suffix(".safetensors").read_text() == "mine"
    assert "is corrupt, or " in fails(
        "colorization.checkpoints.export", f"checkpoint={tiny.with_suffix('.safetensors')}", "output=other.safetensors"
    )
    assert "formt is not an option; did you mean format" in fails(*run, "formt=onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert fails(*run, "format=onnx").endswith(f"needs the package onnxscript: {install_hint('export')}")


def test_reading_safetensors_without_the_package(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(tiny, tiny.with_suffix(".safetensors"), "safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(CheckpointError, match=re.escape(f"needs the package safetensors: {install_hint('export')}")):
        read_checkpoint(tiny.with_suffix(".safetensors"))
    with pytest.raises(ConfigError, match="needs the package safetensors"):
        export(tiny, tiny.with_name("other.safetensors"), "safetensors")
