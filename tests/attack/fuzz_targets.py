"""Files of every kind that the package reads, and their readers. What a reader needs is imported by its function."""

from __future__ import annotations

import importlib.util
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
from PIL import Image, ImageCms


@dataclass(frozen=True)
class Target:
    """Whole files, and what reads one of them: a file of several is read with the others whole beside it."""

    files: List[Path]
    read: Callable[[Path], Any]


def _picture_files(folder: Path) -> List[Path]:
    """Every format, several of its modes."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:48, :56]
    colours = np.clip(
        128 + 60 * np.sin(rows / 9)[..., None] + 40 * np.cos(columns / 7)[..., None] * [1, 0.8, 0.6], 0, 255
    )
    rgb = Image.fromarray((colours + generator.normal(0, 6, colours.shape)).clip(0, 255).astype(np.uint8))
    grey16 = Image.fromarray((colours[..., 0] * 257).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    made = {
        "plain.jpg": (rgb, {"exif": exif}),
        "progressive.jpg": (rgb, {"progressive": True}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}),
        "rgb.png": (rgb, {}),
        "rgba.png": (rgb.convert("RGBA"), {}),
        "palette.png": (rgb.convert("P"), {"transparency": 3}),
        "grey16.png": (grey16, {}),
        "one.png": (rgb.convert("1"), {}),
        "lossy.webp": (rgb, {}),
        "lossless.webp": (rgb, {"lossless": True}),
        "moving.webp": (rgb, {"save_all": True, "append_images": [rgb.rotate(90)]}),
        "raw.tif": (rgb, {}),
        "lzw.tif": (rgb, {"compression": "tiff_lzw"}),
        "deflate.tif": (grey16, {"compression": "tiff_adobe_deflate"}),
        "jpeg.tif": (rgb, {"compression": "jpeg"}),
        "two.tiff": (rgb, {"save_all": True, "append_images": [rgb]}),
        "rgb.bmp": (rgb, {}),
        "palette.bmp": (rgb.convert("P"), {}),
    }
    files = []
    for name, (image, options) in made.items():
        files.append(folder / name)
        image.save(files[-1], **options)

    return files


def pictures(folder: Path) -> Target:
    """As training and `restore --aligned` read them."""
    from rethink_fr.pictures.files import read_image

    def read(path: Path) -> None:
        image = read_image(path)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3

    return Target(_picture_files(folder), read)


def photos(folder: Path) -> Target:
    """Whole photos with all that they hold, read and written again in their format."""
    from rethink_fr.pictures.photos import encode_photo, output_suffix, read_photo

    files = _picture_files(folder)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    exif.get_ifd(0x8769)[0x9003] = "2001:02:03 04:05:06"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name in ("held.jpg", "held.png", "held.webp", "held.tif", "moving.gif"):
        with Image.open(files[0]) as image:
            image.save(folder / name, exif=exif, icc_profile=profile, dpi=(300, 300))
        files.append(folder / name)
    if importlib.util.find_spec("pillow_heif") is not None:
        import pillow_heif

        with Image.open(files[0]) as image:
            pillow_heif.from_pillow(image.convert("RGB")).save(folder / "phone.heic")
        files.append(folder / "phone.heic")

    def read(path: Path) -> None:
        photo = read_photo(path)
        assert photo.image.mode in ("L", "LA", "RGB", "RGBA") and all(note.isprintable() for note in photo.notes)
        for suffix in {output_suffix(path.suffix), ".jpg"}:
            data, _ = encode_photo(photo.image, suffix, photo.metadata)
            with Image.open(io.BytesIO(data)) as image:
                assert image.size == photo.image.size

    return Target(files, read)


def statistics(folder: Path) -> Target:
    """Those of NIQE and of FID."""
    from rethink_fr.metrics.checks import load_arrays

    arrays = {"mu": np.ones(64), "sigma": np.eye(64)}
    np.savez(folder / "plain.npz", **arrays)
    np.savez_compressed(folder / "compressed.npz", **arrays)
    files = [folder / "plain.npz", folder / "compressed.npz"]
    return Target(files, lambda path: load_arrays(path, ["mu", "sigma"], "expected statistics"))


def weights(folder: Path) -> Target:
    """Of feature networks, as arrays."""
    from rethink_fr.weights.torch_files import read_weights

    arrays = {f"layer{number}.weight": np.ones([8, 8, 3, 3], np.float32) for number in range(3)}
    np.savez(folder / "plain.npz", **arrays)
    np.savez_compressed(folder / "compressed.npz", **arrays)
    return Target([folder / "plain.npz", folder / "compressed.npz"], read_weights)


def torch_weights(folder: Path) -> Target:
    """Of PyTorch, in both of its containers."""
    import torch

    from rethink_fr.weights.torch_files import read_torch_file

    state = {"params": {f"layer{number}.weight": torch.ones([8, 8, 3, 3]) for number in range(3)}}
    files = [folder / "zip.pth", folder / "legacy.pth"]
    torch.save(state, files[0])
    torch.save(state, files[1], _use_new_zipfile_serialization=False)
    return Target(files, lambda path: read_torch_file(path, ["params"]))


def onnx_networks(folder: Path) -> Target:
    """A convolution and a pool: an embedder."""
    import onnx

    from rethink_fr.evaluation.networks.loading import load_onnx_embedder

    helper, kinds = onnx.helper, onnx.TensorProto
    weights = np.random.default_rng(0).normal(size=[8, 3, 3, 3]).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", kinds.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("y", kinds.FLOAT, ["N", 8, 1, 1])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    (folder / "network.onnx").write_bytes(model.SerializeToString())
    pictures = np.zeros([1, 32, 32, 3], np.uint8)
    return Target([folder / "network.onnx"], lambda path: load_onnx_embedder(path)(pictures))


def configurations(folder: Path) -> Target:
    """Those that come with the package, and a run's own."""
    from rethink_fr.runs.config_file import CONFIG_DIRECTORY, load_config, load_model_section

    files = []
    for path in sorted(CONFIG_DIRECTORY.glob("*.yaml")):
        files.append(folder / path.name)
        files[-1].write_bytes(path.read_bytes())

    def read(path: Path) -> None:
        load_config(path)
        load_model_section(path)

    return Target(files, read)


