"""Links between the repository's pages lead to files and headings that exist; tables of the comparison are full."""

import re
import unicodedata
from pathlib import Path

import pytest

from tests.helpers.runs import CONF

ROOT = CONF.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")


def prose(page: Path) -> str:
    """A page without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts and MkDocs make them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", unicodedata.normalize("NFC", title)).strip().lower() for title in titles]
    return {re.sub(r"[\s]+", "-", title) for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for match in LINK.finditer(prose(page)):
        target = (page.parent / match["path"]).resolve() if match["path"] else page
        assert target.exists(), match[0]
        if match["anchor"] and target.suffix == ".md":
            assert match["anchor"] in headings(target), match[0]


def test_every_row_of_the_comparison_is_full() -> None:
    tables = [line for line in (ROOT / "docs/comparison.md").read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in tables]
    assert len(rows) > 40
    for row in rows:
        assert len(row) == 5
        assert row[0] or row[1:] == ["colorization", "DDColor", "DeOldify", "Zhang"]
        assert all(row[1:]), row[0]


def test_the_front_page_is_short() -> None:
    assert (ROOT / "README.md").stat().st_size < 12 * 1024
