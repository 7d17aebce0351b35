"""Files paired by name, and identities from CSV."""

import os

import numpy as np
import pytest

from rethink_fr.evaluation.pairs import pair_by_name, read_identities, read_together
from rethink_fr.pictures.files import UnreadableImage, read_image, square_resize, write_image


@pytest.fixture
def folders(tmp_path):
    def make(**names):
        made = {}
        for what, files in names.items():
            made[what] = tmp_path / what
            made[what].mkdir(exist_ok=True)
            for name in files.split():
                (made[what] / name).parent.mkdir(exist_ok=True)
                (made[what] / name).touch()
        return made

    return make


def test_files_are_paired_by_name_whatever_their_ending_and_depth(folders):
    made = folders(
        restored="b.png a.png sub/a.v2.png", reference="sub/a.v2.jpg a.webp b.png", degraded="a.png b.bmp sub/a.v2.png"
    )
    pairs = pair_by_name(made)
    found = [[str(file.relative_to(made[what])) for what, file in pair.items()] for pair in pairs]
    assert found == [
        ["a.png", "a.webp", "a.png"],
        ["b.png", "b.png", "b.bmp"],
        ["sub/a.v2.png", "sub/a.v2.jpg", "sub/a.v2.png"],
    ]


@pytest.mark.parametrize(
    "restored, reference, message",
    [
        ("a.png b.png", "a.png", "restored/b.png: no image of that name in .*reference; expected each restored image"),
        ("a.png", "a.png b.png", "reference/b.png: no image of that name in .*restored; expected each reference image"),
        ("a.png c.png d.png e.png f.png", "a.png", "c.png, .*d.png, .*e.png and 1 more: no image"),
        ("a.png a.jpg", "a.png", "a.png: has the same name as a.jpg; keep one of them"),
        ("", "a.png", "restored: holds no image files"),
        ("a.png", "", "reference: holds no image files"),
    ],
)
def test_what_does_not_pair_is_named(folders, restored, reference, message):
    with pytest.raises(ValueError, match=message) as caught:
        pair_by_name(folders(restored=restored, reference=reference))
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_named(folders, tmp_path):
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        pair_by_name({"restored": tmp_path / "nowhere", **folders(reference="a.png")})


def test_identities_by_name_with_or_without_ending(tmp_path):
    file = tmp_path / "people.csv"
    file.write_text("\ufeffname,age,identity\na.png,3,Ann\nsub/b, 4 , Bob \nelse,5,Eve\n", encoding="utf-8")
    assert read_identities(file, ["a", "sub/b"]) == {"a": "Ann", "sub/b": "Bob"}


@pytest.mark.parametrize(
    "text, message",
    [
        ("name,identity\na,Ann\n", "no identity for b; add a line for each image"),
        ("a,Ann\nb,Bob\n", "expected a first line 'name,identity'"),
        ("", "expected a first line 'name,identity'"),
        ("name,identity\na,Ann\nb,\n", "line 3 lacks a name or an identity"),
        ("name,identity\na,Ann\nb\n", "line 3 lacks a name or an identity"),
        ("name,identity\na,Ann\na.png,Bob\nb,Bob\n", "line 3 gives 'a.png' another identity"),
        ("name,identity\na,\xff\n".encode("latin-1"), "line 2 is not UTF-8 text"),
        ("name,identity\na,Ann\n\n.,Bob\n", "line 4 has the name '.', which no image can have"),
        ("name,identity\n..,Bob\n", "line 2 has the name '..', which"),
        ("name,identity\nsub/..,Bob\n", "line 2 has the name 'sub/..', which"),
        ("name,identity\n/,Bob\n", "line 2 has the name '/', which"),
        ("name,identity\n ,Bob\n", "line 2 lacks a name"),
        ("name,identity,name\na,Ann,b\n", "expected a first line 'name,identity'"),
        ("name,identity\na,Ann\n./a.PNG,Bob\nb,Bob\n", "line 3 gives './a.PNG' another identity"),
        (f"name,identity\n{'x' * 70_000},Bob\n", "line 2 has a cell of more than 65,536 characters"),
        (f"name,identity\n{'x' * 60_000}/..,Bob\n", f"has the name '{'x' * 80}', which"),
        ('name,identity\n"a,Ann\n', "is no CSV"),
        ("name,identity\na\x00,Ann\n", "no identity for a, b"),
    ],
)
def test_misuse_of_identities(tmp_path, text, message):
    file = tmp_path / "people.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    with pytest.raises(ValueError, match=message) as caught:
        read_identities(file, ["a", "b"])
    assert "people.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_of_identities(tmp_path):
    with pytest.raises(ValueError, match="none.csv: No such file"):
        read_identities(tmp_path / "none.csv", ["a"])


