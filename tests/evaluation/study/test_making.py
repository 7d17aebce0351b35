"""`rethink-fr study make`: what the page shows, what it hides, and what raters send back."""

import base64
import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rethink_fr import evaluation
from rethink_fr.cli import main
from rethink_fr.evaluation.study.files import StudyKey, Trial, checksum, read_answers, read_key
from rethink_fr.evaluation.study.making import make_study
from rethink_fr.evaluation.study.tally import tally_study
from rethink_fr.files.writing import write_json
from rethink_fr.pictures.files import read_image, square_resize, write_image

# With characters that base64 lacks: they cannot turn up in a picture by chance.
METHODS = ("first_method", "second_method", "third_method")
COUNT = 8


@pytest.fixture
def faces(tmp_path):
    generator = np.random.default_rng(0)
    for folder in (*METHODS, "clean", "degraded"):
        for number in range(COUNT):
            picture = generator.integers(0, 256, [16, 16, 3], dtype=np.uint8)
            write_image(tmp_path / folder / "some" / f"face_number_{number}.png", picture)
    return tmp_path


@pytest.fixture
def made(faces):
    """Makes a study; returns its key as read from the file, and what the page's script holds."""

    def make(**changes):
        page, key = faces / "study.html", faces / "key.json"
        key.unlink(missing_ok=True)
        page.unlink(missing_ok=True)
        methods = {name: faces / name for name in METHODS}
        given = {"methods": methods, "reference": faces / "clean", "degraded": faces / "degraded", "lossless": True}
        make_study(**{**given, "output": page, "key": key, **changes}, progress=False)
        text = page.read_text(encoding="utf-8")
        line = next(line for line in text.splitlines() if "const study = " in line)
        return read_key(key), json.loads(line.partition("const study = ")[2].rstrip(";"))

    return make


@pytest.fixture
def key():
    orders = (METHODS, METHODS[::-1], METHODS)
    return StudyKey(
        ("Which?",), 0, METHODS, tuple(Trial(str(n), f"face{n}", order) for n, order in enumerate(orders, 1))
    )


def answers(key, choices, rater="Ann", **changes):
    """What a rater's page writes."""
    chosen = {one.trial: choice for one, choice in zip(key.trials, choices)}
    entries = [{"trial": trial, "choice": choice} for trial, choice in chosen.items()]
    return {
        "study": key.study,
        "rater": rater,
        "answers": entries,
        "check": checksum(key.study, rater, chosen),
        **changes,
    }


def pixels(uri):
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert not image.info and not image.getexif()
    return np.asarray(image)


def test_the_key_says_what_each_picture_of_the_page_is(made, faces):
    key, page = made()
    assert page["study"] == key.study and len(page["trials"]) == len(key.trials) == COUNT
    for shown, trial in zip(page["trials"], key.trials):
        assert shown["trial"] == trial.trial
        folders = {"degraded": shown["input"], "clean": shown["truth"], **dict(zip(trial.order, shown["options"]))}
        assert sorted(trial.order) == sorted(METHODS)
        for folder, uri in folders.items():
            np.testing.assert_array_equal(pixels(uri), read_image(faces / folder / f"{trial.name}.png"))


def test_the_page_names_no_method_no_folder_and_no_file(made, faces):
    key, page = made()
    text = (faces / "study.html").read_text(encoding="utf-8")
    for word in (*METHODS, "face_number", "some/", faces.name, str(faces)):
        assert word not in text
    assert set(page) == {"study", "questions", "trials"} and set(page["trials"][0]) == {
        "trial",
        "input",
        "truth",
        "options",
    }
    assert "http" not in text.replace("http-equiv", "") and "default-src 'none'" in text


