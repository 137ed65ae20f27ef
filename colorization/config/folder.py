"""The folder of configuration files: `colorization.conf` in the wheel, beside the package in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
CONF = next(folder for folder in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if folder.is_dir())
