"""The page: what it shows, and what its buttons do. Built with Gradio."""

import html
import math
import time
from pathlib import Path
from typing import Any

import gradio as gr

from colorization.app.models import Models, Wishes
from colorization.app.sessions import Session, Sessions
from colorization.app.work import Job, Limits, Outcome, Progress
from colorization.errors import ColorizationError
from colorization.imagefiles import FILM_SUFFIXES, SUFFIXES
from colorization.inference.jobs import Remark

_LOWEST_RESOLUTION = 64
_PLAYABLE = (".mp4", ".webm")
_EMPTY = "Drop a photo, several, or a film: it is coloured at once."
CSS = """
#report { min-height: 4rem }
#report .pending { opacity: 0 }
#report p, #report ul { margin: 0 0 .5rem }
#slider img { object-fit: contain }
footer { display: none !important }
"""
# Screen readers announce what happens in a live region only if it was one before.
_LIVE = "() => document.getElementById('report').setAttribute('role', 'status')"


class Handlers:
    """What the page does.

    Args:
        models: what visitors may choose from.
        sessions: where their files lie.
        limits: of a job.
    """

    def __init__(self, models: Models, sessions: Sessions, limits: Limits) -> None:
        self.models, self.sessions, self.limits = models, sessions, limits

    def take(self, files: list[str], request: gr.Request) -> None:
        """Notes uploads, and that they are to be coloured: at once, because a job may have to wait for others.

        Raises:
            ColorizationError: they are not uploads.
        """
        self.sessions.of(str(request.session_hash)).take(map(Path, files))
        self.ask(request)

    def ask(self, request: gr.Request) -> None:
        """Notes that the newest uploads are to be coloured: stopping ends what was asked for before."""
        self.sessions.of(str(request.session_hash)).asked = time.monotonic()

    def color(
        self,
        model: str,
        vividness: float | None,
        saturation: float,
        resolution: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 (Gradio finds it by its default)
    ) -> list[Any]:
        """Colours the newest uploads; returns updates for the parts of `build` that show results, and an empty place
        for more.
        """
        session = self.sessions.of(str(request.session_hash))
        has_vividness = model in self.models.knobs and self.models.knobs[model].vividness is not None
        wishes = Wishes(model, int(resolution), saturation, vividness if has_vividness else None)

        def show(done: float, total: int, words: str) -> None:
            progress(done / total, desc=words)

        with session.busy:
            if not session.closed:
                session.show(self._run(session, wishes, show))
            session.used = time.monotonic()
        return [*self._result(session, 0), *self._summary(session.outcome), None]

    def _run(self, session: Session, wishes: Wishes, show: Progress) -> Outcome:
        asked = session.asked
        try:
            with self.models.colorizer(wishes) as colorizer:
                job = Job(colorizer, session.folder, self.limits, lambda: session.stopped > asked, show)
                return job.run(session.uploads)
        except (ColorizationError, OSError) as error:  # OSError: a full disk
            return Outcome(failed=[Remark("Nothing was coloured", getattr(error, "strerror", None) or str(error))])

    def show(self, index: int, request: gr.Request) -> list[Any]:
        """Shows another one of the results."""
        return self._result(self.sessions.of(str(request.session_hash)), index)

    def _result(self, session: Session, index: int) -> list[Any]:
        colored = session.outcome.colored
        if not 0 <= index < len(colored):
            return [gr.update(value=None, visible=False) for _ in range(3)]
        result = colored[index]
        film = result.path if result.path.suffix.lower() in _PLAYABLE else None
        return [
            gr.update(value=(str(result.before), str(result.after)), visible=True),
            gr.update(value=film and str(film), visible=film is not None),
            gr.update(label=f"Download {result.path.name}", value=str(result.path), visible=True),
        ]

    def _summary(self, outcome: Outcome) -> list[Any]:
        several = len(outcome.colored) > 1
        choices = [(f"{number}. {result.name}", number - 1) for number, result in enumerate(outcome.colored, 1)]
        return [
            gr.update(choices=choices, value=0 if several else None, visible=several),
            gr.update(value=outcome.archive and str(outcome.archive), visible=several),
            report(outcome),
        ]

    def choose(self, model: str) -> list[Any]:
        """Sets the sliders to a model's own values."""
        knobs = self.models.knobs[model]
        return [
            gr.update(value=knobs.vividness, visible=knobs.vividness is not None),
            gr.update(value=knobs.resolution),
        ]

    def stop(self, request: gr.Request) -> None:
        """Ends the visitor's jobs."""
        self.sessions.stop(str(request.session_hash))

    def leave(self, request: gr.Request) -> None:
        """Removes the visitor's files."""
        self.sessions.close(str(request.session_hash))