def test_four_criteria_are_asked_and_without_truth_none_is_shown(made, faces):
    key, page = made()
    assert len(page["questions"]) == 4 == len(key.questions) and "ground truth" in page["questions"][0]
    key, page = made(reference=None)
    text = (faces / "study.html").read_text(encoding="utf-8")
    assert "truth" not in page["trials"][0] and "its ground truth" not in text
    assert not any("ground truth" in question for question in key.questions) and len(key.questions) == 4
    with pytest.raises(ValueError, match="--question: is empty"):
        made(questions=[" "])


def test_a_study_of_one_question_has_the_key_that_it_always_had(key):
    assert list(key.as_json()) == ["study", "question", "seed", "methods", "trials"]
    assert key.as_json()["question"] == "Which?" and [item.name for item in key.items] == ["1", "2", "3"]


def test_every_question_of_every_trial_is_answered(key, tmp_path):
    several = StudyKey(("Who?", "Real?"), key.seed, key.methods, key.trials)
    write_json(tmp_path / "key.json", several.as_json())
    assert read_key(tmp_path / "key.json") == several and several.study != key.study
    names = ["1.1", "1.2", "2.1", "2.2", "3.1", "3.2"]
    assert [item.name for item in several.items] == names
    chosen = dict(zip(names, "ABABAB"))
    entries = [{"trial": name, "choice": choice} for name, choice in chosen.items()]
    check = checksum(several.study, "Ann", chosen)
    content = {"study": several.study, "rater": "Ann", "answers": entries, "check": check}
    (tmp_path / "ann.json").write_text(json.dumps(content))
    first, second, third = METHODS
    assert read_answers(tmp_path / "ann.json", several).methods == (first, second, third, second, first, second)
    tally = tally_study(tmp_path / "key.json", [tmp_path / "ann.json"])
    assert [(one.method, one.chosen) for one in tally.preferences] == [(second, 3), (first, 2), (third, 1)]
    of_who, of_real = tally.of_questions
    assert (of_who.question, of_who.preferences[0].share) == ("Who?", pytest.approx(2 / 3))
    assert (of_real.preferences[0].method, of_real.preferences[0].share) == (second, 1.0)
    assert "all 2 questions together:" in tally.table() and "Real?" in tally.table()
    (tmp_path / "ann.json").write_text(json.dumps({**content, "answers": entries[:-1]}))
    with pytest.raises(ValueError, match="1 of 6 trials have no answer, the first is 3.2"):
        read_answers(tmp_path / "ann.json", several)


def test_orders_are_random_in_each_trial_and_the_seed_decides(made):
    first, again, other = (made(seed=seed)[0] for seed in (1, 1, 2))
    assert first == again and first.study == again.study
    assert [one.order for one in first.trials] != [one.order for one in other.trials]
    assert first.study != other.study
    # Eight trials of three methods that are all in one order: once in 6^7 seeds.
    assert len({one.order for one in first.trials}) > 1
    assert [one.name for one in first.trials] != sorted(one.name for one in first.trials)


def test_every_method_comes_first_about_as_often():
    generator = np.random.default_rng(0)
    # What make_study draws for each trial.
    first = [generator.permutation(3)[0] for _ in range(3000)]
    # 1000 expected, standard deviation 26.
    assert all(900 < count < 1100 for count in np.bincount(first))


def test_some_of_the_images_can_be_chosen(made):
    key, page = made(trials=3)
    assert len({one.name for one in key.trials}) == 3 == len(page["trials"])


def test_pictures_are_all_encoded_alike(made):
    _, page = made(lossless=False)
    for trial in page["trials"]:
        for uri in (trial["input"], trial["truth"], *trial["options"]):
            assert uri.startswith("data:image/jpeg;base64,")


