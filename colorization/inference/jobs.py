"""Which pictures are to be coloured, and under which name each of them is written."""

import hashlib
import itertools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from colorization.errors import ColorizationError, ConfigError
from colorization.imagefiles import is_film, is_picture, output_name
from colorization.runtime.files import expand, matching

# Formats that keep colours well; the ending is the one that a changed name gets.
FORMATS = ("jpg", "jpeg", "png", "webp", "avif", "tif", "tiff", "bmp")


@dataclass(frozen=True)
class Source:
    """A picture to colour: `root / name`.

    Args:
        root: the folder that was given, or the one that a given file is in.
        name: the path below it, which the coloured picture gets below the output folder.
    """

    root: Path
    name: str

    @property
    def path(self) -> Path:
        return self.root / self.name


@dataclass(frozen=True)
class Job:
    """A picture, where it goes to when coloured, and where the view of before and after goes to."""

    source: Path
    target: Path

    @property
    def comparison(self) -> Path:
        return self.target.with_name(f"{self.target.stem}_compare{self.target.suffix}")


@dataclass(frozen=True)
class Remark:
    """Something to say about a picture, or about a name that was given."""

    name: str
    text: str


def list_jobs(
    inputs: Sequence[str],
    output: str,
    *,
    recursive: bool = True,
    suffix: str | None = None,
    file_format: str | None = None,
    overwrite: bool = False,
) -> tuple[list[Job], list[Remark]]:
    """What is to be done, in a fixed order, and the inputs that there is nothing to be done for.

    Args:
        inputs: files, folders and glob patterns.
        output: the folder for coloured pictures; for a single file it may be the name of the coloured one.
        recursive: whether folders below a folder count.
        suffix: put between a name and its ending.
        file_format: one of `FORMATS`; None keeps each picture's.
        overwrite: whether a coloured picture may take its original's place.

    Raises:
        ColorizationError: there is nothing to colour, or an original would be lost.
    """
    folder = expand(output)
    sources, failures = find_sources(inputs, folder, recursive)
    if not sources:
        reasons = [f"{failure.name}: {failure.text}" for failure in failures]
        reason = ", ".join(reasons) or f"{', '.join(inputs)} holds no pictures"
        raise ColorizationError(f"input={reason}; give a picture or a folder of pictures")
    if (is_picture(output) or is_film(Path(output))) and not output.endswith(os.sep) and not folder.is_dir():
        if len(sources) > 1 or not expand(inputs[0]).is_file():
            raise ConfigError(f"output={output} is the name of one picture: give a folder for what comes of several")
        if suffix is not None or file_format is not None:
            raise ConfigError(f"output={output} says the name and the format: leave out suffix and format")
        jobs = [Job(sources[0].path, folder)]
        beside = True
    elif folder.exists() and not folder.is_dir():
        raise ConfigError(f"output={output} is a file: give a folder")
    else:
        names = distinct_names(sources, suffix or "", file_format)
        jobs = [Job(source.path, folder / name) for source, name in zip(sources, names, strict=True)]
        beside = suffix is not None
    jobs = _without_outputs(jobs, suffix)
    _keep_originals(jobs, beside, overwrite)
    return jobs, failures


def find_sources(inputs: Iterable[str], output: Path, recursive: bool) -> tuple[list[Source], list[Remark]]:
    """All pictures that `inputs` name, each once, and what was not found. Nothing below the output folder is an input,
    unless it is given itself.
    """
    found: dict[tuple[str, str], Source] = {}
    failures: list[Remark] = []
    for given in inputs:
        path = expand(given)
        if path.is_dir():
            sources = list(_walk(path, output, recursive, failures))
        elif os.path.lexists(path):
            sources = [Source(path.parent, path.name)]
        else:
            sources = list(_matches(given, output))
            if not sources:
                failures.append(Remark(given, "does not exist"))
        for source in sources:
            found.setdefault(_place(source.path), source)
    return list(found.values()), failures


def _walk(root: Path, output: Path, recursive: bool, failures: list[Remark]) -> Iterator[Source]:
    def unreadable(error: OSError) -> None:
        failures.append(Remark(str(error.filename), str(error.strerror)))

    forbidden = os.path.realpath(output)
    for folder, below, names in os.walk(root, onerror=unreadable):
        below[:] = sorted(name for name in below if recursive and os.path.realpath(Path(folder, name)) != forbidden)
        for name in sorted(filter(is_picture, names)):
            yield Source(root, Path(folder, name).relative_to(root).as_posix())


