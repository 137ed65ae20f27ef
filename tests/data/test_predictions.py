"""Which pictures of a folder belong to which photos."""

import pytest

from colorization.data.predictions import pair
from colorization.errors import ConfigError


def test_by_path_and_else_by_bare_name() -> None:
    found = pair(["a.jpg", "x/b.jpg", "y/b.jpg", "c.jpg"], ["a.png", "y/b.webp", "b.png", "deep/c.png", "d.png"])
    assert found.partners == {0: ["a.png"], 2: ["y/b.webp"], 3: ["deep/c.png"]}
    assert found.alone == ["x/b.jpg"]
    assert found.unused == ["b.png", "d.png"]


def test_dots_are_no_endings_and_case_counts() -> None:
    found = pair(["cat.v2.jpeg", "Dog.JPG"], ["cat.v2.png", "dog.png"])
    assert found.partners == {0: ["cat.v2.png"]}
    assert (found.alone, found.unused) == (["Dog.JPG"], ["dog.png"])


def test_no_picture_is_that_of_two_photos() -> None:
    """A tool that writes PNG has overwritten one of them; which one is not known."""
    assert pair(["a.jpg", "a.png"], ["a.png"]).partners == {1: ["a.png"]}
    assert pair(["a.jpg", "a.png"], ["a.png", "a.jpg"]).partners == {0: ["a.jpg"], 1: ["a.png"]}
    assert pair(["a.jpg", "a.png"], ["sub/a.png"]).partners == {}
    assert pair(["a.jpg", "a.png"], ["a_1.png", "a_2.png"], best_of=2).alone == ["a.jpg", "a.png"]


def test_namesakes_of_one_photo() -> None:
    assert pair(["a.jpg"], ["a.png", "a.jpg"]).partners == {0: ["a.jpg"]}
    with pytest.raises(ConfigError, match=r"a\.jpg has 2 pictures, a\.png and a\.webp among them: leave 1"):
        pair(["a.jpg"], ["a.png", "a.webp"])


def test_several_pictures_of_a_photo() -> None:
    found = pair(["x/a.jpg", "b.jpg", "c.jpg"], ["a_1.png", "a-2.png", "b/one.png", "b/two.png", "c_1.png"], best_of=2)
    assert found.partners == {0: ["a_1.png", "a-2.png"], 1: ["b/one.png", "b/two.png"]}
    assert (found.alone, found.unused) == (["c.jpg"], ["c_1.png"])
