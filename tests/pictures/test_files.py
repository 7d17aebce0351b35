"""Image files as people have them: every mode, every orientation, and everything that is no image at all."""

import io
import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rethink_fr.pictures.files import (
    UnreadableImage,
    decode_image,
    decode_square,
    encode_png,
    read_image,
    read_square,
    square_resize,
    write_image,
)
from rethink_fr.pictures.listing import list_images
from tests.command_line import ROOT

SHARED_FACES = ROOT.parent / "shared" / "faces" / "degraded"


def picture(rows=6, columns=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def as_bytes(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# --- modes ---


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_their_pixels(kind):
    image = picture()
    options = {"lossless": True, "quality": 100} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decode_image(as_bytes(Image.fromarray(image), kind, **options)), image)


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_and_bilevel_are_repeated_over_the_channels(mode):
    grey = Image.fromarray((picture()[..., 0] > 127).astype(np.uint8) * 255).convert(mode)
    decoded = decode_image(as_bytes(grey))
    assert decoded.shape == (6, 4, 3)
    np.testing.assert_array_equal(decoded, np.repeat(np.asarray(grey.convert("L"))[..., None], 3, -1))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_cut_off(kind):
    values = np.array([[0, 128, 129, 257, 32768, 65407, 65535]], np.uint16)
    decoded = decode_image(as_bytes(Image.fromarray(values), kind))
    assert decoded[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255, 255]


def test_transparency_is_laid_over_white():
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0] = 200
    rgba[0, :, 3] = [0, 255, 51]  # 51 = one fifth
    expected = [[255, 255, 255], [200, 0, 0], [244, 204, 204]]
    assert decode_image(as_bytes(Image.fromarray(rgba)))[0].tolist() == expected


def test_grey_with_alpha_is_laid_over_white():
    image = Image.merge("LA", [Image.new("L", (2, 2), 10), Image.new("L", (2, 2), 0)])
    assert (decode_image(as_bytes(image)) == 255).all()


def test_a_palette_with_a_transparent_colour_is_resolved():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert decode_image(as_bytes(palette))[0].tolist() == [[10, 20, 30], [40, 50, 60]]
    assert decode_image(as_bytes(palette, transparency=0))[0].tolist() == [[255, 255, 255], [40, 50, 60]]


def test_cmyk_becomes_rgb():
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    decoded = decode_image(as_bytes(red, "JPEG", quality=95))
    assert decoded.shape == (8, 8, 3)
    assert np.abs(decoded.astype(int) - [255, 0, 0]).max() < 12


@pytest.mark.parametrize(("values", "reason"), [(np.float32(0.5), "floating-point"), (np.int32(1 << 20), "32-bit")])
def test_pixels_without_an_agreed_range_are_refused(values, reason):
    with pytest.raises(UnreadableImage, match=reason):
        decode_image(as_bytes(Image.fromarray(np.full((4, 4), values)), "TIFF"))


def test_the_smallest_image_is_an_image():
    assert decode_image(as_bytes(Image.new("RGB", (1, 1), (1, 2, 3)))).tolist() == [[[1, 2, 3]]]


def test_only_the_first_frame_is_read():
    first, second = Image.fromarray(picture(seed=1)), Image.fromarray(picture(seed=2))
    data = as_bytes(first, "TIFF", save_all=True, append_images=[second])
    np.testing.assert_array_equal(decode_image(data), np.asarray(first))


# --- orientation ---


# What the camera stored, given the upright picture [rows, columns]; Exif 2.32, tag 0x0112.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", sorted(STORED))
def test_every_orientation_comes_out_upright(orientation, kind):
    upright = picture(rows=5, columns=3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True, "quality": 100} if kind == "WEBP" else {}
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    np.testing.assert_array_equal(decode_image(as_bytes(stored, kind, exif=exif, **options)), upright)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_does_not_exist_is_ignored(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = picture()
    np.testing.assert_array_equal(decode_image(as_bytes(Image.fromarray(image), exif=exif)), image)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_exif_block_does_not_cost_the_picture():
    data = as_bytes(Image.fromarray(picture(16, 16)), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xffgarbage")
    assert decode_image(data).shape == (16, 16, 3)


# --- hostile files ---


def png_chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with_size(columns, rows):
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b""))
        + png_chunk(b"IEND", b"")
    )


