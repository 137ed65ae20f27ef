"""Configuration files of other installed packages: an entry point of the group `colorization.conf` names a package
with configuration groups, whose files are options like those in conf/.
"""

from importlib.metadata import entry_points

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

GROUP = "colorization.conf"


class InstalledConfigs(SearchPathPlugin):
    """Adds them to Hydra's search path after conf/, which takes precedence, and before the folder of `--config-dir`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra before composing."""
        for entry in entry_points(group=GROUP):
            search_path.append(provider=entry.name, path=f"pkg://{entry.value}")
