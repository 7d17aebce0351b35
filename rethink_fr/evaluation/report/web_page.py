"""What our pages share: one file that works from anywhere, pictures inside, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import html
import io
import json
from typing import Any, Optional

import numpy as np
from PIL import Image

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 1200px; padding: 0 1rem; color: #222; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: left; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.note { color: #555; } .scroll { overflow-x: auto; }
"""


def escape(text: str) -> str:
    """`text` for an element or an attribute; bytes of file names that are not UTF-8 become escapes like `\\udce9`."""
    return html.escape(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def page(title: str, body: str, style: str = "", script: str = "") -> bytes:
    """A whole HTML document. Its policy forbids the browser to load anything that is not in the file."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n{body}\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    ).encode()


def as_script(value: Any) -> str:
    """`value` as JSON that is safe inside a script element."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def as_data_uri(picture: np.ndarray, size: Optional[int] = None, quality: int = 85, lossless: bool = False) -> str:
    """uint8 RGB `[H, W, 3]` as a data URI without any metadata: JPEG without chroma subsampling, or PNG.

    Args:
        size: longest side in pixels at most; larger pictures are reduced by Lanczos.
        quality: of JPEG.
        lossless: PNG instead.
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