def damaged(data):
    middle = len(data) // 2
    return data[:middle] + bytes(byte ^ 0x55 for byte in data[middle : middle + 40]) + data[middle + 40 :]


PNG, JPEG = encode_png(picture(64, 64)), as_bytes(Image.fromarray(picture(64, 64)), "JPEG")
HOSTILE = {
    "empty": b"",
    "text": b"this is a text file named .jpg\n",
    "truncated JPEG": JPEG[: len(JPEG) // 2],
    "JPEG without its last bytes": JPEG[:-30],
    "truncated PNG": PNG[: len(PNG) // 2],
    "PNG header only": PNG[:33],
    "damaged PNG": damaged(PNG),
    "huge header": png_with_size(100_000, 100_000),
    "sides beyond the format": png_with_size(0xFFFFFFFF, 0xFFFFFFFF),
    "no pixels": png_with_size(0, 0),
    "truncated TIFF": as_bytes(Image.fromarray(picture(64, 64)), "TIFF")[:3000],
    "truncated WebP": as_bytes(Image.fromarray(picture(64, 64)), "WEBP")[:200],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_named_in_one_line(kind):
    with pytest.raises(UnreadableImage) as caught:
        decode_image(HOSTILE[kind], "folder/name.jpg")
    assert str(caught.value).startswith("folder/name.jpg: ")
    assert "\n" not in str(caught.value)
    assert caught.value.reason


def test_a_missing_file_is_unreadable_too(tmp_path):
    with pytest.raises(UnreadableImage, match="No such file"):
        read_image(tmp_path / "missing.png")


@pytest.mark.skipif(not SHARED_FACES.is_dir(), reason="the shared real faces are not beside this checkout")
def test_real_files_decode_all_but_the_truncated_one():
    failed = []
    for path in list_images(SHARED_FACES):
        try:
            assert read_image(path).shape[2] == 3
        except UnreadableImage as error:
            failed.append(Path(error.name).name)
    assert failed == ["corrupt_truncated.jpg"]


# --- limits ---


def zeros(count):
    """A zlib stream (RFC 1950) of `count` zero bytes, without compressing them one by one."""

    def block(size):
        pack = zlib.compressobj(9, zlib.DEFLATED, -15)
        return pack.compress(bytes(size)) + pack.flush(zlib.Z_FULL_FLUSH)

    checksum = (count % 65521) << 16 | 1
    body = block(1 << 20) * (count >> 20) + block(count % (1 << 20))
    return b"\x78\xda" + body + b"\x03\x00" + checksum.to_bytes(4, "big")


def png_of_zeros(columns, rows, depth, kind, bytes_per_pixel, *extra):
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, depth, kind, 0, 0, 0))
    data = png_chunk(b"IDAT", zeros(rows * (1 + columns * bytes_per_pixel)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + data + png_chunk(b"IEND", b"")


def tiff(tags, data):
    """A little-endian TIFF: the data at byte 8, then `tags` of (number, type, count, value)."""
    body = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + body + bytes(4)


def grey_tiff(size, *tags):
    width, height = size
    return [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 8),
        (262, 3, 1, 1),
        (277, 3, 1, 1),
        *tags,
    ]


def tiff_with_a_tile_of_2_gigabytes():
    data = zeros(32768 * 65280)
    tile = ((322, 4, 1, 32768), (323, 4, 1, 65280), (324, 4, 1, 8), (325, 4, 1, len(data)))
    return tiff(grey_tiff((64, 64), *tile), data)


def tiff_of_16_million_strips():
    count = 16 << 20
    tags = [(273, 4, count, 8), (278, 4, 1, 1), (279, 4, 1, 1)]
    return tiff([(259, 3, 1, 1) if tag[0] == 259 else tag for tag in grey_tiff((1, count), *tags)], bytes(4 * count))


def jpeg_of_many_scans():
    data = as_bytes(Image.new("L", (4096, 4096), 128), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 2000 + data[-2:]


def bmp_of_single_pixel_runs():
    side = 4096
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 0, 0, 0, 256, 0)
    body = bytes([1, 7]) * (side * side) + bytes([0, 1])
    start = 14 + len(header) + 1024
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + bytes(1024) + body


def png_with_text_of_a_gigabyte():
    return png_of_zeros(8, 8, 8, 2, 3, png_chunk(b"zTXt", b"k\0\0" + zeros(1 << 30)))


BOMBS = {
    "16-bit PNG": (lambda: png_of_zeros(13_000, 13_000, 16, 0, 2), "169,000,000 pixels, expected at most 67,108,864"),
    "16-bit PNG at the limit": (lambda: png_of_zeros(8192, 8192, 16, 0, 2), "(8192, 8192, 3)"),
    "RGBA PNG at the limit": (lambda: png_of_zeros(8192, 8192, 8, 6, 4), "(8192, 8192, 3)"),
    "WebP at the limit": (
        lambda: as_bytes(Image.new("RGBA", (16_383, 4096)), "WEBP", lossless=True, method=0, quality=0),
        "(4096, 16383, 3)",
    ),
    "TIFF of one huge tile": (tiff_with_a_tile_of_2_gigabytes, "2,139,095,040 pixels in each tile"),
    "TIFF of many strips": (tiff_of_16_million_strips, "a TIFF of 16,777,216 strips"),
    "JPEG of many scans": (jpeg_of_many_scans, "pixels and scans"),
    "BMP of single pixel runs": (bmp_of_single_pixel_runs, "for its compression"),
    "PNG with a huge text": (png_with_text_of_a_gigabyte, "Decompressed data too large"),
}
SLOW_BOMBS = ("16-bit PNG at the limit", "RGBA PNG at the limit", "WebP at the limit")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind in SLOW_BOMBS else ()) for kind in BOMBS]
)
def test_no_bomb_takes_2_gigabytes_or_10_seconds(tmp_path, kind):
    make, expected = BOMBS[kind]
    (tmp_path / "bomb.png").write_bytes(make())
    code = (
        "import sys\n"
        "from rethink_fr.pictures.files import UnreadableImage, read_image\n"
        "try: print(read_image(sys.argv[1]).shape)\n"
        "except UnreadableImage as error: print(error.reason)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "bomb.png")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10 if kind not in SLOW_BOMBS else 60,  # these are honest pictures, and the machine may be busy
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # each of its threads reserves room of its own
    )
    assert expected in done.stdout, done.stdout + done.stderr


