"""Whole photos as people have them: read as they are, and written again with all that they hold."""

import builtins
import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from rethink_fr.pictures.files import UnreadableImage
from rethink_fr.pictures.photos import (
    Photo,
    UnwritableImage,
    check_size,
    decode_photo,
    encode_photo,
    output_suffix,
    read_photo,
)
from tests.pictures.test_files import HOSTILE, STORED, as_bytes, picture, png_of_zeros

XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6" dc:title="M\xc3\xbcller"/></x:xmpmeta>'


def smooth(rows=40, columns=50, mode="RGB") -> Image.Image:
    """Colours that JPEG keeps within a few levels."""
    down, across = np.mgrid[:rows, :columns]
    pixels = np.stack([down * 3 + 60, across * 2 + 80, 200 - down - across], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8)).convert(mode)


def again(photo: Photo, suffix: str) -> Photo:
    data, _ = encode_photo(photo.image, suffix, photo.metadata)
    return decode_photo(bytes(data))


# --- what a photo is ---


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (smooth(mode="L"), "L"),
        (smooth(mode="1"), "L"),
        (smooth(mode="LA"), "LA"),
        (smooth(mode="P"), "RGB"),
        (smooth(mode="RGB"), "RGB"),
        (smooth(mode="RGBA"), "RGBA"),
    ],
)
def test_a_photo_keeps_its_mode(image, mode):
    photo = decode_photo(as_bytes(image))
    assert photo.image.mode == mode and photo.notes == ()
    wanted = image.convert(mode) if image.mode != "1" else image.convert("L")
    np.testing.assert_array_equal(np.asarray(photo.image), np.asarray(wanted))


def test_a_palette_with_a_transparent_colour_becomes_rgba():
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    photo = decode_photo(as_bytes(palette, transparency=0))
    assert photo.image.mode == "RGBA"
    assert np.asarray(photo.image)[0].tolist() == [[10, 20, 30, 0], [40, 50, 60, 255]]


