"""Names in one block of bytes, and the order in which a folder's are found."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colorization.data.folder import FolderDataModule
from colorization.data.names import Names
from colorization.data.photos import SelectedPhotos
from colorization.data.splits import Splits
from colorization.imagefiles import find_pictures

# Bytes of a name that are no UTF-8 are lone surrogates in Python's strings.
texts = st.lists(st.binary(min_size=0, max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape")))


@given(texts)
def test_names_are_what_they_were(listed: list[str]) -> None:
    names = Names(listed)
    assert list(names) == [names[index] for index in range(len(names))] == names[:] == listed
    assert [names[-1 - index] for index in range(len(names))] == listed[::-1]
    assert list(Names.of_block(names.block, names.ends)) == listed
    assert list(pickle.loads(pickle.dumps(names))) == listed
    with pytest.raises(IndexError):
        names[len(listed)]


@pytest.mark.parametrize("ends", [[1, 3, 2], [-1, 3], [1, 2], [1, 4], [], [3, 3, 2**40]])
def test_ends_of_no_names_are_refused(ends: list[int]) -> None:
    with pytest.raises(ValueError, match="do not match"):
        Names.of_block(b"abc", np.array(ends, dtype=np.int64))


@pytest.mark.parametrize(
    "ends",
    [
        np.array([[1], [2], [3]]),
        np.array(3),
        np.array([1.0, 3.0]),
        np.array([2**62 + 2**61, -(2**62) - 2**61, 3]),  # differences that wrap are positive
        np.array([2**64 - 1, 3], dtype=np.uint64),
    ],
)
def test_ends_that_no_index_has_are_refused(ends: np.ndarray) -> None:
    with pytest.raises(ValueError, match="names"):
        Names.of_block(b"abc", ends)


def test_one_very_long_name_does_not_make_the_others_long() -> None:
    names = Names([*(f"{number}.jpg" for number in range(1000)), "x" * 5000])
    assert len(names.block) + names.ends.nbytes < 5000 + 1000 * (8 + 8)


def test_pictures_are_found_in_the_order_of_their_names(tmp_path: Path) -> None:
    listed = ["a.jpg", "a/z.jpg", "a b/x.jpg", "a-b/x.jpg", "a0/x.jpg", "a/b/c.png", "b.png", "B/x.webp", "é/x.jpg"]
    for name in (*listed, "a.txt", ".hidden.jpg", "notes/readme"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert find_pictures(tmp_path) == sorted(listed)


def test_all_splits_share_one_list_of_names(photos: Path) -> None:
    data = FolderDataModule(str(photos), size=32, batch_size=2)
    lists = [data.photos(split) for split in ("train", "val", "all")]
    assert all(isinstance(photos, SelectedPhotos) for photos in lists)
    assert len({id(photos.photos) for photos in lists if isinstance(photos, SelectedPhotos)}) == 1


@given(st.integers(2, 60), st.floats(0.01, 0.99))
def test_both_splits_have_photos(count: int, share: float) -> None:
    splits = Splits([f"{number}.jpg" for number in range(count)], share)
    train, val = splits.indices("train"), splits.indices("val")
    assert train is not None
    assert val is not None
    assert len(train)
    assert len(val)
    assert sorted([*train, *val]) == list(range(count))
    assert splits.indices("test") is None
    assert splits.own_test is None