def test_the_limit_on_pixels_is_a_setting(monkeypatch):
    monkeypatch.setenv("RETHINK_FR_MAX_PIXELS", "23")
    with pytest.raises(UnreadableImage, match="24 pixels, expected at most 23; .*RETHINK_FR_MAX_PIXELS"):
        decode_image(encode_png(picture()))
    monkeypatch.setenv("RETHINK_FR_MAX_PIXELS", "24")
    assert decode_image(encode_png(picture())).shape == (6, 4, 3)
    for wrong in ("0", "-1", "many", "1e6"):
        monkeypatch.setenv("RETHINK_FR_MAX_PIXELS", wrong)
        with pytest.raises(ValueError, match="RETHINK_FR_MAX_PIXELS: expected a whole number above 0") as caught:
            decode_image(encode_png(picture()))
        assert not isinstance(caught.value, UnreadableImage)


def test_a_jpeg_beyond_the_limit_is_decoded_smaller_and_others_as_ever(tmp_path, monkeypatch):
    smooth = Image.fromarray(picture(4, 4)).resize((512, 256), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    smooth.save(tmp_path / "a.jpg", quality=95, exif=exif)
    ordinary = read_square(tmp_path / "a.jpg", 32)
    assert (ordinary.width, ordinary.height) == (256, 512)
    np.testing.assert_array_equal(ordinary.image, square_resize(read_image(tmp_path / "a.jpg"), 32))
    monkeypatch.setenv("RETHINK_FR_MAX_PIXELS", str(128 * 256))
    reduced = read_square(tmp_path / "a.jpg", 32)
    assert (reduced.width, reduced.height) == (256, 512)
    assert np.abs(reduced.image.astype(int) - ordinary.image).max() <= 6
    with pytest.raises(UnreadableImage, match="131,072 pixels"):
        read_image(tmp_path / "a.jpg")  # who asks for all pixels gets none
    with pytest.raises(UnreadableImage, match="131,072 pixels"):
        read_square(tmp_path / "a.jpg", 128)  # half of the size would not do
    with pytest.raises(UnreadableImage, match="131,072 pixels"):
        decode_square(as_bytes(smooth), 32)  # PNG has no smaller size


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "CMYK"])
def test_large_pictures_come_out_as_small_ones_do(mode):
    """They are converted by bands of rows: here by two, the second with fewer rows."""
    values = np.random.default_rng(0).integers(0, 256, (1025, 1100, 4), np.uint8)
    if mode == "P":
        image = Image.fromarray(values[..., 0] % 16, "P")
        image.putpalette(values[0, :16, :3].tobytes())
        options = {"transparency": 3, "compress_level": 1}
    else:
        image = Image.fromarray(values, "CMYK") if mode == "CMYK" else Image.fromarray(values).convert(mode)
        options = {} if mode == "CMYK" else {"compress_level": 1}
    whole, part = (
        decode_image(as_bytes(one, "TIFF" if mode == "CMYK" else "PNG", **options))
        for one in (image, image.crop((0, 900, 1100, 1025)))
    )
    np.testing.assert_array_equal(whole[900:], part)


