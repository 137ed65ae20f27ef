"""The Hugging Face Space: its card, its requirements, and what its app.py serves."""

import runpy
import tomllib
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from colorization.app import server
from tests.helpers.runs import CONF

SPACE = CONF.parent / "space"


def project() -> Any:
    return tomllib.loads((CONF.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_card_names_a_version_of_gradio_that_the_page_works_with() -> None:
    _, front, text = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    card = yaml.safe_load(front)
    assert card["sdk"] == "gradio"
    assert (SPACE / card["app_file"]).is_file()
    assert len(card["short_description"]) <= 60  # the Hub refuses more
    assert text.strip().startswith("# ")
    [gradio] = map(Requirement, project()["optional-dependencies"]["app"])
    assert card["sdk_version"] in gradio.specifier


def test_the_requirements_are_this_package_with_extras_that_exist() -> None:
    [line] = (SPACE / "requirements.txt").read_text().splitlines()
    requirement = Requirement(line)
    assert requirement.name == project()["name"]
    assert requirement.extras == {"app", "film"} <= set(project()["optional-dependencies"])


def test_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []
    monkeypatch.setattr(server, "serve", lambda *arguments: served.append(arguments))
    runpy.run_path(str(SPACE / "app.py"), run_name="__main__")
    [(models, limits, serving)] = served
    assert list(models.knobs) == ["default"]
    assert serving.host == "0.0.0.0"
    assert "huggingface.co" in serving.framed_by
    assert limits.max_seconds <= 600
