"""The page itself, in Gradio: controls, and what happens when they are used."""

from __future__ import annotations

import html
import sys
import traceback
from pathlib import Path
from typing import Any, Dict, Tuple

import gradio as gr

from rethink_fr.app.desk import MAX_BYTES, MAX_SAMPLES, Asked, Desk, PlainError
from rethink_fr.app.view import asset, drawn, summary

TITLE = "Restore faces"
_MOST_WAITING = 20  # restorations in the queue; who comes then is told to come back
_FONTS = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")  # Gradio's own come from another host


def build(desk: Desk) -> gr.Blocks:
    """Lay out the page for a desk."""
    noisy, takes_fidelity = desk.restorer.noise_shape is not None, desk.restorer.takes_fidelity
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.Markdown(
            f"# {TITLE}\nEvery face in a photo is found, restored and put back. What the photo does not hold is made "
            "up: plausible, not evidence."
        )
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                photo = gr.File(
                    label=f"Photo (up to {MAX_BYTES >> 20} MB)", file_types=["image", ".heic", ".heif"], height=150
                )
                samples = gr.Slider(
                    1,
                    MAX_SAMPLES,
                    value=4 if noisy else 1,
                    step=1,
                    label="Samples",
                    info="restorations of each face",
                    visible=noisy,
                )
                noise = gr.Slider(
                    0,
                    1,
                    value=1,
                    step=0.05,
                    label="Noise",
                    info="0: one answer; 1: all of the variety",
                    visible=noisy,
                )
                fidelity = gr.Slider(
                    0,
                    1,
                    value=1,
                    step=0.05,
                    label="Fidelity",
                    info="0: textures of the codebook; 1: true to the photo",
                    visible=takes_fidelity,
                )
                seed = gr.Number(
                    value=0,
                    precision=0,
                    minimum=0,
                    maximum=(1 << 31) - 1,
                    label="Seed",
                    info="another number gives other samples",
                    visible=noisy,
                )
                button = gr.Button("Restore", variant="primary")
            with gr.Column(scale=3, min_width=280):
                status = gr.HTML(
                    "Drop a photo, or choose one.",
                    html_template='<p role="status">${value}</p>',  # is read out when it changes
                    elem_id="status",
                    padding=True,
                )
                viewer = gr.HTML(
                    "",
                    css_template=asset("viewer.css"),
                    js_on_load=asset("viewer.js"),
                    elem_id="viewer",
                    min_height=200,
                )

        def take(upload: str, request: gr.Request) -> Tuple[None, str, str]:
            # In each case the place to drop photos is empty again, for the next one.
            try:
                shown = desk.take(_visitor(request), Path(upload))
            except Exception as error:
                return None, _told(error), ""
            width, height = shown.size
            return None, f"{html.escape(shown.name)}, {width} × {height} px. Press “Restore”.", drawn(shown)

        def restore(
            samples: float,
            noise: float,
            fidelity: float,
            seed: float,
            request: gr.Request,
            progress: gr.Progress = gr.Progress(),  # noqa: B008 (so Gradio wants it)
        ) -> Tuple[Any, Any]:
            try:
                asked = Asked(int(samples), float(noise), float(fidelity), int(seed))
                shown = desk.restore(_visitor(request), asked, progress)
            except Exception as error:
                return _told(error), gr.skip()
            return summary(shown), drawn(shown)

        # Private: programs have the command line.
        quiet: Dict[str, Any] = {"api_visibility": "private", "show_progress_on": viewer}
        photo.upload(take, photo, [photo, status, viewer], concurrency_limit=2, **quiet)
        button.click(
            restore,
            [samples, noise, fidelity, seed],
            [status, viewer],
            concurrency_limit=1,
            scroll_to_output=True,
            **quiet,
        )

        def leave(request: gr.Request) -> None:
            desk.leave(_visitor(request))

        page.unload(leave)
    page.queue(max_size=_MOST_WAITING)
    return page


def theme() -> gr.themes.Base:
    """Gradio's look with fonts that every machine has, and small text dark enough to be read."""
    chosen = gr.themes.Default(font=list(_FONTS[0]), font_mono=list(_FONTS[1]))
    return chosen.set(
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
    )


def _visitor(request: gr.Request) -> str:
    """Whose request this is: the page draws a name when it is opened."""
    if not request.session_hash:
        raise PlainError("Open the page anew.")
    return str(request.session_hash)


def _told(error: Exception) -> str:
    """Say in plain words what went wrong, in a note that pops up, too; to the terminal what should never go wrong."""
    if isinstance(error, PlainError):
        text = html.escape(str(error))
    elif isinstance(error, (TypeError, ValueError, OverflowError)):
        text = "A setting is not what it should be; a number is missing, perhaps."
    else:
        text = "Something went wrong that should not; whoever runs this page finds it in the terminal."
    if not isinstance(error, PlainError):
        traceback.print_exception(error, file=sys.stderr)
    gr.Warning(text, title="That did not work")
    return text
