"""Terms of a loss: what each one says, how they are weighted and summed, and how they are chosen in YAML."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.transforms import functional

from colorization.backbones import IMAGENET_MEAN, IMAGENET_STD
from colorization.checkpoints.network import build_network
from colorization.color import lab_to_rgb, rgb_to_lab
from colorization.config.instantiate import instantiate
from colorization.errors import ConfigError
from colorization.objectives.regression import Regression
from colorization.objectives.terms.adversarial import Adversarial, PatchDiscriminator
from colorization.objectives.terms.colorfulness import Colorfulness
from colorization.objectives.terms.perceptual import Perceptual
from colorization.objectives.terms.pixel import Pixel
from tests.helpers.runs import Compose


def pictures(count: int = 2, size: int = 32) -> tuple[Tensor, Tensor]:
    """Lightness and ab of random colours that sRGB has."""
    generator = torch.Generator().manual_seed(0)
    lab = rgb_to_lab(torch.rand(count, 3, size, size, generator=generator))
    return lab[:, :1], lab[:, 1:]


def perceptual(weights: Path, **options: Any) -> Perceptual:
    return Perceptual(weights=str(weights), **options)


def test_perceptual_is_zero_for_the_truth_and_grows_with_the_error(vgg_file: Path) -> None:
    term = perceptual(vgg_file)
    lightness, ab = pictures()
    assert float(term(lightness, ab, ab)) == 0
    small, large = float(term(lightness, ab * 0.9, ab)), float(term(lightness, ab * 0, ab))
    assert 0 < small < large


def test_perceptual_leads_back_to_the_true_colors(vgg_file: Path) -> None:
    term = perceptual(vgg_file, layers=["relu1_2"])
    lightness, ab = pictures(1, 16)
    predicted = nn.Parameter(ab * 0.5)
    optimizer = torch.optim.Adam([predicted], lr=1.0)
    before = float((predicted - ab).abs().mean().detach())
    for _ in range(60):
        optimizer.zero_grad()
        term(lightness, predicted, ab).backward()
        optimizer.step()
    assert float((predicted - ab).abs().mean().detach()) < before / 2


def test_both_scales_of_vgg_weights_see_the_same(tmp_path: Path, vgg_file: Path) -> None:
    """Weights for RGB in 0..255 without division differ from torchvision's in the first layer only."""
    state = torch.load(vgg_file, weights_only=True)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    torch.save({**state, "0.weight": state["0.weight"] / deviation / 255}, tmp_path / "oxford.pth")
    lightness, ab = pictures(1)
    ours = perceptual(vgg_file)(lightness, ab * 0.5, ab)
    theirs = perceptual(tmp_path / "oxford.pth", scale="oxford")(lightness, ab * 0.5, ab)
    assert float(theirs) == pytest.approx(float(ours), rel=0.05)  # the means differ by a hair and touch the border


def test_the_classifier_of_a_term_is_neither_trained_nor_saved(vgg_file: Path) -> None:
    term = perceptual(vgg_file)
    assert list(term.parameters()) == []
    assert term.state_dict() == {}


def test_a_perceptual_term_that_can_t_be_built_says_why(
    vgg_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"weights": None}, r"vgg19-dcbb9e9d\.pth.*objective\.terms\.perceptual\.weights=FILE"),
        ({"weights": str(vgg_file), "layers": ["relu4_4"]}, r"does not fit, 19\.weight is missing"),
        ({"weights": str(vgg_file), "layers": ["relu9_1"]}, r"relu9_1.*valid are"),
        ({"weights": str(vgg_file), "layers": []}, "nothing to compare"),
        ({"weights": str(vgg_file), "layer_weights": [1.0]}, "has 1 weights for 3 layers"),
        ({"weights": str(tmp_path / "nowhere.pth")}, "does not exist"),
    ]
    for options, message in cases:
        with pytest.raises(ConfigError, match=message):
            Perceptual(**options)


def test_perceptual_with_weights_of_layers_is_ddcolor_s(vgg16_bn_file: Path) -> None:
    """The weighted sum of mean absolute differences before BatchNorm, of RGB normalized as for ImageNet."""
    lightness, ab = pictures(size=64)
    term = perceptual(
        vgg16_bn_file, network="vgg16_bn", layers=["conv5_1", "conv1_1"], layer_weights=[1.0, 0.0625], enhance=1.2
    )
    vgg = torchvision.models.vgg16_bn(weights=None).features.eval()
    vgg.load_state_dict(torch.load(vgg16_bn_file, weights_only=True))

    def convolved(rgb: Tensor, last: int) -> Tensor:
        with torch.no_grad():
            return vgg[: last + 1](functional.normalize(rgb, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))

    false, true = (lab_to_rgb(torch.cat((lightness, colors), 1)) for colors in (ab * 0.5, ab))
    true = functional.adjust_saturation(true, 1.2)
    expected = sum(
        weight * (convolved(false, last) - convolved(true, last)).abs().mean()
        for last, weight in ((0, 0.0625), (34, 1.0))
    )
    assert isinstance(vgg[34], nn.Conv2d)
    for mode in (True, False):
        assert float(term.train(mode)(lightness, ab * 0.5, ab)) == pytest.approx(float(expected), rel=1e-3)


