"""What Gradio does for a page that it launches itself, and not for one that is mounted: by private names."""

from collections.abc import Callable
from typing import Any


def take_uploads_only(page: Any) -> None:
    """Makes Gradio check that a file which a visitor names was uploaded.

    Sets `Blocks.has_launched`: otherwise any path of this machine is taken.
    """
    page.has_launched = True


def end_heartbeats(application: Any) -> Callable[[], object]:
    """What ends the connections of open tabs, for which a server that ends would wait.

    Wraps `stop_event` of the application that `mount_gradio_app` mounts last.
    """
    end: Callable[[], object] = application.routes[-1].app.stop_event.set
    return end