def test_what_is_no_regular_file_or_too_large_is_no_file_of_identities(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(ValueError, match="pipe.csv: is a named pipe"):
        read_identities(tmp_path / "pipe.csv", ["a"])
    with open(tmp_path / "huge.csv", "wb") as file:
        file.truncate(200 << 30)
    with pytest.raises(ValueError, match="huge.csv: has 214,748,364,800 bytes, expected at most"):
        read_identities(tmp_path / "huge.csv", ["a"])


def test_only_endings_of_images_are_taken_off_names(tmp_path):
    file = tmp_path / "people.csv"
    file.write_text("name,identity\na.v2,Ann\na.v3,Bob\n./sub//a.v2.JPG,Cy\n")
    assert read_identities(file, ["a.v2", "a.v3", "sub/a.v2"]) == {"a.v2": "Ann", "a.v3": "Bob", "sub/a.v2": "Cy"}


def test_names_that_are_not_utf8_are_asked_for_as_reports_show_them(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    file = tmp_path / "people.csv"
    file.write_text("name,identity\ncaf\\udce9.png,Ann\n")
    assert read_identities(file, [name]) == {name: "Ann"}
    with pytest.raises(ValueError, match="no identity for th\\\\udce9; add a line") as caught:
        read_identities(file, [os.fsdecode(b"th\xe9")])
    str(caught.value).encode("utf-8")


def test_names_that_differ_in_case_are_two(folders):
    with pytest.raises(ValueError, match=r"restored/A.png: no image of that name in .*reference"):
        pair_by_name(folders(restored="A.png", reference="a.png"))
    assert len(pair_by_name(folders(restored="A.png a.png", reference="a.png A.png"))) == 2


def test_pairs_through_links(folders, tmp_path):
    made = folders(restored="a.png sub/b.png", elsewhere="a.png sub/b.png")
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "a.jpg").symlink_to(made["elsewhere"] / "a.png")
    (tmp_path / "reference" / "sub").symlink_to(made["elsewhere"] / "sub")
    pairs = pair_by_name({"restored": made["restored"], "reference": tmp_path / "reference"})
    assert [pair["reference"].relative_to(tmp_path).as_posix() for pair in pairs] == [
        "reference/a.jpg",
        "reference/sub/b.png",
    ]
    (tmp_path / "reference" / "a.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match="a.png: has the same name as a.jpg; keep one of them"):
        pair_by_name({"restored": made["restored"], "reference": tmp_path / "reference"})


@pytest.fixture
def pair(tmp_path):
    """A picture of 40 x 20, its restoration of the central square's middle, 10 x 10, and a reference."""
    gradient = np.linspace(0, 255, 40)[None, :, None] * np.ones([20, 1, 3])
    clean = gradient.astype(np.uint8)
    pictures = {"restored": square_resize(clean, 10), "reference": clean, "degraded": clean}
    for what, picture in pictures.items():
        write_image(tmp_path / f"{what}.png", picture)
    return {what: tmp_path / f"{what}.png" for what in pictures}


def test_pictures_of_unequal_sizes_are_named(pair):
    with pytest.raises(UnreadableImage, match="restored.png: 10 x 10 pixels, expected 40 x 20 as .*add --resize"):
        read_together(pair)
    del pair["restored"]
    together = read_together(pair)
    assert together.pictures["degraded"].shape == (20, 40, 3) and together.resized == ()


def test_resizing_to_the_reference_lays_squares_on_each_other(pair):
    together = read_together(pair, "reference")
    assert together.resized == ("restored", "reference", "degraded")
    assert {picture.shape for picture in together.pictures.values()} == {(20, 20, 3)}
    clean = read_image(pair["reference"])
    np.testing.assert_array_equal(together.pictures["reference"], clean[:, 10:30])  # cut, not squeezed
    difference = together.pictures["restored"].astype(int) - together.pictures["reference"]
    assert np.abs(difference).max() < 8  # the gradient lies where it was; shifted by a pixel it would be 6.5 everywhere
    assert np.abs(difference[:, 4:-4]).max() <= 2


def test_resizing_to_a_number_changes_all_that_have_another_size(pair):
    together = read_together(pair, 10)
    assert together.resized == ("reference", "degraded")
    np.testing.assert_array_equal(together.pictures["restored"], together.pictures["reference"])


def test_equal_sizes_are_left_alone_where_the_reference_decides(pair):
    del pair["restored"]
    together = read_together(pair, "reference")
    assert together.resized == () and together.pictures["reference"].shape == (20, 40, 3)