def test_a_key_is_not_overwritten_by_that_of_another_page(made, faces):
    made()
    with pytest.raises(ValueError, match="key.json: is there already; choose another --key, or add --overwrite"):
        make_study(
            {name: faces / name for name in METHODS},
            faces / "clean",
            faces / "degraded",
            faces / "other.html",
            faces / "key.json",
            seed=7,
        )
    assert not (faces / "other.html").exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"key": "study.html"}, "study.html: two outputs of this call would have this name"),
        ({"key": "clean/../study.html"}, "study.html: two outputs of this call would have this name"),
        ({"output": "clean/some/face_number_0.png"}, "face_number_0.png: is the same file as the input "),
        ({"key": "link.json", "overwrite": True}, "link.json: is the same file as the input .* choose another --key"),
        (
            {"output": "clean/some/face_number_0.png/p.html"},
            "_0.png: cannot be written to: is a file, expected a folder",
        ),
        ({"key": "clean"}, "clean: is a folder, expected a file's name; choose another --key"),
        ({"resize": 3}, "--resize 3: expected 8 to 4096 pixels"),
    ],
)
def test_page_and_key_are_neither_pictures_nor_each_other(made, faces, changes, message):
    (faces / "link.json").symlink_to(faces / "clean/some/face_number_0.png")
    before = (faces / "clean/some/face_number_0.png").read_bytes()
    with pytest.raises(ValueError, match=message) as caught:
        made(**{what: faces / one if isinstance(one, str) else one for what, one in changes.items()})
    assert "\n" not in str(caught.value) and (faces / "clean/some/face_number_0.png").read_bytes() == before
    assert not (faces / "study.html").exists() and not (faces / "key.json").exists()


def test_methods_of_unequal_sizes_are_shown_at_one(made, faces):
    for number in range(COUNT):
        file = faces / METHODS[0] / f"some/face_number_{number}.png"
        write_image(file, square_resize(read_image(file), 8))
    with pytest.raises(ValueError, match="8 x 8 pixels, expected 16 x 16 as .*; add --resize"):
        made()
    for resize, side in (("reference", 16), (12, 12)):
        _, page = made(resize=resize)
        uris = [uri for one in page["trials"] for uri in (one["input"], one["truth"], *one["options"])]
        assert {pixels(uri).shape for uri in uris} == {(side, side, 3)}


def test_names_that_are_not_utf8_survive_the_key(made, faces):
    for folder in (*METHODS, "clean", "degraded"):
        some = faces / folder / "some"
        (some / "face_number_0.png").rename(some / os.fsdecode(b"caf\xe9.png"))
    key, _ = made(questions=["Wh\udce9ch?"])
    assert os.fsdecode(b"some/caf\xe9") in {one.name for one in key.trials}
    assert "Wh\\udce9ch?" in (faces / "study.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"trials": 0}, "--trials 0: expected 1 to 8"),
        ({"trials": 9}, "--trials 9: expected 1 to 8"),
        ({"methods": {"one": "x"}}, "1 methods; expected 2 to 26"),
        ({"methods": {"degraded": "x", "b": "y"}}, "a method may not be called 'degraded'"),
        ({"reference": "nowhere"}, "nowhere: no such folder"),
    ],
)
def test_misuse(made, changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        made(**changes)
    assert "\n" not in str(caught.value)


def test_pictures_of_another_size_or_none_are_named(made, faces):
    write_image(faces / METHODS[1] / "some/face_number_3.png", np.zeros([8, 9, 3], np.uint8))
    with pytest.raises(ValueError, match=r"face_number_3.png: 9 x 8 pixels, expected 16 x 16 as"):
        made()
    (faces / METHODS[1] / "some/face_number_3.png").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"face_number_3.png: not an image"):
        made()


def test_a_checksum_is_what_the_page_computes():
    # Saved by the page in Chromium 147.
    chosen = {"1": "A", "2": "B", "3": "C", "4": "A"}
    assert checksum("2ffe224e8aff13f4", "Zoë ☃ 1", chosen) == "4a109552"


@pytest.mark.skipif(shutil.which("node") is None, reason="no JavaScript interpreter (node)")
def test_the_pages_script_computes_that_checksum():
    script = (Path(evaluation.__file__).parent / "templates/study.js").read_text(encoding="utf-8")
    function = script[script.index("function checksum") : script.index("function save")]
    code = f'{function}\nconsole.log(checksum(["2ffe224e8aff13f4", "Zoë ☃ 1", "1:A", "2:B", "3:C", "4:A"]));'
    found = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "4a109552"


