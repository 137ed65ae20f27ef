"""Jobs of a prediction: the pictures to colour, and the names of their results."""

import hashlib
import itertools
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from colorization.errors import ColorizationError, ConfigError
from colorization.imagefiles import FILM_SUFFIXES, FORMATS, is_film, is_picture, output_name
from colorization.imagefiles.heif import HEIF_SUFFIXES
from colorization.runtime.files import expand, matching
from colorization.runtime.installation import install_hint

# Endings that are named in a count of files.
_MOST_ENDINGS = 4
# Maximum length of a file name in bytes, on nearly all file systems.
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Source:
    """A picture to colour: `root / name`.

    Args:
        root: the input folder, or the folder of an input file.
        name: the path relative to it, kept in the output folder.
    """

    root: Path
    name: str

    @property
    def path(self) -> Path:
        return self.root / self.name


@dataclass(frozen=True)
class Job:
    """A picture, its coloured result, and the side-by-side view of both."""

    source: Path
    target: Path

    @property
    def comparison(self) -> Path:
        return self.target.with_name(_shortened(self.target.stem, f"_compare{self.target.suffix}"))


def _shortened(stem: str, ending: str) -> str:
    """A file name within the maximum length: a long stem is cut, and gets a hash."""
    whole, room = os.fsencode(stem), _LONGEST_NAME - len(os.fsencode(ending))
    if len(whole) <= room:
        return stem + ending
    digest = hashlib.sha256(whole).hexdigest()[:8]
    return f"{whole[: room - 9].decode(errors='ignore')}~{digest}{ending}"


@dataclass(frozen=True)
class Remark:
    """A remark about a picture, or about an input."""

    name: str
    text: str


class Listing(NamedTuple):
    """What a prediction has to do.

    Attributes:
        jobs: the pictures, in a fixed order.
        failures: the inputs without a job.
        left_out: the visible files of input folders that are not pictures, counted by ending, for the user; empty if
            there are none.
    """

    jobs: list[Job]
    failures: list[Remark]
    left_out: str


def list_jobs(
    inputs: Sequence[str],
    output: str,
    *,
    recursive: bool = True,
    suffix: str | None = None,
    file_format: str | None = None,
    overwrite: bool = False,
) -> Listing:
    """The jobs, the inputs without a job, and what folders hold besides.

    Args:
        inputs: files, folders and glob patterns.
        output: the output folder; for a single file also its new name.
        recursive: whether to include sub-folders.
        suffix: added to a name, before its ending.
        file_format: an ending of `writable_endings`, in lower case; None keeps each picture's.
        overwrite: whether a coloured picture may replace its original.

    Raises:
        ColorizationError: there is nothing to colour, or an original would be lost.
    """
    folder = expand(output)
    sources, failures, others = find_sources(inputs, folder, recursive)
    if not sources:
        reasons = [f"{failure.name}: {failure.text}" for failure in failures]
        only = f", only {count_endings(others)}" if others else ""
        reason = ", ".join(reasons) or f"{', '.join(inputs)} holds no pictures{only}"
        raise ColorizationError(f"input={reason}; give a picture or a folder of pictures")
    if (is_picture(output) or is_film(Path(output))) and not output.endswith(os.sep) and not folder.is_dir():
        if len(sources) > 1 or not expand(inputs[0]).is_file():
            raise ConfigError(f"output={output} is the name of one picture: give a folder for several pictures")
        if suffix is not None or file_format is not None:
            raise ConfigError(f"output={output} sets the name and the format: leave out suffix and format")
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
    written = {_place(job.target) for job in jobs}
    return Listing(jobs, failures, count_endings([path for path in others if _place(path) not in written]))


def count_endings(files: Iterable[Path]) -> str:
    """Files that are not pictures, counted by ending, in words: `2 .mp4 (name films one by one), 1 .txt`."""
    counts = Counter(path.suffix.lower() for path in files)
    why = dict.fromkeys(FILM_SUFFIXES, " (name films one by one)") | dict.fromkeys(
        HEIF_SUFFIXES, f" ({install_hint('heif')})"
    )
    order = sorted(counts, key=lambda ending: (ending not in why, -counts[ending], ending))
    parts = [f"{counts[each]} {each or 'without an ending'}{why.get(each, '')}" for each in order[:_MOST_ENDINGS]]
    rest = sum(counts[each] for each in order[_MOST_ENDINGS:])
    return ", ".join(parts) + (f" and {rest} other{'s' if rest > 1 else ''}" if rest else "")


