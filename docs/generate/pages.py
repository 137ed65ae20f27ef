"""Pages with generated parts, between `<!-- generated: NAME ... -->` and `<!-- end -->`."""

import re
from collections.abc import Callable
from pathlib import Path

from docs.generate import messages, options

DOCS = Path(__file__).parent.parent
CONFIGURATION = DOCS / "configuration.md"
TROUBLESHOOTING = DOCS / "troubleshooting.md"
EXTENDING = DOCS / "extending.md"
PAGES = (CONFIGURATION, EXTENDING, TROUBLESHOOTING)
_PART = re.compile(r"(<!-- generated: (?P<kind>\w+) (?P<words>[^>]*?) -->\n).*?(\n<!-- end -->)", re.DOTALL)


def _sources(*paths: str) -> str:
    """Files of the repository, as code."""
    languages = {".py": "python", ".yaml": "yaml"}
    texts = [(languages[Path(path).suffix], (DOCS.parent / path).read_text(encoding="utf-8")) for path in paths]
    return "\n".join(f"```{language}\n{text}```\n" for language, text in texts)


def _messages(*prefixes: str) -> str:
    return messages.part(*prefixes, sections=words_of(TROUBLESHOOTING, "messages"))


_KINDS: dict[str, Callable[..., str]] = {"options": options.part, "messages": _messages, "sources": _sources}


def generated(page: Path) -> str:
    """The text of a page with its generated parts as they have to be now."""

    def renewed(match: re.Match[str]) -> str:
        return f"{match[1]}\n{_KINDS[match['kind']](*match['words'].split())}{match[4]}"

    return _PART.sub(renewed, page.read_text(encoding="utf-8"))


def words_of(page: Path, kind: str) -> list[str]:
    """What the generated parts of a kind on a page are made from."""
    text = page.read_text(encoding="utf-8")
    return [word for match in _PART.finditer(text) if match["kind"] == kind for word in match["words"].split()]
