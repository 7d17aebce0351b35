"""`rethink-fr restore --runner`: what `commands.restore` does, by an Apache Beam pipeline."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Optional

from rethink_fr.errors import OK, report_failures
from rethink_fr.files.addresses import address
from rethink_fr.files.names import printable

if TYPE_CHECKING:
    from rethink_fr.inference.photo_report import PhotoSettings

_SHOWN = 10  # dead letters that are printed; all are in their file


def restore_by_pipeline(arguments: argparse.Namespace, photo_settings: Optional[PhotoSettings]) -> int:
    """Restore by a pipeline, and list what could not be.

    Args:
        arguments: of the command.
        photo_settings: how photos are restored; None: with `--aligned`.
    """
    from rethink_fr.scale_out.runners import require_beam

    require_beam(arguments.runner)
    how = (arguments.overwrite, arguments.runner, arguments.runner_options)
    if photo_settings is None:
        from rethink_fr.scale_out.aligned import AlignedSettings, restore_aligned

        names = ("precision", "samples", "noise_scale", "seed", "fidelity", "texture")
        options = {name: getattr(arguments, name) for name in names}
        settings = AlignedSettings(address(arguments.model), **options)
        ran, folder = restore_aligned(arguments.input, arguments.output, settings, *how)
    else:
        from rethink_fr.faces.opening import check_detector
        from rethink_fr.inference.background import check_background_model
        from rethink_fr.scale_out.photos import restore_photos

        check_detector(arguments.detector)
        if arguments.background_model is not None:
            check_background_model(arguments.background_model)
        ran, folder = restore_photos(arguments.input, arguments.output, photo_settings, *how)
    shown = printable(arguments.output)
    print(f"{ran.finished} of {ran.finished + ran.dead_letters} restored; see {shown}/report.json")
    print(", ".join(f"{name} {count:,}" for name, count in sorted(ran.counts.items())))
    if not ran.dead_letters:
        return OK
    from rethink_fr.scale_out.launch import dead_letters

    dead = dead_letters(folder)
    code = report_failures(dead[:_SHOWN])
    if len(dead) > _SHOWN:
        print(f"rethink-fr: {len(dead) - _SHOWN:,} more are in {shown}/dead_letters.jsonl", file=sys.stderr)
    return code