def studies(folder: Path) -> Target:
    """The key and the answers of a study, and a report that it is compared with."""
    from rethink_fr.evaluation.study.files import LETTERS, StudyKey, Trial, checksum
    from rethink_fr.evaluation.study.tally import tally_study

    key = StudyKey(("Which?",), 1, ("A", "B", "C"), tuple(Trial(str(n), f"f{n}", ("B", "A", "C")) for n in range(8)))
    chosen = {one.trial: LETTERS[int(one.trial) % 3] for one in key.trials}
    answers = {
        "study": key.study,
        "rater": "Änne",
        "answers": [{"trial": trial, "choice": choice} for trial, choice in chosen.items()],
        "check": checksum(key.study, "Änne", chosen),
    }
    values = {name: {"mean": value} for name, value in zip("ABC", (1.0, 2.0, 3.0))}
    report = {"metrics": {"psnr": {"definition": "of images", "unit": "dB", "better": "higher", **values}}}
    paths = [folder / name for name in ("key.json", "answers.json", "report.json")]
    content = {"study": key.study, "question": key.questions[0], "seed": key.seed, "methods": list(key.methods)}
    trials = [{"trial": one.trial, "name": one.name, "order": list(one.order)} for one in key.trials]
    for path, value in zip(paths, ({**content, "trials": trials}, answers, report)):
        path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")

    def read(path: Path) -> None:
        lines = tally_study(paths[0], [paths[1]], [paths[2]]).table()
        assert all(line.isprintable() for line in lines)

    return Target(paths, read)


