"""The model that comes with this package."""

from pathlib import Path

DEFAULT = "default"
DEFAULT_MODEL = Path(__file__).parent.parent / "models" / "default.safetensors"


def located(name: str) -> Path:
    """The path that an option `checkpoint` means: `default` for the shipped model, otherwise a path."""
    return DEFAULT_MODEL if name == DEFAULT else Path(name).expanduser()
