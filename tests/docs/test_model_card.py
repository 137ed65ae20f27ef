"""docs/model_card.md, which benchmarks/model_card.py writes."""

from benchmarks.model_card import ABOUT, ROOT, Scores


def test_the_card_says_what_the_program_says() -> None:
    assert ABOUT.strip() in (ROOT / "docs" / "model_card.md").read_text(encoding="utf-8")


def test_intervals_have_the_digits_of_their_values() -> None:
    scores = Scores(7, {"psnr": 22.5678, "ssim": 0.91234}, {"psnr": (0.5, 1.25), "ssim": (0.00123, -0.0004)})
    assert scores.row("psnr") == "22.57 (+0.50 .. +1.25)"
    assert scores.row("ssim") == "0.9123 (+0.0012 .. -0.0004)"
    assert scores.row("lpips") == "not measured"
