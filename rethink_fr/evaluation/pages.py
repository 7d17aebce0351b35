"""Web pages from templates: each is one file that works without a network, with styles, script and pictures inside.

The templates, styles and scripts lie in `templates/`. What is put into a template is escaped, so that file names cannot
become markup; and the page's content security policy forbids the browser to load anything that is not in the file.
"""

from __future__ import annotations

import base64
import functools
import io
from pathlib import Path
from typing import Any, Optional

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> Markup:
    """A template of `templates/`, filled in with `values`. The result is markup: it is not escaped again."""
    return Markup(_environment().get_template(template).render(values))


def page(template: str, **values: Any) -> bytes:
    """As `render`, in UTF-8. Bytes of file names that are not UTF-8 become escapes like `\\udce9`."""
    return render(template, **values).encode("utf-8", "backslashreplace")


def as_data_uri(picture: np.ndarray, size: Optional[int] = None, quality: int = 85, lossless: bool = False) -> str:
    """A picture as a data URI without any metadata: JPEG without chroma subsampling, or PNG.

    Args:
        picture: uint8 RGB `[H, W, 3]`.
        size: longest side in pixels; larger pictures are reduced to it by Lanczos. None: any size.
        quality: of JPEG.
        lossless: PNG instead of JPEG.
    """
    image = Image.fromarray(picture)
    if size is not None:
        image.thumbnail((size, size), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if lossless:
        image.save(buffer, format="PNG")
    else:
        image.save(buffer, format="JPEG", quality=quality, subsampling=0)
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["text_of"] = _text_of
    environment.filters["script_number"] = _script_number
    return environment


def _text_of(name: str) -> Markup:
    """A style sheet or script, as it is: braces in it mean nothing to the template."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))


def _script_number(value: float) -> str:
    """A number as JavaScript's `Number` reads it."""
    return "Infinity" if np.isposinf(value) else "-Infinity" if np.isneginf(value) else repr(value)
