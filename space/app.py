"""A Hugging Face Space: the page of `colorize-app`, open to all, with tighter limits."""

from colorization.app.models import Models
from colorization.app.server import serve
from colorization.app.serving import Serving
from colorization.app.work import Limits
from colorization.checkpoints.shipped import DEFAULT_MODEL

if __name__ == "__main__":
    serve(
        Models({"default": DEFAULT_MODEL}),
        Limits(max_files=10, max_pixels=25_000_000, max_seconds=120),
        Serving("0.0.0.0", max_upload_mb=50, max_resolution=512, keep_minutes=15, framed_by="https://huggingface.co"),
    )
