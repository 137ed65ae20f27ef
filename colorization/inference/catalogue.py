"""Published networks of others: a YAML file each, with address, SHA-256, licence and adapter.

`conf/catalogue` has those whose SHA-256 is public. A file of your own is used in the same way: `checkpoint=mine.yaml`.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from colorization.errors import CheckpointError, ConfigError, did_you_mean, first_line
from colorization.inference.adapters import Adapter, adapter_node, build_adapter, read_yaml
from colorization.weights.downloads import fetch
from colorization.weights.onnx_files import MOST_BYTES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """An entry of the catalogue.

    Attributes:
        url: the address of an ONNX file, `https://` or `http://`; or its path, beside the entry.
        sha256: of the file.
        licence: of the weights, and whose they are.
        adapter: its name in conf/adapter, or the path of another such file.
        source: where the SHA-256 stands.
        options: of the adapter, where it differs from its file.
    """

    url: str
    sha256: str
    licence: str
    adapter: str
    source: str
    options: Mapping[str, Any] | None = None

    def build_adapter(self) -> Adapter:
        """The adapter, with the entry's options.

        Raises:
            ConfigError: it does not exist, or an option is wrong.
        """
        return build_adapter({**adapter_node(self.adapter), **(self.options or {})})


def read_entry(path: Path) -> Entry:
    """Reads an entry.

    Raises:
        ConfigError: a key is missing or unknown, or a value can't be one.
    """
    what = f"checkpoint={path}"
    content = read_yaml(path, "checkpoint")
    known = [field.name for field in fields(Entry)]
    for key in content:
        if key not in known:
            raise ConfigError(f"{what}: {key} is not a key of a network{did_you_mean(str(key), known)}")
    for key in known[:-1]:
        if not isinstance(content.get(key), str):
            raise ConfigError(f"{what} has no {key}: give {', '.join(known[:-1])}, see docs/adapters.md")
    if not re.fullmatch(r"[0-9a-f]{64}", content["sha256"]):
        raise ConfigError(f"{what}: sha256 is not one: give the 64 digits that `sha256sum FILE` prints")
    if not isinstance(content.get("options") or {}, dict):
        raise ConfigError(f"{what}: options are not keys with values: give for example {{scale: 255}}")
    return Entry(**content)


def locate_graph(entry: Entry, path: Path) -> Path:
    """The local path of an entry's ONNX file, downloaded once if it has an address.

    Args:
        entry: the entry.
        path: its file.

    Raises:
        CheckpointError: it can't be downloaded, or is another file.
    """
    if urlsplit(entry.url).scheme not in ("https", "http"):
        if "://" in entry.url:
            raise ConfigError(f"checkpoint={path}: url={entry.url} is not an address: give https://... or a path")
        return path.parent / Path(entry.url).expanduser()
    log.info("%s, licence: %s", entry.url, entry.licence)
    try:
        return fetch(entry.url, entry.sha256, MOST_BYTES)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"checkpoint {path} can't be fetched from {entry.url}: {first_line(error)}; get the file in another way "
            f"and give checkpoint=FILE.onnx adapter={entry.adapter}"
        ) from error
