"""Which pictures are coloured, and what their coloured copies are called. Nothing is read: empty files will do."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from colorization.errors import ColorizationError
from colorization.imagefiles import SUFFIXES
from colorization.inference.jobs import list_jobs
from colorization.runtime.installation import install_hint


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def named(inputs: Iterable[str], output: str = "out", **options: Any) -> dict[str, str]:
    """Sources and targets, as one writes them in the current folder; no failures."""
    jobs, failures, _ = list_jobs(list(inputs), output, **options)
    assert not failures
    assert len({job.source for job in jobs}) == len(jobs)
    return {str(job.source): str(job.target) for job in jobs}


@pytest.mark.parametrize(
    ("inputs", "options", "expected"),
    [
        (["a/x.jpg"], {}, {"a/x.jpg": "out/x.jpg"}),
        (["a"], {}, {"a/b/x.jpg": "out/b/x.jpg", "a/x.jpg": "out/x.jpg", "a/y.PNG": "out/y.PNG"}),
        (["a"], {"recursive": False}, {"a/x.jpg": "out/x.jpg", "a/y.PNG": "out/y.PNG"}),
        (["a/*.*"], {}, {"a/x.jpg": "out/x.jpg", "a/y.PNG": "out/y.PNG"}),
        (["a/**/x.jpg"], {}, {"a/b/x.jpg": "out/b/x.jpg", "a/x.jpg": "out/x.jpg"}),
        (["./*/[x].jp?"], {}, {"a/x.jpg": "out/a/x.jpg", "c/x.jpg": "out/c/x.jpg"}),
        (["a", "./a/x.jpg", "c/../a"], {"recursive": False}, {"a/x.jpg": "out/x.jpg", "a/y.PNG": "out/y.PNG"}),
        (["a/x.jpg"], {"suffix": "_c"}, {"a/x.jpg": "out/x_c.jpg"}),
        (["a/x.jpg"], {"file_format": "png"}, {"a/x.jpg": "out/x.png"}),
        (["a/y.PNG"], {"file_format": "png", "suffix": " c"}, {"a/y.PNG": "out/y c.PNG"}),
        (["c/z.jpe"], {"file_format": "jpg"}, {"c/z.jpe": "out/z.jpe"}),
        # An ending that can't hold colours, or says nothing, makes way for one that can.
        (["c/w.gif", "c/scan"], {}, {"c/w.gif": "out/w.png", "c/scan": "out/scan.png"}),
        # The same name twice: the folder tells them apart, or as many folders as it takes.
        (["a/x.jpg", "c/x.jpg"], {}, {"a/x.jpg": "out/a/x.jpg", "c/x.jpg": "out/c/x.jpg"}),
        (["c/x.jpg", "a/x.jpg"], {}, {"a/x.jpg": "out/a/x.jpg", "c/x.jpg": "out/c/x.jpg"}),
        (["a/b/x.jpg", "d/b/x.jpg"], {}, {"a/b/x.jpg": "out/a/b/x.jpg", "d/b/x.jpg": "out/d/b/x.jpg"}),
        (
            ["a", "c/x.jpg"],
            {"recursive": False},
            {"a/x.jpg": "out/a/x.jpg", "c/x.jpg": "out/c/x.jpg", "a/y.PNG": "out/y.PNG"},
        ),
        # Names that become the same by their new ending.
        (["e"], {"file_format": "png"}, {"e/s.jpg": "out/s.jpg.png", "e/s.png": "out/s.png"}),
        (["e"], {"file_format": "webp"}, {"e/s.jpg": "out/s.jpg.webp", "e/s.png": "out/s.png.webp"}),
        # One picture may be given its new name.
        (["a/x.jpg"], {"output": "new/name.png"}, {"a/x.jpg": "new/name.png"}),
        (["a/x.jpg"], {"output": "a/name.jpg"}, {"a/x.jpg": "a/name.jpg"}),
        (["a/x.jpg"], {"output": "folder.png"}, {"a/x.jpg": "folder.png/x.jpg"}),
        (["a/x.jpg"], {"output": "new.png/"}, {"a/x.jpg": "new.png/x.jpg"}),
        # Beside the originals, or in their place.
        (
            ["c"],
            {"output": "c", "suffix": "_c"},
            {"c/x.jpg": "c/x_c.jpg", "c/z.jpe": "c/z_c.jpe", "c/w.gif": "c/w_c.png"},
        ),
        (["a/x.jpg"], {"output": "a", "overwrite": True}, {"a/x.jpg": "a/x.jpg"}),
        (["a/x.jpg"], {"output": "."}, {"a/x.jpg": "x.jpg"}),
    ],
)
def test_names(inputs: list[str], options: dict[str, Any], expected: dict[str, str]) -> None:
    touch("a/x.jpg", "a/b/x.jpg", "a/y.PNG", "a/notes.txt", "a/.hidden.jpg", "c/x.jpg", "c/z.jpe", "c/w.gif", "c/scan")
    touch("d/b/x.jpg", "e/s.jpg", "e/s.png", "folder.png/.keep")
    assert named(inputs, **options) == expected


def test_names_that_differ_in_case_or_in_the_way_an_accent_is_written_do_not_collide() -> None:
    touch("a/x.jpg", "a/X.jpg", "a/e\u0301.jpg", "a/\u00e9.jpg", "a/other.jpg")
    names = named(["a"])
    assert names["a/other.jpg"] == "out/other.jpg"
    assert len({name.casefold() for name in names.values()}) == 5
    assert all(Path(target).name.startswith(Path(source).stem) for source, target in names.items())
    assert named(["a/X.jpg", "a/x.jpg"])["a/x.jpg"] == names["a/x.jpg"]  # whatever else is there, and in any order


def test_a_view_of_before_and_after_does_not_take_a_picture_s_name() -> None:
    touch("a/x.jpg", "a/x_compare.jpg")
    jobs, _, _ = list_jobs(["a"], "out")
    files = [path for job in jobs for path in (job.target, job.comparison)]
    assert len(set(files)) == 4


def test_links(tmp_path: Path) -> None:
    touch("a/x.jpg", "a/nested/y.jpg")
    Path("a/link.jpg").symlink_to("x.jpg")
    Path("a/loop").symlink_to(tmp_path / "a", target_is_directory=True)
    Path("b").symlink_to("a", target_is_directory=True)
    expected = {"a/link.jpg": "out/link.jpg", "a/nested/y.jpg": "out/nested/y.jpg", "a/x.jpg": "out/x.jpg"}
    assert named(["a"]) == expected
    assert named(["a", "b"]) == expected  # the same pictures by another way
    assert named(["b/x.jpg", "a/x.jpg"]) == {"b/x.jpg": "out/x.jpg"}
    with pytest.raises(ColorizationError, match="would overwrite the input"):
        named(["a"], "b")


def test_existing_results_are_not_inputs() -> None:
    touch("a/x.jpg", "a/nested/y.jpg", "a/out/x.jpg", "a/out/nested/y.jpg")
    expected = {"a/x.jpg": "a/out/x.jpg", "a/nested/y.jpg": "a/out/nested/y.jpg"}
    assert named(["a"], "a/out") == expected
    assert named(["a/**/*.jpg"], "a/out") == expected
    assert named(["a/out/x.jpg"], "a/out", suffix="_again") == {"a/out/x.jpg": "a/out/x_again.jpg"}
    assert named(["a/out"], "a/out", suffix="_again").keys() == {"a/out/x.jpg", "a/out/nested/y.jpg"}


@pytest.mark.parametrize("options", [{"suffix": "_c"}, {"suffix": "_c", "file_format": "png"}])
def test_a_second_call_beside_the_originals_finds_the_same_jobs(options: dict[str, Any]) -> None:
    touch("a/x.jpg", "a/x.png", "a/y.webp", "a/nested/x.jpg")
    first, _, _ = list_jobs(["a"], "a", **options)
    touch(*(str(path) for job in first for path in (job.target, job.comparison)))
    assert list_jobs(["a"], "a", **options) == (first, [], "")
    assert list_jobs(["a/*"], "a", **options) == ([job for job in first if job.source.parent.name == "a"], [], "")


@pytest.mark.parametrize(
    ("inputs", "output", "options", "part"),
    [
        (["nowhere"], "out", {}, "nowhere: does not exist"),
        (["none"], "out", {}, "none holds no pictures"),
        (["none/*.jpg"], "out", {}, "does not exist"),
        (["a"], "a", {}, "would overwrite the input"),
        (["a/x.jpg"], "a", {"file_format": "png"}, "would overwrite the input"),
        (["a/x.jpg"], "a/x.jpg", {}, "would overwrite the input"),
        (["p/p/x.jpg", "p/x.jpg"], "p/p/../../p", {"overwrite": True}, None),
        (["p"], ".", {"overwrite": True}, "would overwrite the input p/x.jpg"),
        (["a"], "new.png", {}, "the name of one picture"),
        (["a/x.jpg", "a/y.jpg"], "new.png", {}, "the name of one picture"),
        (["a/x.jpg"], "new.png", {"suffix": "_c"}, "leave out suffix and format"),
        (["a"], "none/text", {}, "is a file: give a folder"),
    ],
)
def test_mistakes(inputs: list[str], output: str, options: dict[str, Any], part: str | None) -> None:
    touch("a/x.jpg", "a/y.jpg", "none/text", "p/x.jpg", "p/p/x.jpg")
    if part is None:
        named(inputs, output, **options)
        return
    with pytest.raises(ColorizationError) as mistake:
        list_jobs(inputs, output, **options)
    assert part in str(mistake.value)


def test_what_is_missing_does_not_stop_the_others() -> None:
    touch("a/x.jpg")
    jobs, failures, _ = list_jobs(["nowhere.jpg", "a", "b/*.jpg"], "out")
    assert [str(job.source) for job in jobs] == ["a/x.jpg"]
    assert [(failure.name, failure.text) for failure in failures] == [
        ("nowhere.jpg", "does not exist"),
        ("b/*.jpg", "does not exist"),
    ]


def test_a_folder_that_can_t_be_listed_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    touch("a/x.jpg", "a/locked/y.jpg")
    scandir = os.scandir

    def locked(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    jobs, failures, _ = list_jobs(["a"], "out")
    assert [str(job.source) for job in jobs] == ["a/x.jpg"]
    assert [(failure.name, failure.text) for failure in failures] == [("a/locked", "Permission denied")]


def test_files_that_are_not_pictures_are_counted() -> None:
    touch("a/x.jpg", "a/y.txt", "a/b/z.TXT", "a/film.MP4", "a/.hidden.txt", "a/.git/config", "a/README", "a/out/n.txt")
    assert list_jobs(["a"], "a/out").left_out == "1 .mp4 (name films one by one), 2 .txt, 1 without an ending"
    assert list_jobs(["a", "a/b", "a/film.MP4"], "out").left_out == "3 .txt, 1 without an ending"
    touch(
        *(f"b/{number}.{ending}" for number in range(3) for ending in ("bin", "csv", "doc", "exe")), "b/x.fit", "b/y.g"
    )
    with pytest.raises(
        ColorizationError, match=r"b holds no pictures, only 3 \.bin, 3 \.csv, 3 \.doc, 3 \.exe and 2 ot"
    ):
        list_jobs(["b"], "out")
    Path("a/x.heic").touch()
    if ".heic" not in SUFFIXES:
        hint = install_hint("heif")
        assert f"1 .heic ({hint}), 1 .mp4 (name films one by one), " in list_jobs(["a"], "out").left_out