def test_what_is_no_unicode_has_the_checksum_of_the_page():
    # new TextEncoder() writes U+FFFD for it.
    assert checksum("s", "\udce9 \ud800", {}) == checksum("s", "\ufffd \ufffd", {}) != checksum("s", "? ?", {})


def test_answers_are_resolved_by_the_key(key, tmp_path):
    (tmp_path / "ann.json").write_text(json.dumps(answers(key, "AAC")))
    found = read_answers(tmp_path / "ann.json", key)
    assert found.rater == "Ann" and found.methods == ("first_method", "third_method", "third_method")


HOSTILE = {
    "another study": (lambda good: {**good, "study": "0" * 16}, "answers of the study '0000000000000000'"),
    "no name": (lambda good: {**good, "rater": " "}, "has no rater's name"),
    "missing": (lambda good: {**good, "answers": good["answers"][1:]}, "1 of 3 trials have no answer, the first is 1"),
    "none": (lambda good: {**good, "answers": []}, "3 of 3 trials have no answer"),
    "twice": (lambda good: {**good, "answers": good["answers"] + good["answers"][:1]}, "trial 1 is answered twice"),
    "unknown": (
        lambda good: {**good, "answers": [{"trial": "9", "choice": "A"}]},
        "is to a trial '9', which the study",
    ),
    "letter": (lambda good: {**good, "answers": [{"trial": "1", "choice": "D"}]}, "is 'D'; expected one of A, B, C"),
    "letters": (lambda good: {**good, "answers": [{"trial": "1", "choice": "AB"}]}, "is 'AB'; expected one of A, B, C"),
    "empty": (lambda good: {**good, "answers": [{"trial": "1", "choice": ""}]}, "is ''; expected one of A, B, C"),
    "edited": (
        lambda good: {**good, "answers": [{**good["answers"][0], "choice": "C"}, *good["answers"][1:]]},
        "was changed since the page wrote it; ask 'Ann' for the original",
    ),
    "renamed": (lambda good: {**good, "rater": "Bob"}, "was changed since the page wrote it"),
    "surrogate": (lambda good: {**good, "rater": "\ud800"}, "was changed since the page wrote it"),
    "more": (
        lambda good: {**good, "extra": 1},
        "has not the fields study, rater, answers, check; expected those and no",
    ),
    "less": (lambda good: {"study": good["study"]}, "has not the fields"),
    "list": (lambda good: [good], "the file has not the fields"),
    "number": (lambda good: {**good, "rater": 5}, "has a field rater that is no str"),
    "entries": (lambda good: {**good, "answers": ["A"]}, "answer 1 has not the fields trial, choice"),
    "null": (lambda good: {**good, "answers": [{"trial": "1", "choice": None}]}, "has a field choice that is no str"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_answers_are_one_line_that_names_the_file(key, tmp_path, case):
    change, message = HOSTILE[case]
    file = tmp_path / "answers.json"
    file.write_text(json.dumps(change(answers(key, "AAC"))))
    with pytest.raises(ValueError) as caught:
        read_answers(file, key)
    assert str(caught.value).startswith(f"{file}: ") and message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"no", b"\xff\xfe", b"[" * 100000, b"NaN"])
def test_answers_that_are_no_json(key, tmp_path, data):
    file = tmp_path / "answers.json"
    file.write_bytes(data)
    with pytest.raises(ValueError, match="answers.json: ") as caught:
        read_answers(file, key)
    assert "\n" not in str(caught.value)