def test_relative_distances_before_an_activation(vgg16_bn_file: Path) -> None:
    """There, values are as often negative as positive: their mean says nothing about their size."""
    lightness, ab = pictures(size=64)
    layer = torchvision.models.vgg16_bn(weights=None).features[0]
    layer.load_state_dict({key: torch.load(vgg16_bn_file, weights_only=True)[f"0.{key}"] for key in ("weight", "bias")})
    with torch.no_grad():
        false, true = (
            layer(functional.normalize(lab_to_rgb(torch.cat((lightness, colors), 1)), IMAGENET_MEAN, IMAGENET_STD))
            for colors in (ab * 0.5, ab)
        )
    expected = (false - true).abs().mean() / true.abs().mean()
    term = perceptual(vgg16_bn_file, network="vgg16_bn", layers=["conv1_1"])
    assert float(term(lightness, ab * 0.5, ab)) == pytest.approx(float(expected), rel=1e-3)


def test_colorfulness_of_ddcolor_s_code() -> None:
    lightness, ab = pictures()
    red, green, blue = lab_to_rgb(torch.cat((lightness, ab), 1)).flatten(2).unbind(1)
    apart = torch.stack(((red - green).abs(), (0.5 * (red + green) - blue).abs()))
    colorful = apart.std(dim=-1).norm(dim=0) + 0.3 * apart.mean(dim=-1).norm(dim=0)
    term = Colorfulness(weight=2.0, scale=255.0, absolute=True)
    assert float(term(lightness, ab, ab)) == pytest.approx(float((1 - colorful).mean()), abs=1e-3)


def test_colorfulness_rewards_color_and_survives_gray() -> None:
    lightness, ab = pictures()
    predicted = (ab * 0).requires_grad_()
    loss = Colorfulness()(lightness, predicted, ab)
    loss.backward()
    assert predicted.grad is not None
    assert bool(torch.isfinite(predicted.grad).all())
    assert float(Colorfulness()(lightness, ab, ab)) < float(loss.detach()) <= 1


@pytest.mark.parametrize("size", [16, 31, 64])
def test_a_discriminator_judges_patches_of_any_picture(size: int) -> None:
    assert PatchDiscriminator(8)(torch.randn(2, 3, size, size)).shape == (2, 1, size // 8, size // 8)


def test_a_discriminator_s_weights_have_spectral_norm_one() -> None:
    discriminator = PatchDiscriminator(8)
    for _ in range(50):
        discriminator(torch.randn(1, 3, 16, 16))
    for layer in discriminator:
        if isinstance(layer, nn.Conv2d):
            largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
            with torch.no_grad():
                assert float(layer._largest_singular_value()) == pytest.approx(float(largest), rel=0.05)  # type: ignore


def adversarial(loss: str, **further: Any) -> Adversarial:
    options: dict[str, Any] = {"loss": loss, "width": 16, **further}
    return Adversarial(lambda parameters: torch.optim.Adam(parameters, lr=2e-3), **options)


def test_the_discriminator_may_see_true_pictures_with_more_color() -> None:
    lightness, ab = pictures()
    plain, enhanced = adversarial("vanilla"), adversarial("vanilla", enhance=1.2)
    enhanced.load_state_dict(plain.state_dict())
    rgb = functional.adjust_saturation(lab_to_rgb(torch.cat((lightness, ab), 1)), 1.2)
    plain.eval()
    enhanced.eval()
    found = enhanced.discriminator_loss(lightness, ab * 0.5, ab)
    expected = plain.discriminator_loss(lightness, ab * 0.5, rgb_to_lab(rgb)[:, 1:])
    assert float(found) == pytest.approx(float(expected), abs=1e-4)
    assert float(found) != float(plain.discriminator_loss(lightness, ab * 0.5, ab))


@pytest.mark.parametrize("loss", ["hinge", "lsgan", "vanilla"])
def test_discriminator_and_generator_want_opposite_things(loss: str) -> None:
    """A discriminator learns to tell red from blue; what it calls true then costs the generator less."""
    torch.manual_seed(0)
    term = adversarial(loss)
    lightness = torch.full((4, 1, 16, 16), 50.0)
    red, blue = (torch.tensor(color).view(1, 2, 1, 1).expand(4, 2, 16, 16) for color in ((60.0, 40.0), (20.0, -60.0)))
    optimizer = term.make_optimizer(term.discriminator.parameters())
    term.discriminator.requires_grad_(True)
    first = float(term.discriminator_loss(lightness, blue, red).detach())
    for _ in range(20):
        optimizer.zero_grad()
        term.discriminator_loss(lightness, blue, red).backward()
        optimizer.step()
    assert float(term.discriminator_loss(lightness, blue, red).detach()) < first
    assert float(term(lightness, red, red).detach()) < float(term(lightness, blue, red).detach())


def test_published_values_of_gan_losses() -> None:
    """A discriminator that says 0.5 to everything."""
    lightness, ab = pictures(1, 16)
    expected = {
        "hinge": (-0.5, 0.5 + 1.5),
        "lsgan": (0.25, (0.25 + 0.25) / 2),
        "vanilla": (0.4741, (0.4741 + 0.9741) / 2),
    }
    for loss, (generator, discriminator) in expected.items():
        term = adversarial(loss)
        term.discriminator = _Constant(0.5)  # type: ignore[assignment]
        assert float(term(lightness, ab, ab)) == pytest.approx(generator, abs=1e-4)
        assert float(term.discriminator_loss(lightness, ab, ab)) == pytest.approx(discriminator, abs=1e-4)


class _Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, picture: Tensor) -> Tensor:
        return torch.full((len(picture), 1, 2, 2), self.value)


