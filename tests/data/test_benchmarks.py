"""Named sets of photos: which, and whether they are the right files."""

import hashlib
from pathlib import Path

import pytest

from colorization.config.instantiate import instantiate
from colorization.data.benchmarks import Benchmark
from colorization.data.folder import FolderPhotos
from colorization.errors import ConfigError, DataError
from colorization.imagefiles import find_pictures
from tests.helpers.photos import MadePhotos, make_photo
from tests.helpers.runs import Compose, options


@pytest.fixture
def folder(tmp_path: Path) -> FolderPhotos:
    """p1.png to p4.png, the last in a sub-folder, and a stranger."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    for number in range(1, 5):
        make_photo(seed=number).save(root / ("sub" if number == 4 else ".") / f"p{number}.png")
    make_photo(seed=9).save(root / "stranger.png")
    return FolderPhotos(root, find_pictures(root))


def names(photos: FolderPhotos, found: list[int]) -> list[str]:
    return [photos.name(index) for index in found]


def test_photos_by_numbers_by_pattern_and_by_list(folder: FolderPhotos, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("/n01/p4.png 7\n/n02/p1.png 3\n\n")
    for benchmark, expected in (
        (Benchmark("a", "there", count=4, names="p{:d}.png"), ["p1.png", "p2.png", "p3.png", "sub/p4.png"]),
        (Benchmark("a", "there", count=4, pattern=r"p\d\.png"), ["p1.png", "p2.png", "p3.png", "sub/p4.png"]),
        (Benchmark("a", "there", list=str(tmp_path / "list.txt")), ["sub/p4.png", "p1.png"]),
    ):
        found = benchmark.find(folder)
        assert names(folder, found.indices.tolist()) == expected
        assert not found.checked
        for index, digest in zip(found.indices.tolist(), found.hashes.values(), strict=True):
            assert digest == hashlib.sha256((folder.root / folder.name(index)).read_bytes()).hexdigest()


def test_what_one_evaluation_writes_the_next_one_checks(folder: FolderPhotos, tmp_path: Path) -> None:
    first = Benchmark("a", "there", count=3, names="p{:d}.png").find(folder)
    first.write(tmp_path / "photos.csv")
    again = Benchmark("a", "there", count=3, names="p{:d}.png", list=str(tmp_path / "photos.csv"))
    second = again.find(folder)
    assert second.checked
    assert second.digest == first.digest
    text = (tmp_path / "photos.csv").read_text()
    (tmp_path / "photos.csv").write_text(text, encoding="utf-8-sig")  # as Excel writes it
    assert again.find(folder).checked
    make_photo(seed=99).save(folder.root / "p2.png")
    with pytest.raises(DataError, match=r"1 of its 3 photos are other files than those of the list, p2.png: get them"):
        again.find(folder)
    (folder.root / "p3.png").unlink()
    with pytest.raises(DataError, match=r"lacks 1 of its 3 photos, p3.png: get them from there"):
        again.find(FolderPhotos(folder.root, find_pictures(folder.root)))


def test_mistakes(folder: FolderPhotos, tmp_path: Path) -> None:
    make_photo(seed=1).save(folder.root / "sub" / "p1.png")
    twice = FolderPhotos(folder.root, find_pictures(folder.root))
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "wrong.csv").write_text("name,sha256\np1.png,abc\n")
    (tmp_path / "short.txt").write_text("p2.png\n")
    for benchmark, error, message in (
        (Benchmark("a", "there", count=2, names="p{:d}.png"), DataError, "finds 1 photos more than once, p1.png"),
        (Benchmark("a", "there", count=9, pattern=r"p\d.png"), DataError, "has 9 photos, but 4 are there"),
        (Benchmark("a", "there"), ConfigError, "needs the list of its photos: give benchmark.list=FILE from there"),
        (Benchmark("a", "there", list=f"{tmp_path}/none.txt"), ConfigError, "can't be read as text"),
        (Benchmark("a", "there", list=f"{tmp_path}/empty.txt"), ConfigError, "is empty"),
        (Benchmark("a", "there", list=f"{tmp_path}/wrong.csv"), ConfigError, "sha256 of p1.png is not 64"),
        (Benchmark("a", "there", count=2, list=f"{tmp_path}/short.txt"), DataError, "but 1 are in"),
    ):
        with pytest.raises(error, match=message):
            benchmark.find(twice)
    with pytest.raises(DataError, match="give data=folder"):
        Benchmark("a", "there", photos=[f"{0:064d} 0"]).find(MadePhotos(2))


@pytest.mark.parametrize("name", options("benchmark"))
def test_every_benchmark_composes_with_its_protocol(compose_config: Compose, name: str) -> None:
    photos = [] if name == "degraded" else ["data=folder", "data.root=photos"]
    config = compose_config(f"benchmark={name}", *photos, "data.size=64", script="evaluate")
    benchmark = instantiate(config["benchmark"], "benchmark")
    assert benchmark.name == name
    assert config["protocol"]["size"] == 256
    assert config["data"]["degrade"] == ("old" if name == "degraded" else "none")
