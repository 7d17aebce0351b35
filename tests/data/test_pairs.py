"""Files paired by name, and identities from CSV."""

import pytest

from rethink_fr.data.pairs import pair_by_name, read_identities


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
        ("name,identity\na,Ann\na.png,Bob\nb,Bob\n", "line 3 gives a.png another identity"),
        ("name,identity\na,\xff\n".encode("latin-1"), "not a CSV file in UTF-8"),
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