def find_sources(inputs: Iterable[str], output: Path, recursive: bool) -> tuple[list[Source], list[Remark], list[Path]]:
    """All pictures of `inputs`, without repetition, the inputs that were not found, and the other visible files in
    input folders. Files in the output folder are not inputs, unless they are given themselves.
    """
    found: dict[tuple[str, str], Source] = {}
    failures: list[Remark] = []
    others: list[Path] = []
    for given in inputs:
        path = expand(given)
        if path.is_dir():
            sources = list(_walk(path, output, recursive, failures, others))
        elif os.path.lexists(path):
            sources = [Source(path.parent, path.name)]
        else:
            sources = list(_matches(given, output))
            if not sources:
                failures.append(Remark(given, "does not exist"))
        for source in sources:
            found.setdefault(_place(source.path), source)
    others = [path for place, path in {_place(path): path for path in others}.items() if place not in found]
    return list(found.values()), failures, others


def _walk(root: Path, output: Path, recursive: bool, failures: list[Remark], others: list[Path]) -> Iterator[Source]:
    def unreadable(error: OSError) -> None:
        failures.append(Remark(str(error.filename), str(error.strerror)))

    forbidden = os.path.realpath(output)
    for folder, below, names in os.walk(root, onerror=unreadable):
        below[:] = sorted(name for name in below if recursive and os.path.realpath(Path(folder, name)) != forbidden)
        is_hidden = any(part.startswith(".") for part in Path(folder).relative_to(root).parts)
        for name in sorted(names):
            if is_picture(name):
                yield Source(root, Path(folder, name).relative_to(root).as_posix())
            elif not is_hidden and not name.startswith("."):
                others.append(Path(folder, name))


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
    """A unique name in the output folder for each picture, also on file systems that ignore case.

    A picture keeps its own name if it is unique. Otherwise it also gets its old ending (`x.jpg.png`), or as many of its
    folders as make it unique (`2019/x.jpg`, `2020/x.jpg`), or else a hash of its path. Names depend on the paths only,
    so that a second call finds the results of the first.
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
    """The name of a coloured picture or film; PNG if its own format can't be written.

    From level 1 a replaced ending is kept as well; each level from 2 adds one folder of the root's path.
    """
    stem, old = os.path.splitext(source.name)
    new = os.path.splitext(output_name(source.name))[1]
    if is_film(source.path):
        new = old
    elif file_format is not None and FORMATS.get(old.lower().removeprefix(".")) != FORMATS[file_format]:
        new = f".{file_format}"
    elif not is_picture(f"_{new}"):
        new = ".png"
    if level and new != old:
        stem += old
    above = source.root.absolute().parts[1:]
    name = f"{stem}{suffix}{new}"
    return "/".join((*above[max(len(above) - level + 1, 0) :], name)) if level > 1 else name


def _alike(names: Sequence[str]) -> list[list[int]]:
    """Groups of names that collide on a file system that ignores case and Unicode normalization, as indices."""
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
    """Checks that no original is overwritten, except by its own result if `overwrite`.

    Args:
        beside: whether results may be in the folder of their originals, under another name.
    """
    sources = {_place(job.source) for job in jobs}
    for job in jobs:
        source, target = _place(job.source), _place(job.target)
        if target in sources and target != source:
            raise ConfigError(f"{job.source}, coloured, would overwrite the input {job.target}: give another output")
        if not overwrite and (target == source or (not beside and target[0] == source[0])):
            raise ConfigError(
                f"output={job.target.parent} would overwrite the input {job.source}: give another folder or a suffix, "
                "or overwrite=true to replace it"
            )


def _place(path: Path) -> tuple[str, str]:
    """Identifies a file by its resolved folder and its name; links stay distinct, because writing replaces the link."""
    return os.path.realpath(path.parent), path.name