def test_a_changed_key_is_refused(key, tmp_path):
    file = tmp_path / "key.json"
    write_json(file, key.as_json())
    assert read_key(file) == key
    stored = json.loads(file.read_text())
    for change in (
        {"seed": 9},
        {"methods": ["a", "b", "c"]},
        {"trials": stored["trials"][::-1]},
        {"trials": []},
    ):
        file.write_text(json.dumps({**stored, **change}))
        with pytest.raises(ValueError, match="key.json: was changed since study make wrote it"):
            read_key(file)
    for change in ({"methods": "abc"}, {"trials": [1]}, {"study": None}):
        file.write_text(json.dumps({**stored, **change}))
        with pytest.raises(ValueError, match="key.json: the (file|trial 1) has"):
            read_key(file)


@pytest.mark.parametrize(
    "methods, trials",
    [
        (("a", "b"), (Trial("1", "x", ("a",)),)),
        (("a", "b"), (Trial("1", "x", ("a", "a")),)),
        (("a", "b"), (Trial("1", "x", ("a", "b")), Trial("1", "y", ("a", "b")))),
        (("a",), (Trial("1", "x", ("a",)),)),
        (("a", "a"), (Trial("1", "x", ("a", "a")),)),
        ((1, 2), (Trial("1", "x", (1, 2)),)),
        (("a", "b"), ()),
    ],
)
def test_a_key_that_was_made_up_is_refused(tmp_path, methods, trials):
    write_json(tmp_path / "key.json", StudyKey(("",), 0, methods, trials).as_json())
    with pytest.raises(ValueError, match="key.json: was changed"):
        read_key(tmp_path / "key.json")


def test_from_the_command_line_to_a_tally(faces, capsys):
    key, page = faces / "key.json", faces / "study.html"
    methods = [f"{name}={faces / name}" for name in METHODS]
    places = ["--reference", faces / "clean", "--degraded", faces / "degraded", "--output", page, "--key", key]
    assert main(["study", "make", "--restored", *methods, *map(str, places), "--question", "Which one?"]) == 0
    assert "8 trials of 3 methods" in capsys.readouterr().out and "<h1>Which one?</h1>" in page.read_text()
    (faces / "ann.json").write_text(json.dumps(answers(read_key(key), "ABCABCAB")))
    (faces / "bad.json").write_text("{}")
    given = [str(faces / "ann.json"), "--key", str(key), "--output", str(faces / "tally.json")]
    assert main(["study", "tally", *given]) == 0
    assert "8 trials, raters: 1" in capsys.readouterr().out
    assert json.loads((faces / "tally.json").read_text())["raters"] == ["Ann"]
    assert main(["study", "tally", *given]) == 2
    assert "tally.json: is there already; choose another --output, or add --overwrite" in capsys.readouterr().err
    assert main(["study", "tally", str(faces / "bad.json"), *given, "--overwrite"]) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and "bad.json: the file has not the fields" in error
    assert main(["study", "tally", str(faces / "bad.json"), "--key", str(key)]) == 2
    assert "no answers can be used" in capsys.readouterr().err
    assert main(["study", "make", "--restored", str(faces / "clean"), *map(str, places)]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and "1 methods; expected 2 to 26" in error


@pytest.mark.parametrize("wanted", ["key.json", "./key.json", "link.json", "ann.json", "other/key.json", "report.json"])
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_a_tally_is_not_written_over_what_it_is_made_of(made, faces, capsys, wanted, overwrite):
    key, _ = made()
    (faces / "link.json").symlink_to(faces / "key.json")
    (faces / "other").symlink_to(faces)
    (faces / "ann.json").write_text(json.dumps(answers(key, "ABCABCAB")))
    (faces / "report.json").write_text("{}")
    before = {path: path.read_bytes() for path in faces.glob("*.json")}
    given = [faces / "ann.json", "--key", faces / "key.json", "--evaluation", faces / "report.json"]
    assert main(["study", "tally", *map(str, given), "--output", f"{faces}/{wanted}", *overwrite]) == 2
    printed = capsys.readouterr()
    assert "is the same file as the input" in printed.err and len(printed.err.splitlines()) == 1 and not printed.out
    assert {path: path.read_bytes() for path in faces.glob("*.json")} == before
