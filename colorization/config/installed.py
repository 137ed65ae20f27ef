"""YAML that other installed packages bring: each names the package that its groups are in by an entry point of the
group `colorization.conf`, and its files can be chosen like those in conf/.
"""

from importlib.metadata import entry_points

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

GROUP = "colorization.conf"


class InstalledConfigs(SearchPathPlugin):
    """Adds them behind conf/, whose files so stay what they are, and before the folder of `--config-dir`."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra before it composes."""
        for entry in entry_points(group=GROUP):
            search_path.append(provider=entry.name, path=f"pkg://{entry.value}")
