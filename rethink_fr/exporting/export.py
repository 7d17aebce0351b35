"""`rethink-fr export`: a run as a model of one of four formats, compared with the Keras model before it appears."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

import tensorflow as tf

from rethink_fr.exporting import onnx, saved_model, tflite, web, web_runtime
from rethink_fr.exporting.card import CARD, LICENCE, Source, licence_text, model_card
from rethink_fr.exporting.comparison import Comparison, ExportError, Tolerance, compare
from rethink_fr.exporting.faces import Faces, faces_to_check
from rethink_fr.exporting.interface import describe
from rethink_fr.exporting.portable import portable_function
from rethink_fr.exporting.saved_model import ENTRY, SAVED_MODEL_PARTS
from rethink_fr.files.names import printable
from rethink_fr.files.outputs import Outputs, check_folder
from rethink_fr.files.reading import file_size
from rethink_fr.files.writing import new_folder
from rethink_fr.ops.tensor_float_32 import allow_tensor_float_32
from rethink_fr.pictures.listing import list_images
from rethink_fr.runs import shipped
from rethink_fr.runs.loading import load_run
from rethink_fr.runs.mirror import local_model

# By format and precision; what they do not name cannot be exported.
TOLERANCES: Dict[Tuple[str, str], Tolerance] = {
    ("saved_model", "float32"): Tolerance(levels=1),  # rounding of values that float arithmetic puts beside a half
    ("onnx", "float32"): Tolerance(psnr=50.0),
    ("onnx", "float16"): Tolerance(psnr=40.0),
    ("web", "float32"): Tolerance(psnr=50.0),  # of its ONNX file, run by the installed onnxruntime
    ("web", "float16"): Tolerance(psnr=40.0),
    ("tflite", "float32"): Tolerance(psnr=50.0),
    ("tflite", "float16"): Tolerance(psnr=40.0),
    ("tflite", "int8"): Tolerance(psnr=25.0),  # below, the difference is seen at a glance
}


class ExportReport(NamedTuple):
    """What was exported."""

    output: Path
    made: str  # in words
    step: int  # of the checkpoint
    interface: List[str]  # lines about what it takes and gives
    notes: List[str]
    comparison: Comparison
    tolerance: Tolerance


def export_run(
    run: Path,
    output: Path,
    form: str = "saved_model",
    precision: str = "float32",
    check: Optional[Path] = None,
    native: bool = False,
    plain: bool = False,
    overwrite: bool = False,
) -> ExportReport:
    """Export the averaged restorer of a run directory, or a network that comes with the package.

    Args:
        run: the run directory, the name of one in `runs/`, or that of a network of the package.
        output: a new or empty folder for a SavedModel or a page, a file for the others. It appears whole or not at all.
        form: "saved_model", "tflite", "onnx", or "web" for a page that runs in browsers.
        precision: "float32", "float16" or "int8".
        check: a folder of degraded faces to compare on; None for drawn ones.
        native: for a SavedModel: whether it holds the compiled operators.
        plain: for ONNX and pages: whether deformable convolution becomes plain operators in any case.
        overwrite: whether a model that is there already may be replaced.

    Raises:
        ValueError: if there is no run, options do not fit together, or `output` may not be written.
        ExportError: if the model cannot be converted, or is further from the Keras model than `TOLERANCES` accept, or
            what runs it in browsers cannot be fetched.
    """
    tolerance = _tolerance(form, precision, native, plain)
    allow_tensor_float_32(False)
    run = _folder(run)
    pictures = [] if check is None else list_images(check)
    outputs = None
    runtime: Dict[str, bytes] = {}
    if form == "saved_model":
        check_folder(output, [run, *pictures], overwrite, SAVED_MODEL_PARTS)
    elif form == "web":
        check_folder(output, [run, *pictures], overwrite, web.PAGE_PARTS)
        runtime = web_runtime.runtime_files()
    else:
        outputs = Outputs([*run.rglob("*"), *pictures], overwrite)
        outputs.claim_writable(output)
    source = _source(run)
    faces = faces_to_check(check, source.loaded.inference.resolution)
    try:
        if form == "saved_model":
            report = export_saved_model(source, output, faces, native, overwrite)
        elif outputs is None:
            report = _export_page(source, output, runtime, precision, plain, faces, tolerance, overwrite)
        else:
            report = _export_file(source, output, form, precision, plain, faces, tolerance, outputs)
    except (ExportError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise ExportError(f"{printable(output)}: nothing was written: {reason}") from error
    if source.weights:
        report.notes.append(f"its weights have terms of their own, see {printable(run / shipped.CARD)}")
    return report


def export_saved_model(
    source: Source, output: Path, faces: Faces, native: bool = False, overwrite: bool = False
) -> ExportReport:
    """Write a SavedModel, load it again, and compare it with the Keras model.

    Args:
        source: what is exported.
        output: a new or empty folder, which appears whole or not at all.
        faces: what to compare on.
        native: whether it holds the compiled operators.
        overwrite: whether a SavedModel that is there already may be replaced.

    Raises:
        ExportError: if the model cannot be written, or differs by more than one level.
        ValueError: if `output` holds anything that may not be replaced, or cannot be written.
    """
    check_folder(output, (), overwrite, SAVED_MODEL_PARTS)
    tolerance, made = TOLERANCES["saved_model", "float32"], "SavedModel"
    loaded, face = source.loaded, faces.pictures[0]
    inference = loaded.inference
    with new_folder(output, replace=overwrite, last=ENTRY) as folder:
        written = saved_model.write_saved_model(inference, folder, face, native)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        comparison = compare(inference, faces, saved_model.saved_model_restorer(folder), size)
        _accept(comparison, tolerance)
        saved_model.check_other_signatures(folder, face)
        card = model_card(source, made, written.interface, comparison.text(tolerance))
        (folder / CARD).write_text(card, encoding="utf-8")
        (folder / LICENCE).write_text(licence_text(), encoding="utf-8")
    return ExportReport(output, made, loaded.step, written.interface, written.notes, comparison, tolerance)


def _export_file(
    source: Source,
    output: Path,
    form: str,
    precision: str,
    plain: bool,
    faces: Faces,
    tolerance: Tolerance,
    outputs: Outputs,
) -> ExportReport:
    """Convert, compare, and only then write."""
    loaded, inference = source.loaded, source.loaded.inference
    made = f"{'TFLite' if form == 'tflite' else 'ONNX'} model in {precision}"
    if form == "tflite":
        data = tflite.to_tflite(inference, precision)
        interface = describe({"restore": portable_function(inference, batch=1)})
        runnable = tflite.tflite_restorer(data)
        notes = ["TFLite's own operators only, one face at a time", f"run by {runnable.runtime}"]
        comparison = compare(inference, faces, runnable.restore, len(data))
        _accept(comparison, tolerance)
        report = ExportReport(output, made, loaded.step, interface, notes, comparison, tolerance)
    else:
        report, data = _converted(source, output, made, precision, plain, faces, tolerance)
    outputs.write_bytes(output, data)
    return report


def _export_page(
    source: Source,
    output: Path,
    runtime: Dict[str, bytes],
    precision: str,
    plain: bool,
    faces: Faces,
    tolerance: Tolerance,
    overwrite: bool,
) -> ExportReport:
    """Convert, compare, and only then write."""
    made, inference = f"Page for browsers with an ONNX model in {precision}", source.loaded.inference
    report, data = _converted(source, output, made, precision, plain, faces, tolerance)
    card = model_card(source, made, report.interface, report.comparison.text(tolerance))
    example = faces_to_check(None, inference.resolution).pictures[0]  # never one of the user's, for all to see
    with new_folder(output, replace=overwrite, last=web.ENTRY) as folder:
        report.notes.extend(web.write_page(inference, data, runtime, card, example, folder))
    return report


def _converted(
    source: Source, output: Path, made: str, precision: str, plain: bool, faces: Faces, tolerance: Tolerance
) -> Tuple[ExportReport, bytes]:
    """The ONNX file, compared, with its card inside."""
    inference = source.loaded.inference
    model, notes = onnx.to_onnx(inference, precision, plain)
    interface = describe({"restore": portable_function(inference, batch=None)})
    data = model.SerializeToString()
    comparison = compare(inference, faces, onnx.onnx_restorer(data), len(data))
    _accept(comparison, tolerance)
    model.doc_string = model_card(source, made, interface, comparison.text(tolerance))
    report = ExportReport(output, made, source.loaded.step, interface, notes, comparison, tolerance)
    return report, model.SerializeToString()


def _folder(run: Path) -> Path:
    """The folder or address of what is to be exported."""
    if file_size(run / "config.yaml") is not None:
        return run
    if (Path("runs") / run / "config.yaml").is_file():
        return Path("runs") / run
    folder = shipped.shipped_folder(str(run))
    if folder is None:
        raise ValueError(
            f"{printable(run)}: no run here; expected a directory made by `rethink-fr train`, or the name of a network "
            f"that comes with the package: {', '.join(shipped.shipped_models())}"
        )
    return folder


def _source(run: Path) -> Source:
    if (run / shipped.CARD).is_file():
        return Source(shipped.load_shipped(run), (run / shipped.CARD).read_text(encoding="utf-8"))
    with local_model(run) as folder:
        return Source(load_run(folder))


def _tolerance(form: str, precision: str, native: bool, plain: bool) -> Tolerance:
    """The tolerance of a format and precision; refuses options that do not fit together."""
    if (form, precision) not in TOLERANCES:
        known = ", ".join(other for name, other in TOLERANCES if name == form)
        raise ValueError(f"--precision {precision}: --format {form} has {known} only")
    if native and form != "saved_model":
        raise ValueError(f"--native: --format {form} cannot hold compiled operators; leave it out")
    if plain and form not in ("onnx", "web"):
        raise ValueError(f"--plain: is for --format onnx and web; {form} has plain operators anyway")
    return TOLERANCES[form, precision]


def _accept(comparison: Comparison, tolerance: Tolerance) -> None:
    failure = comparison.failure(tolerance)
    if failure is not None:
        raise ExportError(f"the exported model differs from the Keras model {failure}")
