"""`rethink-fr evaluate`, through the command line."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rethink_fr.cli import main
from rethink_fr.evaluation import evaluate as evaluate_module
from rethink_fr.metrics import consistency, luma, niqe, psnr, ssim
from rethink_fr.metrics.table import METRICS
from rethink_fr.metrics.vqfr_protocol import match_mean_and_std
from rethink_fr.pictures.files import read_image, square_resize, write_image

NAMES = ["a", "b", "sub/c"]


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """Folders clean/, restored/ (little noise, PNG) and degraded/ (much noise), of three pictures each.

    The user's cache is an empty folder: networks that were fetched before have no part in it.
    """
    monkeypatch.setenv("RETHINK_FR_CACHE", str(tmp_path / "cache"))
    generator = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        rows, columns = np.mgrid[:96, : 192 + 8 * number]
        clean = 128 + 60 * np.sin(rows / 9 + number)[..., None] + 40 * np.cos(columns / 7)[..., None] * [1, 0.8, 0.6]
        for folder, noise in (("clean", 2), ("restored", 6), ("degraded", 30)):
            picture = np.clip(clean + generator.normal(0, noise, clean.shape), 0, 255).astype(np.uint8)
            write_image(tmp_path / folder / f"{name}.png", picture)
    return tmp_path


@pytest.fixture
def statistics(tmp_path):
    file = tmp_path / "pristine.npz"
    np.savez(file, mu_pris_param=np.ones([1, 36]), cov_pris_param=np.eye(36))
    return file


@pytest.fixture
def evaluated(faces, capsys):
    """Runs the command on the faces; returns exit code, what it printed, what it complained of, and the report."""

    def run(*arguments):
        output = faces / "report.json"
        output.unlink(missing_ok=True)
        places = ["--restored", faces / "restored", "--reference", faces / "clean", "--output", output]
        code = main(["evaluate", *map(str, [*places, *arguments])])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return code, printed.out, printed.err, json.loads(output.read_text()) if output.exists() else None

    return run


def test_report_and_table(evaluated, faces):
    code, out, err, report = evaluated("--degraded", faces / "degraded")
    assert code == 0 and err == ""
    assert list(report["metrics"]) == ["psnr", "ssim", "psnr_y", "ssim_y", "consistency"]  # need nothing further
    assert report["images"] == 3 and report["protocol"] == "ours"
    assert [row["name"] for row in report["rows"]] == NAMES
    for row in report["rows"]:
        clean = read_image(faces / "clean" / f"{row['name']}.png")[None]
        for folder in ("restored", "degraded"):
            picture = read_image(faces / folder / f"{row['name']}.png")[None]
            expected = {
                "psnr": psnr(picture, clean)[0],
                "ssim": ssim(picture, clean)[0],
                "psnr_y": psnr(luma(picture), luma(clean))[0],
                "ssim_y": ssim(luma(picture), luma(clean))[0],
                "consistency": consistency(picture, read_image(faces / "degraded" / f"{row['name']}.png")[None])[0],
            }
            if folder == "degraded":
                expected["consistency"] = "inf"  # it is what it was made from
            assert row[folder] == pytest.approx(expected)
    for name, figure in report["metrics"].items():
        assert figure["definition"] and figure["better"] == "higher"
        for folder in ("restored", "degraded"):
            mean = np.mean([float(row[folder][name]) for row in report["rows"]])
            assert float(figure[folder]["mean"]) == pytest.approx(mean) and figure[folder]["count"] == 3
            low, high = map(float, figure[folder]["interval"])
            assert low <= mean <= high
        assert name == "consistency" or figure["restored"]["mean"] > figure["degraded"]["mean"]
    assert set(report["versions"]) == {"rethink_fr", "python", "numpy", "scipy", "pillow"}
    lines = out.splitlines()
    assert lines[0] == "3 images, protocol ours; mean [95 % interval]"
    assert lines[1].split() == ["metric", "better", "restored", "degraded"]
    assert lines[2].startswith(f"psnr         higher  {report['metrics']['psnr']['restored']['mean']:.2f} dB [")
    assert lines[-2].startswith("left out: lpips_vgg, lpips_alex, perceptual, niqe, deg, lmd, fid_paired, ")
    assert lines[-2].endswith("code_perplexity, samples; ask for one with --metrics to see what it needs")
    assert {one["metric"] for one in report["left_out"]} == set(METRICS["ours"]) - set(report["metrics"])
    assert all(one["reason"] for one in report["left_out"]) and report["missing"] == []


def test_the_seed_changes_nothing_but_intervals(evaluated):
    first, again, other = (evaluated("--seed", seed)[3] for seed in (1, 1, 2))
    assert first == again
    assert first["rows"] == other["rows"] and first["interval"]["seed"] == 1
    assert first["metrics"]["psnr"]["restored"]["mean"] == other["metrics"]["psnr"]["restored"]["mean"]


def test_protocol_vqfr_is_another_basis_and_says_so(evaluated, faces):
    ours, theirs = (evaluated("--metrics", "psnr,ssim", "--protocol", name)[3] for name in ("ours", "vqfr"))
    assert theirs["protocol"] == "vqfr"
    for name, metric in (("psnr", psnr), ("ssim", ssim)):
        clean, restored = (read_image(faces / folder / "a.png")[None] for folder in ("clean", "restored"))
        assert theirs["rows"][0]["restored"][name] == pytest.approx(
            metric(match_mean_and_std(restored, clean), clean)[0]
        )
        assert "matched to the reference's" in theirs["metrics"][name]["definition"]
        assert "matched" not in ours["metrics"][name]["definition"]
        assert ours["rows"][0]["restored"][name] != theirs["rows"][0]["restored"][name]


def test_niqe_with_its_statistics(evaluated, faces, statistics):
    code, _, _, report = evaluated("--niqe-statistics", statistics)
    assert code == 0 and list(report["metrics"])[-1] == "niqe"
    assert report["metrics"]["niqe"]["better"] == "lower"
    assert len(report["niqe_statistics"]["sha256"]) == 64
    expected = niqe(read_image(faces / "restored" / "a.png"), (np.ones(36), np.eye(36)))
    assert report["rows"][0]["restored"]["niqe"] == pytest.approx(expected)


def test_equal_images_are_infinitely_good_in_valid_json(evaluated, faces):
    shutil.rmtree(faces / "restored")
    shutil.copytree(faces / "clean", faces / "restored")
    code, out, _, report = evaluated("--metrics", "psnr,ssim")
    assert code == 0 and "inf dB [inf, inf]" in out
    assert report["metrics"]["psnr"]["restored"] == {"mean": "inf", "interval": ["inf", "inf"], "count": 3}
    assert report["metrics"]["ssim"]["restored"]["mean"] == pytest.approx(1.0)


def test_what_is_not_there_is_named_and_not_replaced(evaluated):
    code, out, err, report = evaluated("--metrics", "psnr,lpips,niqe,iprecision")
    assert code == 1
    assert list(report["metrics"]) == ["psnr"] and "lpips" not in out
    named = ["lpips_vgg", "lpips_alex", "niqe", "iprecision"]
    assert [line.split(":")[1].strip() for line in err.splitlines()] == named
    assert "add --niqe-statistics FILE.npz" in err and "add --identities CSV with the columns name,identity" in err
    assert [one["metric"] for one in report["missing"]] == named and report["left_out"] == []
    code, out, _, report = evaluated("--metrics", "fid")
    assert code == 1 and report["metrics"] == {} and "fid" not in out


def test_identities_go_into_the_rows(evaluated, faces):
    (faces / "people.csv").write_text("name,identity\na,Ann\nb.png,Bob\nsub/c,Ann\n")
    code, _, _, report = evaluated("--identities", faces / "people.csv")
    assert code == 0 and [row["identity"] for row in report["rows"]] == ["Ann", "Bob", "Ann"]
    (faces / "people.csv").write_text("name,identity\na,Ann\n")
    code, _, err, report = evaluated("--identities", faces / "people.csv")
    assert code == 2 and report is None and "people.csv: no identity for b, sub/c; add a line" in err


def test_images_that_cannot_be_used_are_listed_and_the_others_measured(evaluated, faces):
    (faces / "restored" / "a.png").write_bytes(b"no picture")
    write_image(faces / "restored" / "b.png", np.zeros([96, 90, 3], np.uint8))
    code, out, err, report = evaluated()
    assert code == 1 and report["images"] == 1 and out.startswith("1 images")
    lines = err.splitlines()
    assert len(lines) == 2 == len(report["failed"])
    assert "restored/a.png: not an image in a known format" in lines[0]
    assert "restored/b.png: 90 x 96 pixels, expected 200 x 96 as" in lines[1] and lines[1].endswith(
        "resize one of them"
    )
    assert report["metrics"]["psnr"]["restored"]["count"] == 1


def test_images_too_small_for_a_metric_are_listed(evaluated, faces):
    for folder in ("clean", "restored"):
        write_image(faces / folder / "a.png", np.zeros([8, 8, 3], np.uint8))
    code, _, err, _ = evaluated()
    assert code == 1 and "restored/a.png: ssim: images of 8 x 8 pixels, expected 11 x 11 or more" in err


def test_no_usable_image_at_all(evaluated, faces):
    for name in NAMES:
        (faces / "clean" / f"{name}.png").write_bytes(b"")
    code, out, err, report = evaluated()
    assert code == 1 and report["metrics"] == {} and report["rows"] == [] and len(err.splitlines()) == 3
    assert out.startswith("0 images")


def test_misuse_is_one_line_and_exit_code_two(evaluated, faces, statistics):
    (faces / "empty").mkdir()
    write_image(faces / "more" / "z.png", np.zeros([8, 8, 3], np.uint8))
    for arguments, message in (
        (["--metrics", "psnr,pnsr"], "--metrics: pnsr; expected some of psnr, ssim, psnr_y, ssim_y, lpips_vgg"),
        (["--metrics", "fid_paired", "--protocol", "vqfr"], "; fid_paired is of another --protocol"),
        (["--k", "0"], "--k: 0; expected 1 or more"),
        (["--inception", faces / "none.pth"], "none.pth"),
        (["--fid-statistics", faces / "clean" / "a.png"], "a.png: no NPZ file"),
        (["--table", faces / "table.csv"], "table.csv: expected a name ending in .tex or .md"),
        (["--restored", faces / "restored"], "expected NAME=DIR for each of several methods"),
        (["--metrics", ","], "--metrics: none; expected some of"),
        (["--degraded", faces / "empty"], "empty: holds no image files"),
        (["--degraded", faces / "none"], "none: no such folder"),
        (["--degraded", faces / "more"], "a.png, "),
        (["--reference", faces / "more"], "no image of that name in"),
        (["--niqe-statistics", faces / "clean" / "a.png"], "a.png: no NPZ file"),
        (["--identities", faces / "none.csv"], "none.csv: No such file"),
        (["--output", faces / "clean"], "clean: is a folder, expected a file's name; choose another --output"),
        (["--resize", "7"], "--resize 7: expected 8 to 4096 pixels, or no number"),
    ):
        code, _, err, report = evaluated(*arguments)
        assert code == 2 and message in err and len(err.splitlines()) == 1, (arguments, err)
        assert report is None


@pytest.mark.parametrize("given", ["1,2", "a,b,c,d", "0.5,0,0.5,1"])
def test_a_crop_that_is_none_is_one_line(evaluated, capsys, given):
    with pytest.raises(SystemExit) as end:
        evaluated("--identity-crop", given)
    last = capsys.readouterr().err.splitlines()[-1]
    assert (
        end.value.code == 2
        and "argument --identity-crop: crop " in last
        and "left,top,right,bottom" in last.replace(" ", "")
    )


def test_pictures_of_unequal_sizes_are_resized_where_it_is_told_so(evaluated, faces):
    for name in NAMES:
        write_image(faces / "restored" / f"{name}.png", square_resize(read_image(faces / "clean" / f"{name}.png"), 48))
    code, _, err, _ = evaluated()
    assert code == 1 and err.count("; add --resize, or resize one of them") == 3
    code, out, err, report = evaluated("--degraded", faces / "degraded", "--resize")
    assert (code, err) == (0, "") and out.startswith("3 images, protocol ours, 9 pictures resized to their reference's")
    assert report["resize"]["to"] == "reference"
    assert report["resize"]["pictures"] == {"restored": 3, "reference": 3, "degraded": 3}
    code, out, _, report = evaluated("--degraded", faces / "degraded", "--resize", "48")
    assert code == 0 and out.startswith("3 images, protocol ours, 6 pictures resized to 48 x 48 px")
    assert report["resize"] == {
        "to": 48,
        "method": "central square, Lanczos",
        "pictures": {"restored": 0, "reference": 3, "degraded": 3},
    }
    assert report["metrics"]["psnr"]["restored"]["mean"] == "inf"  # what training takes for the reference


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize(
    "wanted, message",
    [
        (["--output", "x.json", "--html", "x.json"], "x.json: two outputs of this call would have this name"),
        (["--output", "x.json", "--html", "./x.json"], "x.json: two outputs of this call would have this name"),
        (["--output", "x.json", "--html", "link/x.json"], "x.json: two outputs of this call would have this name"),
        (["--table", "x.md", "--table", "x.md"], "x.md: two outputs of this call would have this name"),
        (
            ["--html", "clean/a.png"],
            "a.png: is the same file as the input clean/a.png, which would be overwritten",
        ),
        (["--html", "link/degraded/b.png"], "b.png: is the same file as the input degraded/b.png"),
        (["--html", "hard.html"], "hard.html: is the same file as the input restored/a.png"),
        (["--html", "soft.html"], "soft.html: is the same file as the input restored/a.png"),
        (
            ["--output", "people.csv"],
            "people.csv: is the same file as the input people.csv, which would be overwritten",
        ),
        (["--output", "pristine.npz"], "pristine.npz: is the same file as the input pristine.npz"),
        (["--output", "cache/weights/awing.pth"], "is the same file as the input"),
        (
            ["--output", "people.csv/report.json"],
            "people.csv: cannot be written to: is a file, expected a folder; choose another --o",
        ),
        (["--html", "/proc/no/page.html"], "page.html: cannot be written ("),
        (["--html", f"{'x' * 300}.html"], "bytes, expected at most 255; shorten the name"),
    ],
)
def test_outputs_are_refused_before_the_work(faces, statistics, capsys, monkeypatch, wanted, message, overwrite):
    from rethink_fr.weights.known import KNOWN_WEIGHTS

    monkeypatch.chdir(faces)
    (faces / "people.csv").write_text("name,identity\na,Ann\nb,Bob\nsub/c,Ann\n")
    (faces / "link").symlink_to(faces)
    os.link(faces / "restored" / "a.png", faces / "hard.html")
    (faces / "soft.html").symlink_to("restored/a.png")
    weights = KNOWN_WEIGHTS["awing"].files[0].path
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    wanted = [str(weights) if one.startswith("cache/") else one for one in wanted]
    before = {path: path.read_bytes() for path in faces.rglob("*") if path.is_file()}
    given = ["--restored", "restored", "--reference", "clean", "--degraded", "degraded", "--identities", "people.csv"]
    code = main(["evaluate", *given, "--niqe-statistics", "pristine.npz", *wanted, *overwrite])
    printed = capsys.readouterr()
    assert code == 2 and message in printed.err and len(printed.err.splitlines()) == 1, printed.err
    assert printed.out == ""  # nothing was measured
    assert {path: path.read_bytes() for path in faces.rglob("*") if path.is_file()} == before


def test_what_is_there_is_replaced_where_it_is_told_so(evaluated, faces):
    names = ["report.html", "table.tex", "table.md"]
    wanted = ["--html", faces / names[0], "--table", faces / names[1], "--table", faces / names[2]]
    for name in names:
        (faces / name).write_text("old")
        code, out, err, report = evaluated(*wanted)
        assert (code, out, report) == (2, "", None) and f"{name}: is there already; choose another --" in err
        assert (faces / name).read_text() == "old"
        (faces / name).unlink()
    for name in names:
        (faces / name).write_text("old")
    assert evaluated(*wanted, "--overwrite")[0] == 0
    assert all("PSNR" in (faces / name).read_text() for name in names)
    assert not [path for path in faces.iterdir() if path.name.startswith(".rfr-")]


def test_one_output_that_cannot_be_written_costs_no_other(evaluated, faces, monkeypatch):
    (faces / "gone").mkdir()

    def without_folder(*arguments, evaluate=evaluate_module.evaluate, **options):
        report = evaluate(*arguments, **options)
        (faces / "gone").rmdir()
        (faces / "gone").write_text("a file has taken its place meanwhile")
        return report

    monkeypatch.setattr(evaluate_module, "evaluate", without_folder)
    code, out, err, report = evaluated("--table", faces / "gone" / "table.md", "--html", faces / "page.html")
    assert code == 1 and report["images"] == 3 and "psnr" in out and (faces / "page.html").exists()
    assert "gone/table.md: cannot be written (" in err and len(err.splitlines()) == 1


def test_names_that_are_not_utf8_are_in_every_output(evaluated, faces):
    odd = os.fsdecode(b"caf\xe9")
    for folder in ("clean", "restored"):
        (faces / folder / "a.png").rename(faces / folder / f"{odd}.png")
    (faces / "restored" / "b.png").write_bytes(b"")
    shutil.move(faces / "restored", faces / f"{odd}")
    (faces / "restored").mkdir()
    for name in sorted((faces / odd).iterdir()):
        shutil.move(name, faces / "restored")
    tables = [faces / f"{odd}.md", faces / f"{odd}.tex"]
    wanted = ["--html", faces / f"{odd}.html", "--table", tables[0], "--table", tables[1], "--overwrite"]
    code = subprocess.run(
        [sys.executable, "-m", "rethink_fr", "evaluate", "--restored", f"{odd}={faces / 'restored'}", "--reference",
         faces / "clean", "--output", faces / "report.json", *wanted],
        capture_output=True, env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"}, timeout=60,
    )  # fmt: skip
    assert code.returncode == 1 and b"Traceback" not in code.stderr, code.stderr
    assert b"restored/b.png: the file is empty" in code.stderr and b"page: " in code.stdout
    report = json.loads((faces / "report.json").read_text("utf-8"))
    assert report["methods"] == [odd] and odd in [row["name"] for row in report["rows"]]
    for path in (faces / f"{odd}.html", *tables):
        assert "udce9" in path.read_text("utf-8")


def test_it_does_without_tensorflow(faces):
    arguments = ["evaluate", "--restored", str(faces / "restored"), "--reference", str(faces / "clean")]
    needs_networks = [*arguments, "--metrics", "lpips", "--codes", str(faces), "--output", str(faces / "clean/a.png")]
    methods = [f"{name}={faces / name}" for name in ("restored", "clean")]
    places = ["--reference", str(faces / "clean"), "--degraded", str(faces / "restored"), "--output", str(faces / "s")]
    study = ["study", "make", "--restored", *methods, *places, "--key", str(faces / "s")]
    code = (
        "import sys; from rethink_fr.cli import main\n"
        f"assert main({arguments!r}) == 0\n"
        f"assert main({needs_networks!r}) == 2\n"
        f"assert main({study!r}) == 2\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_names_every_metric(capsys):
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0 and ", ".join(list(METRICS["ours"])[:4]) in text
    for name in METRICS["ours"]:
        assert f" {name}," in text or f" {name};" in text
