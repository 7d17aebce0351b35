"""The page itself, in Gradio: controls, and what happens when they are used."""

from __future__ import annotations

import html
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple, TypeVar

import gradio as gr

from rethink_fr.app.desk import MAX_BYTES, MAX_SAMPLES, Asked, Desk, PlainError
from rethink_fr.app.view import asset, drawn, summary

TITLE = "Restore faces"
_MOST_WAITING = 20  # restorations in the queue; who comes then is told to come back
_FONTS = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")  # Gradio's own come from another host

Made = TypeVar("Made")


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
                status = gr.Markdown("Drop a photo, or choose one.", elem_id="status")
                viewer = gr.HTML(
                    "",
                    css_template=asset("viewer.css"),
                    js_on_load=asset("viewer.js"),
                    elem_id="viewer",
                    min_height=200,
                )

        def take(upload: Optional[str], request: gr.Request) -> Tuple[str, str]:
            if upload is None:
                return "Drop a photo, or choose one.", ""
            shown = _plainly(lambda: desk.take(request.session_hash, Path(upload)))
            width, height = shown.size
            return f"{_escaped(shown.name)}, {width} × {height} px. Press “Restore”.", drawn(shown)

        def restore(
            samples: float,
            noise: float,
            fidelity: float,
            seed: float,
            request: gr.Request,
            progress: gr.Progress = gr.Progress(),  # noqa: B008 (so Gradio wants it)
        ) -> Tuple[str, str]:
            asked = _plainly(lambda: Asked(int(samples), float(noise), float(fidelity), int(seed)))
            shown = _plainly(lambda: desk.restore(request.session_hash, asked, lambda part, what: progress(part, what)))
            return summary(shown), drawn(shown)

        quick: Dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}
        photo.change(take, photo, [status, viewer], concurrency_limit=2, **quick)
        button.click(
            restore,
            [samples, noise, fidelity, seed],
            [status, viewer],
            concurrency_limit=1,
            api_visibility="private",
            show_progress_on=viewer,
        )

        def leave(request: gr.Request) -> None:
            desk.leave(request.session_hash)

        page.unload(leave)
    page.queue(max_size=_MOST_WAITING)
    return page


def theme() -> gr.themes.Base:
    """Gradio's look with fonts that every machine has."""
    return gr.themes.Default(font=list(_FONTS[0]), font_mono=list(_FONTS[1]))


def _plainly(do: Callable[[], Made]) -> Made:
    """Do something; what goes wrong is told to the visitor in plain words, and to the terminal where it should not."""
    try:
        return do()
    except PlainError as error:
        raise gr.Error(_escaped(str(error)), title="That did not work", print_exception=False) from None
    except (TypeError, ValueError, OverflowError) as error:
        traceback.print_exc(file=sys.stderr)
        raise gr.Error(
            "A setting is not what it should be.", title="That did not work", print_exception=False
        ) from error
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        told = "Something went wrong here that should not; whoever runs this page finds it in the terminal."
        raise gr.Error(told, title="That did not work", print_exception=False) from error


def _escaped(text: str) -> str:
    return html.escape(text)
