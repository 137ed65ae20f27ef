"""The generated parts of the pages are as the code is: every option, every message."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate import messages, options
from docs.generate.pages import CONFIGURATION, PAGES, TROUBLESHOOTING, generated, words_of
from docs.generate.yaml_comments import read_options
from tests.helpers.runs import CONF

# conf/sweep/wandb.yaml is read by W&B, conf/hydra holds texts, conf/catalogue entries.
FILES = [path for path in sorted(CONF.rglob("*.yaml")) if path.name != "wandb.yaml" or path.parent.name != "sweep"]
FILES = [path for path in FILES if path.relative_to(CONF).parts[0] not in ("hydra", "catalogue")]


def keys(node: Any, path: str = "") -> Iterator[str]:
    for key, value in (node or {}).items():
        if not key.startswith("_") and (path or key not in ("defaults", "hydra")):
            yield f"{path}{key}"
            yield from keys(value, f"{path}{key}.") if isinstance(value, dict) else ()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_is_up_to_date(page: Path) -> None:
    assert generated(page) == page.read_text(encoding="utf-8"), "run: python -m docs.generate"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(CONF)))
def test_every_key_of_a_file_is_read(file: Path) -> None:
    assert {option.key for option in read_options(file)} == set(keys(yaml.safe_load(file.read_text())))


def test_every_option_has_words() -> None:
    recipes = ("experiment", "debug", "sweep")
    described = [file for file in FILES if file.relative_to(CONF).parts[0] not in recipes]
    silent = [
        f"{file.relative_to(CONF)}: {option.key}"
        for file in described
        for option, _ in options.rows(file)
        if option.value and not option.comment
    ]
    assert not silent, "write a comment beside these keys"


def test_every_group_is_on_the_page() -> None:
    on_page = words_of(CONFIGURATION, "options")
    groups = {str(file.parent.relative_to(CONF)) for file in FILES} - {"."}
    assert groups <= set(on_page)


def test_every_module_with_messages_belongs_to_a_section() -> None:
    sections = words_of(TROUBLESHOOTING, "messages")
    homeless = [module for module in messages.all_messages() if messages.home(module, sections) is None]
    assert not homeless, "add these to a section of docs/troubleshooting.md"
    unused = [path for path in sections if not (messages.ROOT / path).exists()]
    assert not unused, "these moved"


def test_messages_of_every_kind_are_found() -> None:
    found = [text for texts in messages.all_messages().values() for text in texts]
    assert "OPTION=PATH does not exist: give the path of a state dict" in found  # raised
    assert "resumed with KEY=NEW, the run was begun with OLD" in found  # a warning
    assert "CHOSEN has no transparency: transparent parts are white" in found  # a remark about a picture
    assert "only the first of its FRAMES frames or pages was taken" in found  # another
    assert "OPTION=FOLDER is a file / does not exist: give a folder of PICTURES" in found  # with a part that varies
    assert "FULL_KEY is missing: give FULL_KEY=VALUE on the command line" in found  # returned as a sentence
    assert "PATH is missing or corrupt: remove the folder TARGET and repeat the command" in found  # by a function
