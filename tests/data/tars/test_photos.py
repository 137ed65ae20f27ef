"""Photos in shards: the same from a disk and from a store, checked, and split by their names."""

import multiprocessing
from pathlib import Path

import pytest

from colorization.config.mistakes import explain
from colorization.errors import DataError
from tests.helpers.shards import damage, everything, module, pixels
from tests.helpers.stores import Web, make_tar


@pytest.mark.parametrize("form", ["folder", "slash", "braces", "list", "memory"])
def test_photos_of_a_store_are_those_of_the_disk(shards: Path, web: Web, memory: str, form: str) -> None:
    names = sorted(path.name for path in shards.glob("*.tar"))
    roots: dict[str, str | list[str]] = {
        "folder": f"{web.url}/shards",
        "slash": f"{web.url}/shards/",
        "braces": f"{web.url}/shards/{{{','.join(names)}}}",
        "list": [f"{web.url}/shards/{name}" for name in names],
        "memory": memory,
    }
    here, there = module(str(shards)), module(roots[form])
    assert pixels(everything(there)) == pixels(everything(here))
    for split in ("train", "val"):
        one, other = here.photos(split), there.photos(split)
        assert one is not None
        assert other is not None
        assert [one.name(i) for i in range(len(one))] == [other.name(i) for i in range(len(other))]
    assert everything(there).fingerprint() == everything(here).fingerprint()


def test_an_error_in_a_loader_process_is_one_sentence(shards: Path, web: Web) -> None:
    data = module(f"{web.url}/shards", num_workers=1)
    data.setup("fit")
    web.failures.update({path.name: 10**6 for path in shards.glob("*.tar")})
    loader = data.train_dataloader()
    with pytest.raises(DataError) as error:
        list(loader)
    # It has the server's socket open, too, and would wait for an answer once the server is gone.
    for process in multiprocessing.active_children():
        process.kill()  # it ignores a request to stop
        process.join()
    assert explain(error.value).startswith(f"{web.url}/shards/train-")
    assert "\n" not in explain(error.value)


def test_a_corrupt_photo_is_unreadable(shards: Path) -> None:
    damage(shards / "train-00001.tar")
    data = module(str(shards), max_unreadable=0.5)
    data.setup("fit")
    seen = []
    for batch in data.train_dataloader():
        seen += data.on_before_batch_transfer(batch, 0)["name"]
    (unreadable,) = data.skipped.unreadable
    assert unreadable.startswith("train-00001.tar/")
    assert "differs from the one in the manifest" in data.skipped.found[unreadable].reason
    assert unreadable not in seen


def splits_of(folder: Path, *names: str) -> dict[str, set[str]]:
    """Which tars the photos of each split come from."""
    folder.mkdir()
    for number, name in enumerate(names):
        make_tar(folder / f"{name}.tar", 6, 10 * number)
    data = module(str(folder), val_share=0.5)
    lists = {split: data.photos(split) for split in ("train", "val", "test")}
    return {
        split: {photos.name(index).split(".")[0] for index in range(len(photos))}
        for split, photos in lists.items()
        if photos is not None
    }


def test_names_of_shards_say_what_is_held_out(tmp_path: Path) -> None:
    for number, (rest, val, test) in enumerate(
        (
            (["train-0"], ["validation-0"], []),
            (["a-0"], ["val-0"], []),
            (["extra-0", "train-0", "valley-0", "validate", "testing"], ["val", "val_1", "valid.2"], ["test-0"]),
        )
    ):
        found = splits_of(tmp_path / str(number), *rest, *val, *test)
        expected = {"train": set(rest), "val": {name.split(".")[0] for name in val}, "test": set(test)}
        assert found == {split: names for split, names in expected.items() if names}


def test_photos_are_held_out_by_hash_where_no_shard_says_which(tmp_path: Path) -> None:
    for number, names in enumerate((["train-0", "train-1"], ["a", "valley"], ["val-0", "val-1"])):
        found = splits_of(tmp_path / str(number), *names)
        assert found == {"train": set(names), "val": set(names)}
    found = splits_of(tmp_path / "with test", "a", "b", "test")
    assert found == {"train": {"a", "b"}, "val": {"a", "b"}, "test": {"test"}}


def test_shards_of_the_same_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for number, folder in enumerate(("x/a", "x/b", "y/b")):
        (tmp_path / folder).mkdir(parents=True)
        make_tar(tmp_path / folder / "train.tar", 4, 10 * number)
    make_tar(tmp_path / "y" / "b" / "val.tar", 4, 50)
    a, b, other = (str(tmp_path / folder) for folder in ("x/a", "x/b", "y/b"))
    names = [name for name, _ in pixels(everything(module([a, b])))]
    assert names == [
        f"{folder}/train.tar/{number:03d}.png"
        for folder, first in (("a", 0), ("b", 10))
        for number in range(first, first + 4)
    ]
    data = module([a, b, other])
    shards = ["x/a/train.tar", "x/b/train.tar", "y/b/train.tar", "val.tar"]
    assert list(dict.fromkeys(name.rpartition("/")[0] for name, _ in pixels(everything(data)))) == shards
    val = data.photos("val")
    assert val is not None
    assert {val.name(index).rpartition("/")[0] for index in range(len(val))} == {"val.tar"}


def test_another_folder_changes_nothing_about_what_is_held_out(tmp_path: Path) -> None:
    for number, folder in enumerate("ab"):
        (tmp_path / folder).mkdir()
        make_tar(tmp_path / folder / "x.tar", 12, 20 * number)

    def held_out(*folders: str) -> set[str]:
        photos = module([str(tmp_path / folder) for folder in folders], val_share=0.5).photos("val")
        assert photos is not None
        return {photos.name(index).rpartition("/")[2] for index in range(len(photos))}

    assert held_out("a", "b") == held_out("a") | held_out("b")
