"""What benchmarks/model_card.py writes into docs/model_card.md."""

from benchmarks.model_card import ABOUT, ROOT, Scores


def test_the_page_has_the_text_of_its_program() -> None:
    page = (ROOT / "docs" / "model_card.md").read_text(encoding="utf-8")
    assert ABOUT in page, "run: python -m benchmarks.model_card"


def test_intervals_have_the_digits_of_their_values() -> None:
    scores = Scores(7, {"psnr": 22.5678, "ssim": 0.91234}, {"psnr": (0.5, 1.25), "ssim": (-0.0004, 0.00123)})
    assert scores.row("psnr") == "22.57 (+0.50 .. +1.25)"
    assert scores.row("ssim") == "0.9123 (-0.0004 .. +0.0012)"
    assert scores.row("lpips") == "not measured"