def _matches(pattern: str, output: Path) -> Iterator[Source]:
    root = Path(*itertools.takewhile(lambda part: not re.search(r"[*?[]", part), expand(pattern).parts))
    forbidden = output.resolve()
    has_output_inside = root.resolve() in forbidden.parents
    for match in map(Path, matching(pattern)):
        if not (is_picture(match.name) or is_film(match)) or match.is_dir():
            continue
        if not (has_output_inside and forbidden in (match.parent.resolve() / match.name).parents):
            yield Source(root, match.relative_to(root).as_posix())


def distinct_names(sources: Sequence[Source], suffix: str, file_format: str | None) -> list[str]:
    """A name below the output folder for each picture, no two alike, even where upper and lower case are one.

    It is the picture's own name where no other has it. Where several do, each of them keeps the ending it had as well
    (`x.jpg.png`), or as many of the folders it came from as tell it apart (`2019/x.jpg`, `2020/x.jpg`), or else gets a
    hash of its path. It depends on nothing but the paths, so that a second call finds what the first has written.
    """
    names = [_name(source, suffix, file_format, 0) for source in sources]
    for group in _alike(names):
        depth = max(len(sources[index].root.absolute().parts) for index in group)
        for level in range(1, depth + 1):
            candidates = [_name(sources[index], suffix, file_format, level) for index in group]
            if not _alike(candidates):
                for index, name in zip(group, candidates, strict=True):
                    names[index] = name
                break
    comparisons = [Job(Path(), Path(name)).comparison.as_posix() for name in names]
    for group in _alike([*names, *comparisons]):
        for index in {index % len(names) for index in group}:
            digest = hashlib.sha256(os.fsencode(sources[index].path.absolute())).hexdigest()[:12]
            names[index] = _name(sources[index], f"_{digest}{suffix}", file_format, 0)
    return names


def _name(source: Source, suffix: str, file_format: str | None, level: int) -> str:
    """The name of a coloured picture or film; where the ending says no format that can be written, it becomes a PNG.

    From level 1 on an ending that changes is kept as well, and from level 2 on each adds one folder of the root's path.
    """
    stem, old = os.path.splitext(source.name)
    new = os.path.splitext(output_name(source.name))[1]
    formats = Image.registered_extensions()
    if is_film(source.path):
        new = old
    elif file_format is not None and formats.get(old.lower()) != formats[f".{file_format}"]:
        new = f".{file_format}"
    elif not is_picture(f"_{new}"):
        new = ".png"
    if level and new != old:
        stem += old
    above = source.root.absolute().parts[1:]
    name = f"{stem}{suffix}{new}"
    return "/".join((*above[max(len(above) - level + 1, 0) :], name)) if level > 1 else name


def _alike(names: Sequence[str]) -> list[list[int]]:
    """The indices of names that are the same to a file system that ignores case and ways to write an accent."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        groups[unicodedata.normalize("NFC", name).casefold()].append(index)
    return [group for group in groups.values() if len(group) > 1]


def _without_outputs(jobs: Sequence[Job], suffix: str | None) -> list[Job]:
    """Leaves out pictures that an earlier call wrote beside their originals."""
    written = {_place(job.comparison) for job in jobs}
    if suffix is not None:
        written |= {_place(job.target) for job in jobs}
    return [job for job in jobs if _place(job.source) not in written]


def _keep_originals(jobs: Sequence[Job], beside: bool, overwrite: bool) -> None:
    """Makes sure that no original is lost, but to its own coloured copy if `overwrite`.

    Args:
        beside: whether coloured pictures may lie beside their originals, under another name.
    """
    sources = {_place(job.source) for job in jobs}
    for job in jobs:
        source, target = _place(job.source), _place(job.target)
        if target in sources and target != source:
            raise ConfigError(f"{job.source}, coloured, would overwrite the input {job.target}: give another output")
        if not overwrite and (target == source or (not beside and target[0] == source[0])):
            raise ConfigError(
                f"output={job.target.parent} would overwrite the input {job.source}: give another folder or a suffix, "
                "or overwrite=true if the coloured picture is to take its place"
            )


def _place(path: Path) -> tuple[str, str]:
    """The same for two ways to name a file, not for two links to it: writing replaces a link, not what it leads to."""
    return os.path.realpath(path.parent), path.name
