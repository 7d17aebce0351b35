"""Draws what became of a photo as HTML: before and after with a slider, samples, doubt, downloads.

Everything is a plain form control, so that it works by keyboard, by touch and for those who listen to the page; it is
switched by `viewer.js` in the browser, without asking the server.
"""

from __future__ import annotations

import html
from importlib import resources
from pathlib import Path
from typing import List, Optional
from urllib.parse import quote

from rethink_fr.app.results import Shown
from rethink_fr.inference.photo_report import FaceReport

PREFIX = "gradio_api/file="  # where Gradio serves files, relative to the page


def asset(name: str) -> str:
    """The text of a file that is served with the page."""
    return resources.files("rethink_fr.app").joinpath(name).read_text(encoding="utf-8")


def drawn(shown: Shown) -> str:
    """A photo, and what became of it."""
    width, height = shown.size
    parts = [f'<div class="viewer" style="--ratio: {width / height:.5f}">', _stage(shown)]
    if len(shown.after) > 1:
        parts.append(_samples(shown))
    if shown.doubt is not None and shown.legend is not None:
        parts.append(
            f'<p class="doubt"><label><input type="checkbox" data-doubt="{_address(shown.doubt)}"> '
            "Show where the samples differ: what is coloured is a guess</label> "
            f'<img src="{_address(shown.legend)}" alt="colours from dark, no difference, to light"></p>'
        )
    if shown.after:
        parts += [_downloads(shown), _details(shown)]
    parts += [f'<p class="note">{html.escape(note[0].upper() + note[1:])}.</p>' for note in shown.notes]
    return "\n".join([*parts, "</div>"])


def summary(shown: Shown) -> str:
    """What happened, in a sentence for those who do not see the pictures."""
    if not shown.after:
        return "No face was found in this photo, so nothing was changed."
    faces = f"{len(shown.reports)} face{'' if len(shown.reports) == 1 else 's'}"
    times = "" if len(shown.after) == 1 else f", {len(shown.after)} times each"
    return f"{faces} restored{times}. What you see is plausible, not evidence."


def _stage(shown: Shown) -> str:
    before = f'<img class="before" src="{_address(shown.before)}" alt="{html.escape(shown.name)} as it was">'
    if not shown.after:
        return f'<div class="stage">{before}</div>'
    return f"""<div class="stage">{before}
<img class="after" src="{_address(shown.after[0])}" alt="The photo restored">
<span class="edge" aria-hidden="true"></span>
<input class="at" type="range" min="0" max="100" value="50" aria-label="Edge between before and after">
</div>
<p class="ends" aria-hidden="true"><span>before</span><span>after</span></p>"""


def _samples(shown: Shown) -> str:
    choices = []
    for number, (after, faces, download) in enumerate(zip(shown.after, shown.faces, shown.downloads)):
        choices.append(
            f'<label><input type="radio" name="sample" value="{number}" data-after="{_address(after)}" '
            f'data-file="{_address(download)}" data-name="{html.escape(download.name)}"'
            f"{' checked' if number == 0 else ''}> <span>{number + 1}</span>"
            f'<img src="{_address(faces)}" alt="faces of sample {number + 1}"></label>'
        )
    return f'<fieldset class="strip"><legend>Samples, all equally possible</legend>{"".join(choices)}</fieldset>'


def _downloads(shown: Shown) -> str:
    first = shown.downloads[0]
    links = [_link(first, "Download the restored photo", "main")]
    links += [_link(path, label) for path in shown.extras if (label := _label(path)) is not None]
    return f'<p class="downloads">{" ".join(links)}</p>'


def _link(path: Path, label: str, kind: str = "") -> str:
    return f'<a class="{kind}" href="{_address(path)}" download="{html.escape(path.name)}">{label}</a>'


def _label(path: Path) -> Optional[str]:
    if path.stem.endswith("_sheet"):
        return "Sheet of all samples"
    return "Map of doubt" if path.stem.endswith("_doubt") else None


def _details(shown: Shown) -> str:
    rows = "".join(_row(number, face) for number, face in enumerate(shown.reports, start=1))
    return (
        "<details><summary>How much of each face is in the photo</summary><table><thead><tr><th>face</th><th>size</th>"
        "<th>agrees with the photo</th><th>samples differ by</th></tr></thead>"
        f"<tbody>{rows}</tbody></table><p>Agreement: the restored face made as coarse as the photo, compared with it; "
        "above 30 dB hardly anything differs. Everything finer than the photo is made up.</p></details>"
    )


def _row(number: int, face: FaceReport) -> str:
    agrees: List[float] = list(face.consistency)
    told = [
        str(number),
        f"{face.size:.0f} px",
        f"{sum(agrees) / len(agrees):.1f} dB" if agrees else "",
        "" if face.spread is None else f"{face.spread:.1f} of 255",
    ]
    return f"<tr>{''.join(f'<td>{text}</td>' for text in told)}</tr>"


def _address(path: Path) -> str:
    return html.escape(PREFIX + quote(str(path)))