def tables(folder: Path) -> Target:
    """The list of identities that `evaluate` takes."""
    from rethink_fr.evaluation.pairs import read_identities

    path = folder / "identities.csv"
    rows = ["name,identity,note", *(f'"{n},ü.png",person {n // 2},' for n in range(40))]
    path.write_text("\n".join(rows), encoding="utf-8")
    return Target([path], lambda path: read_identities(path, [f"{n},ü" for n in range(40)]))


def shards(folder: Path) -> Target:
    """A prepared folder: its manifest and its shards, read as training reads them."""
    from rethink_fr.data.prepare import prepare
    from rethink_fr.data.sources.records import RecordSource

    originals = folder / "originals"
    originals.mkdir()
    generator = np.random.default_rng(0)
    for number in range(6):
        Image.fromarray(generator.integers(0, 256, [24, 24, 3], np.uint8)).save(originals / f"{number}.png")
    prepare(originals, folder / "prepared", size=16, shard_size=2, progress=False)
    files = sorted((folder / "prepared").iterdir())

    def read(path: Path) -> None:
        source = RecordSource(folder / "prepared", 16)
        for number in range(len(source)):
            assert source.read(number).shape == (16, 16, 3)

    return Target(files, read)


def bare_shards(folder: Path) -> Target:
    """TFRecord files without a manifest."""
    target = shards(folder)
    (folder / "prepared/manifest.json").unlink()
    return Target([path for path in target.files if path.suffix == ".tfrecord"], target.read)


def checkpoints(folder: Path) -> Target:
    """Of a run: what is read is what was written, or nothing."""
    from rethink_fr.restorer.settings import ModelConfig
    from rethink_fr.restorer.system import SYSTEM
    from rethink_fr.runs.loading import load_average, save_average

    settings = ModelConfig(resolution=32, width=1 / 32, n_skips=2, codebook_size=16)
    network = SYSTEM.build(settings)
    whole = [variable.numpy() for variable in network.variables]
    save_average(folder / "checkpoints", network)

    def read(path: Path) -> None:
        for variable in network.variables:
            variable.assign(variable + 1)
        load_average(folder / "checkpoints", network)
        for variable, value in zip(network.variables, whole):
            np.testing.assert_array_equal(variable.numpy(), value)

    return Target(sorted(path for path in (folder / "checkpoints").iterdir() if path.is_file()), read)


def saved_models(folder: Path) -> Target:
    """An exported model; the picture is what is left of a network after the damage, if anything is."""
    from rethink_fr.exporting.card import Source
    from rethink_fr.exporting.export import export_saved_model
    from rethink_fr.exporting.faces import faces_to_check
    from rethink_fr.inference.loading import load_restorer
    from rethink_fr.restorer.settings import ModelConfig
    from rethink_fr.restorer.system import SYSTEM
    from rethink_fr.runs.loading import LoadedRun

    settings = ModelConfig(resolution=32, width=1 / 32, n_skips=2, codebook_size=16)
    source = Source(LoadedRun(settings, SYSTEM.inference(SYSTEM.build(settings), "float32"), step=0))
    export_saved_model(source, folder / "model", faces_to_check(None, 32))
    read = [*(folder / "model").glob("*.pb"), *(folder / "model/variables").iterdir()]
    return Target(sorted(read), lambda path: load_restorer(folder / "model"))


TARGETS: Dict[str, Callable[[Path], Target]] = {
    "pictures": pictures,
    "photos": photos,
    "statistics": statistics,
    "weights": weights,
    "torch_weights": torch_weights,
    "onnx_networks": onnx_networks,
    "configurations": configurations,
    "studies": studies,
    "tables": tables,
    "shards": shards,
    "bare_shards": bare_shards,
    "checkpoints": checkpoints,
    "saved_models": saved_models,
}
