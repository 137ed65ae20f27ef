"""For MkDocs: links from a page to a file outside docs/ lead to a copy of it in the site, so that no link is dead.

On a code host the same links lead to the files themselves.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parent.parent
_LINK = re.compile(r"\]\((?P<path>\.\./[^)#\s]+)(?P<anchor>#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Adds the files outside docs/ that pages link to."""
    for page in files.documentation_pages():
        for match in _LINK.finditer(page.content_string):
            if (source := _file(match["path"])).is_file() and files.get_file_from_path(_place(source)) is None:
                files.append(File.generated(config, _place(source), abs_src_path=str(source)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Points links at the copies. A link to a file that is not there stays, and is reported."""

    def moved(match: re.Match[str]) -> str:
        source = _file(match["path"])
        return f"]({_place(source)}{match['anchor'] or ''})" if source.is_file() else match[0]

    return _LINK.sub(moved, markdown)


def _file(link: str) -> Path:
    """The file that a page links to; of a folder, its README."""
    path = _ROOT / link.removeprefix("../")
    return path / "README.md" if path.is_dir() else path


def _place(source: Path) -> str:
    """Where its copy is in the site: as a text that any browser shows."""
    path = source.relative_to(_ROOT).as_posix()
    return f"files/{path}" if source.suffix in (".md", ".txt") else f"files/{path}.txt"