def report(outcome: Outcome) -> str:
    """What became of a job, as HTML."""
    done, total = len(outcome.colored), len(outcome.colored) + len(outcome.failed)
    if not total:
        return f"<p>{_EMPTY}</p>"
    first = f"{done} of {total} files coloured." if total > 1 else "Coloured." if done else "Not coloured."
    lines = [
        f"<li><strong>{html.escape(remark.name)}</strong>: {html.escape(remark.text)}</li>"
        for remark in (*outcome.failed, *outcome.notes)
    ]
    return f"<p>{first}</p>" + (f"<ul>{''.join(lines)}</ul>" if lines else "")


def theme() -> gr.Theme:
    """Colours with enough contrast to be read, and the fonts of the visitor's system."""
    readable = {"body_text_color_subdued": "*neutral_600", "block_info_text_color": "*neutral_600"}
    readable |= {f"{name}_dark": "*neutral_300" for name in readable}
    readable |= {"block_label_text_color": "*neutral_700", "block_label_text_color_dark": "*neutral_200"}
    primary = {f"button_primary_background_fill{end}": "*primary_600" for end in ("", "_dark")}
    primary |= {f"button_primary_background_fill_hover{end}": "*primary_700" for end in ("", "_dark")}
    plain = gr.themes.Default(
        primary_hue="indigo", font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace")
    )
    return plain.set(**readable, **primary)


def build(handlers: Handlers, max_resolution: int, queue: int) -> gr.Blocks:
    """The page.

    Args:
        handlers: what it does.
        max_resolution: the highest that visitors may choose.
        queue: how many jobs may wait; further ones are refused.
    """
    models = handlers.models.knobs
    first = next(iter(models.values()))
    with gr.Blocks(title="Colour pictures", analytics_enabled=False) as page:
        gr.Markdown("# Colour black-and-white pictures", elem_id="title")
        gr.Markdown("Your files are sent to no other service, and are removed when you close this tab.")
        files = gr.File(
            label="Photos or films",
            file_count="multiple",
            file_types=sorted(SUFFIXES | FILM_SUFFIXES),
            height=160,
            elem_id="files",
        )
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=320):
                summary = gr.HTML(report(Outcome()), elem_id="report")
                chosen = gr.Dropdown([], label="Show", visible=False, elem_id="chosen")
                slider = gr.ImageSlider(
                    label="Before and after",
                    interactive=False,
                    visible=False,
                    buttons=["fullscreen"],
                    elem_id="slider",
                    max_height=640,
                )
                film = gr.Video(label="Film", visible=False, interactive=False, buttons=[], elem_id="film")
                with gr.Row():
                    one = gr.DownloadButton("Download", visible=False, elem_id="download", variant="primary")
                    everything = gr.DownloadButton("Download all (zip)", visible=False, elem_id="download-all")
            with gr.Column(scale=1, min_width=320):
                model = gr.Dropdown(list(models), value=first.model, label="Model", visible=len(models) > 1)
                vividness = gr.Slider(
                    0,
                    1,
                    first.vividness,
                    step=0.05,
                    label="Vividness",
                    info="0 is safe, 1 is vivid",
                    visible=first.vividness is not None,
                    buttons=[],
                    elem_id="vividness",
                )
                saturation = gr.Slider(
                    0, 2, 1, step=0.05, label="Saturation", info="0 is gray, 1 is as predicted", buttons=[]
                )
                resolution = gr.Slider(
                    min(_LOWEST_RESOLUTION, *(knobs.resolution for knobs in models.values())),
                    max(max_resolution, *(knobs.resolution for knobs in models.values())),
                    first.resolution,
                    step=math.gcd(16, *(knobs.resolution for knobs in models.values())),
                    label="Resolution",
                    info="What the model sees, in pixels. The result has the size of your picture.",
                    buttons=[],
                )
                with gr.Row():
                    again = gr.Button("Colour again", variant="primary", min_width=120, elem_id="again")
                    stop = gr.Button("Stop", min_width=120, elem_id="stop")

        result = [slider, film, one]
        wishes = [model, vividness, saturation, resolution]
        job: Any = {
            "outputs": [*result, chosen, everything, summary, files],
            "trigger_mode": "always_last",
            "concurrency_limit": 1,
            "concurrency_id": "job",
            "show_progress_on": [summary],
            "api_visibility": "private",
        }
        at_once: Any = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        files.upload(handlers.take, [files], **at_once).success(handlers.color, wishes, **job)
        again.click(handlers.ask, **at_once).success(handlers.color, wishes, **job)
        chosen.input(handlers.show, [chosen], result, **at_once)
        model.input(handlers.choose, [model], [vividness, resolution], **at_once)
        stop.click(handlers.stop, **at_once)
        page.load(None, js=_LIVE)
        page.unload(handlers.leave)
    return page.queue(max_size=queue, api_open=False)
