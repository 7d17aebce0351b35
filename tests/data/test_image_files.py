"""Image files as people have them: every mode, every orientation, and everything that is no image at all."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rethink_fr.data.image_files import (
    UnreadableImage,
    decode_image,
    encode_png,
    list_images,
    read_image,
    square_resize,
    write_image,
)

SHARED_FACES = Path(__file__).parents[3] / "shared" / "faces" / "degraded"


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


def png_with_size(columns, rows):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


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


# --- listing ---


def test_listing_is_recursive_sorted_and_skips_what_is_hidden_or_no_image(tmp_path):
    names = ["b.PNG", "a/z.jpg", "a/ü 顔.jpeg", "c.tiff", "a.webp", "notes.txt", ".hidden.png", ".git/x.png", "png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert found == ["a/z.jpg", "a/ü 顔.jpeg", "a.webp", "b.PNG", "c.tiff"]


def test_listing_follows_links_but_not_in_circles(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").touch()
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "real" / "back").symlink_to(tmp_path / "set", target_is_directory=True)
    assert len(list_images(tmp_path / "set")) == 1


def test_listing_something_else_than_a_folder_says_so(tmp_path):
    (tmp_path / "file.png").touch()
    for where in (tmp_path / "missing", tmp_path / "file.png"):
        with pytest.raises(ValueError, match="no such folder"):
            list_images(where)


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