def test_only_formats_of_the_list_are_tried(tmp_path):
    """EPS would start Ghostscript, whatever the file is called."""
    marker = tmp_path / "started"
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    image = Image.fromarray(picture(16, 16))
    for kind in ("EPS", "GIF", "PPM", "ICO", "TGA"):
        (tmp_path / f"{kind}.png").write_bytes(as_bytes(image, kind))
    code = (
        "import sys\n"
        "from rethink_fr.pictures.files import UnreadableImage, read_image\n"
        "for name in sys.argv[1:]:\n"
        "    try: read_image(name); print('read')\n"
        "    except UnreadableImage as error: print(error.reason)\n"
    )
    names = [str(path) for path in sorted(tmp_path.glob("*.png"))]
    environment = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == ["not an image in a known format (JPEG, PNG, WEBP, TIFF, BMP)"] * len(names)
    assert not marker.exists()


# --- squares ---


def test_squaring_crops_the_centre_then_resizes_by_lanczos():
    image = picture(20, 30)
    expected = Image.fromarray(image).crop((5, 0, 25, 20)).resize((8, 8), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(square_resize(image, 8), np.asarray(expected))
    np.testing.assert_array_equal(square_resize(image, 20), image[:, 5:25])
    assert square_resize(picture(1, 1), 16).shape == (16, 16, 3)


# --- writing ---


def test_written_png_reads_back_exactly_under_any_name(tmp_path):
    image = picture()
    write_image(tmp_path / "new" / "ü 顔.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "ü 顔.png"), image)
    write_image(tmp_path / "new" / "b.jpg", image)
    assert sorted(os.listdir(tmp_path / "new")) == ["b.jpg", "ü 顔.png"]  # no temporary file is left


def test_an_output_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be written"):
        write_image(tmp_path / "file" / "a.png", picture())
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match="cannot be written"):
        write_image(tmp_path / "folder.png", picture())
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.png"]


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.png"):
        write_image(tmp_path / "a.gif", picture())