def test_16_bits_become_8_and_it_is_said():
    values = np.array([[0, 128, 129, 257, 32768, 65407, 65535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        photo = decode_photo(as_bytes(Image.fromarray(values), kind))
        assert photo.image.mode == "L" and np.asarray(photo.image)[0].tolist() == [0, 0, 1, 1, 128, 255, 255]
        assert photo.notes == ("its 16 bits a channel became 8",)
    assert "16 bits" in decode_photo(png_of_zeros(8, 8, 16, 2, 6)).notes[0]  # in colour, which Pillow reads as 8 bits


def test_cmyk_becomes_rgb_and_it_is_said():
    photo = decode_photo(as_bytes(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    assert photo.image.mode == "RGB" and photo.notes == ("its CMYK colours became RGB",)
    assert np.abs(np.asarray(photo.image).astype(int) - [255, 0, 0]).max() < 12


def test_a_damaged_cmyk_profile_does_not_cost_the_photo():
    data = as_bytes(
        Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", icc_profile=b"\0" * 16 + b"CMYK" + b"\xff" * 200
    )
    photo = decode_photo(data)
    assert photo.image.mode == "RGB" and photo.metadata.profile is None


@pytest.mark.parametrize(
    ("image", "grey"),
    [
        (smooth(mode="L"), True),
        (smooth(mode="L").convert("RGB"), True),
        (smooth(mode="LA"), True),
        (smooth(), False),
        (Image.merge("RGB", [smooth(mode="L"), smooth(mode="L").point(lambda v: v * 0.8), smooth(mode="L")]), False),
    ],
)
def test_a_grey_photo_is_known_by_its_colours(image, grey):
    assert decode_photo(as_bytes(image)).is_grey == grey
    if image.mode == "RGB":
        assert decode_photo(as_bytes(image, "JPEG", quality=60)).is_grey == grey


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_pictures_the_first_is_taken_and_it_is_said(kind):
    first, second = Image.new("RGB", (9, 7), (200, 10, 10)), Image.new("RGB", (9, 7), (10, 10, 200))
    options = {"lossless": True} if kind == "WEBP" else {}
    photo = decode_photo(as_bytes(first, kind, save_all=True, append_images=[second], **options))
    assert "several pictures" in photo.notes[0]
    assert np.abs(np.asarray(photo.image.convert("RGB")).astype(int) - [200, 10, 10]).max() <= 2


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_named_in_one_line(kind):
    with pytest.raises(UnreadableImage) as caught:
        decode_photo(HOSTILE[kind], "folder/name.jpg")
    assert str(caught.value).startswith("folder/name.jpg: ") and "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path):
    for name in (tmp_path, tmp_path / "missing.png"):
        with pytest.raises(UnreadableImage):
            read_photo(name)


@pytest.mark.filterwarnings("ignore:Image size")
@pytest.mark.parametrize(
    ("width", "height", "depth", "kind", "size", "accepted"),
    [(9000, 9000, 8, 0, 1, True), (12000, 12000, 8, 0, 1, False)],
)
def test_a_photo_may_have_134_million_pixels(width, height, depth, kind, size, accepted, monkeypatch):
    data = png_of_zeros(width, height, depth, kind, size)
    if accepted:
        assert decode_photo(data).image.size == (width, height)
        monkeypatch.setenv("RETHINK_FR_MAX_PIXELS", "1000000")  # what the user says holds as it is
    with pytest.raises(UnreadableImage, match="expected at most"):
        decode_photo(data)


# --- HEIC ---


def test_heic_is_read_where_its_package_is():
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(smooth(64, 64)).save(buffer, quality=95)
    photo = decode_photo(buffer.getvalue())
    assert photo.image.size == (64, 64) and photo.image.mode == "RGB"
    assert np.abs(np.asarray(photo.image).astype(int) - np.asarray(smooth(64, 64))).mean() < 4
    with pytest.raises(UnreadableImage, match="damaged or truncated|not an image"):
        decode_photo(buffer.getvalue()[:300])


def test_without_its_package_heic_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    data = struct.pack(">I", 24) + b"ftypheic" + b"\0" * 40
    with pytest.raises(UnreadableImage, match="needs the package pillow-heif: pip install pillow-heif"):
        decode_photo(data)


# --- what is beside the pixels ---


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", sorted(STORED))
def test_a_photo_is_upright_and_says_so(kind, orientation):
    upright = picture(rows=16, columns=24)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "A camera"
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    photo = decode_photo(as_bytes(stored, kind, exif=exif, **options))
    assert photo.image.size == (24, 16)
    assert np.abs(np.asarray(photo.image).astype(int) - upright).max() <= (12 if kind == "JPEG" else 0)
    written = again(photo, {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp"}[kind])
    assert written.image.size == (24, 16)
    assert written.metadata.exif.get(0x0112, 1) == 1 and written.metadata.exif[0x010F] == "A camera"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_exif_profile_and_resolution_are_carried_over(suffix):
    exif = Image.Exif()
    exif[0x013B] = "Änne"
    exif.get_ifd(ExifTags.IFD.Exif).update({0x9003: "2001:02:03 04:05:06", 0xA002: 9999, 0xA003: 9999})
    exif.get_ifd(ExifTags.IFD.GPSInfo)[1] = "N"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = decode_photo(as_bytes(smooth(), "JPEG", exif=exif, icc_profile=profile, dpi=(300, 300)))
    written = again(photo, suffix)
    assert written.metadata.profile == profile
    details = written.metadata.exif.get_ifd(ExifTags.IFD.Exif)
    assert details[0x9003] == "2001:02:03 04:05:06" and (details[0xA002], details[0xA003]) == (50, 40)
    assert written.metadata.exif.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
    if suffix != ".webp":  # which has no place for it
        assert written.metadata.dpi == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_xmp_is_carried_over_without_its_orientation(suffix):
    photo = decode_photo(as_bytes(smooth(), "WEBP", xmp=XMP))
    assert photo.image.size in ((40, 50), (50, 40))
    written = again(photo, suffix)
    assert written.metadata.xmp == XMP.replace(b'"6"', b'"1"')


def test_a_profile_of_other_colours_is_left_out():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = decode_photo(as_bytes(smooth(), "PNG", icc_profile=profile))
    data, _ = encode_photo(photo.image.convert("L"), ".png", photo.metadata)
    assert decode_photo(bytes(data)).metadata.profile is None


def test_a_thumbnail_of_the_photo_as_it_was_is_left_out():
    # By hand, for Pillow 12 does not write a second directory.
    first, second = (8, 1, 0x010F, 2, 9, 44, 26), (1, 0x0201, 4, 1, 100, 0)
    directories = struct.pack("<LHHHLLL", *first) + struct.pack("<HHHLLL", *second)
    exif = b"Exif\0\0II*\0" + directories + b"A camera\0"
    photo = decode_photo(as_bytes(smooth(), "JPEG", exif=exif))
    assert photo.metadata.exif is not None
    assert not again(photo, ".jpg").metadata.exif.get_ifd(ExifTags.IFD.IFD1)


def test_metadata_that_a_format_does_not_take_do_not_cost_the_photo():
    photo = decode_photo(as_bytes(smooth()))
    photo.metadata.xmp = b"x" * 100_000  # JPEG takes 65,504 bytes
    data, notes = encode_photo(photo.image, ".jpg", photo.metadata)
    assert decode_photo(bytes(data)).image.size == (50, 40)
    assert notes == ["its metadata do not fit into JPEG and were left out"]


@pytest.mark.parametrize("dpi", [(0, 0), (float("nan"), 72), (1e30, 1e30), "wide"])
def test_an_odd_resolution_is_left_out(dpi):
    data = as_bytes(smooth())
    opened = decode_photo(data)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        image.info["dpi"] = dpi
        from rethink_fr.pictures.metadata import read_metadata

        assert read_metadata(image).dpi is None
    assert opened.metadata.dpi is None


def test_texts_of_a_png_that_are_no_metadata_are_no_matter():
    info = PngInfo()
    info.add_text("Comment", "x" * 1000)
    assert decode_photo(as_bytes(smooth(), pnginfo=info)).image.size == (50, 40)


# --- writing ---


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
def test_lossless_formats_keep_every_pixel(mode, suffix):
    image = Image.fromarray(picture(20, 30)).convert(mode)
    data, notes = encode_photo(image, suffix)
    assert notes == []
    np.testing.assert_array_equal(np.asarray(decode_photo(bytes(data)).image), np.asarray(image))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_keep_them_nearly(mode, suffix):
    data, _ = encode_photo(smooth(mode=mode), suffix)
    made = np.asarray(decode_photo(bytes(data)).image.convert("RGB")).astype(int)
    assert np.abs(made - np.asarray(smooth(mode=mode).convert("RGB"))).max() <= 8


def test_transparency_that_jpeg_lacks_is_laid_over_white_and_it_is_said():
    data, notes = encode_photo(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), ".jpg")
    assert np.asarray(decode_photo(bytes(data)).image).min() >= 254
    assert notes == ["JPEG has no transparency: it was laid over white"]


def test_webp_without_loss_stays_without():
    image = Image.fromarray(picture(40, 30))
    for options, loses in (({"lossless": True}, False), ({"quality": 80}, True)):
        photo = decode_photo(as_bytes(image, "WEBP", **options))
        assert (np.asarray(again(photo, ".webp").image) != np.asarray(photo.image)).any() == loses


def test_webp_keeps_transparency():
    image = smooth(mode="RGBA")
    image.putalpha(100)
    assert (np.asarray(again(decode_photo(as_bytes(image)), ".webp").image)[..., 3] == 100).all()


@pytest.mark.parametrize(
    ("size", "suffix", "message"),
    [((16_384, 1), ".webp", "expected at most 16383 a side in WEBP"), ((8, 8), ".bmp", "choose one with --ext")],
)
def test_what_a_format_cannot_hold_is_told(size, suffix, message):
    with pytest.raises(UnwritableImage, match=message):
        encode_photo(Image.new("L", size), suffix)


def test_an_enlarged_photo_may_not_be_beyond_the_limit(monkeypatch):
    photo = decode_photo(as_bytes(smooth()))
    check_size(photo, 4)
    monkeypatch.setenv("RETHINK_FR_MAX_PIXELS", "10000")
    check_size(photo, 2)
    with pytest.raises(UnwritableImage, match="32,000 pixels, expected at most 20,000; choose a smaller --upscale"):
        check_size(photo, 4)


def test_a_photo_is_written_as_what_it_was_where_that_keeps_it():
    kept = {".JPG": ".JPG", ".png": ".png", ".webp": ".webp", ".tiff": ".tiff"}
    for suffix, wanted in {**kept, ".heic": ".jpg", ".bmp": ".png", ".gif": ".png", "": ".png"}.items():
        assert output_suffix(suffix) == wanted


def test_colour_management_may_be_missing(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == "PIL" and "ImageCms" in (arguments[2] or ()):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    data = as_bytes(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", icc_profile=b"\0" * 16 + b"CMYK" + b"\0" * 200)
    assert decode_photo(data).image.mode == "RGB"