def test_terms_are_weighted_and_summed() -> None:
    lightness, ab = pictures()
    prediction = ab / 110 + 0.1
    terms = {"far": Pixel("mse", weight=3.0), "colors": Colorfulness(weight=0.5)}
    losses = Regression("l1", weight=2.0, terms=terms).loss(prediction, ab, lightness)
    parts = {name: float(value) for name, value in losses.items()}
    assert parts["pixel"] == pytest.approx(0.1, abs=1e-5)
    assert parts["far"] == pytest.approx(0.01, abs=1e-5)
    assert parts["loss"] == pytest.approx(2 * parts["pixel"] + 3 * parts["far"] + 0.5 * parts["colors"], abs=1e-6)


def test_terms_begin_when_they_are_told_to() -> None:
    lightness, ab = pictures()
    objective = Regression("l1", terms={"late": Pixel("mse", begin=0.5)})
    assert "late" not in objective.loss(ab / 110, ab, lightness, progress=0.49)
    assert "late" in objective.loss(ab / 110, ab, lightness, progress=0.5)


def test_validation_leaves_out_what_can_t_be_compared() -> None:
    lightness, ab = pictures()
    objective = Regression("l1", terms={"judge": adversarial("hinge")})
    assert "judge" in objective.train().loss(ab / 110, ab, lightness)
    assert "judge" not in objective.eval().loss(ab / 110, ab, lightness)


def test_a_term_is_added_to_any_objective_in_yaml(compose_config: Compose) -> None:
    config = compose_config(
        "backbone=resnet18",
        "backbone.pretrained=false",
        "objective=classification",
        "+objective/term@objective.terms.lively=colorfulness",
        "objective.terms.lively.weight=0.25",
    )
    _, objective = build_network(config)
    lightness, ab = pictures(1)
    losses = objective.loss(torch.zeros(1, objective.out_channels, 32, 32), ab, lightness)
    assert float(losses["loss"].detach()) == pytest.approx(
        float(losses["pixel"].detach()) + 0.25 * float(losses["lively"].detach())
    )


def test_a_term_can_be_taken_out(compose_config: Compose) -> None:
    config = compose_config("objective=perceptual", "objective.terms.perceptual=null", "backbone.pretrained=false")
    _, objective = build_network(config)
    assert len(objective.terms) == 0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("objective.weight=-1", "objective.weight=-1"),
        ("objective.weight=nan", "objective.weight=nan"),
        ("objective.delta=nan", "delta=nan"),
        (
            "objective.terms.loss={_target_: colorization.objectives.terms.colorfulness.Colorfulness}",
            "this name is reserved",
        ),
        ("objective.terms.foo={_target_: torch.nn.ReLU}", "objective.terms.foo is not a term"),
        ("objective.terms.foo=3", "objective.terms.foo is not a term"),
        ("objective.terms.adversarial.weight=-1", "weight=-1 is out of range"),
        ("objective.terms.adversarial.begin=1", "begin=1"),
        ("objective.terms.adversarial.width=1", "width=1"),
        ("objective.terms.adversarial.loss=wgan", "objective.terms.adversarial.loss=wgan"),
        ("objective.terms.adversarial.optimizer.rl=1", "objective.terms.adversarial.optimizer.rl"),
    ],
)
def test_options_of_terms_are_checked(compose_config: Compose, override: str, message: str) -> None:
    build: Callable[[], object] = lambda: instantiate(  # noqa: E731
        compose_config("objective=adversarial", f"++{override}")["objective"],
        "objective",
    )
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        build()
