"""Which image files are found in a folder."""

import os
import subprocess
import sys

import pytest
from PIL import Image

from rethink_fr.pictures.listing import list_images
from tests.command_line import ROOT


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


def test_listing_names_what_is_no_file_and_folders_that_may_not_be_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "dangling.png").symlink_to("nowhere")
    Image.new("RGB", (2, 2)).save(tmp_path / "good.png")
    (tmp_path / "closed").mkdir(mode=0)
    tmp_path.chmod(0o755)
    code = (  # root may read everything, so as someone else
        "import os, sys\n"
        "from rethink_fr.pictures.files import UnreadableImage, read_image\n"
        "from rethink_fr.pictures.listing import list_images\n"
        "os.chdir(sys.argv[1]), read_image('good.png')  # which loads modules\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "for path in list_images('.'):\n"
        "    try: read_image(path); print(path)\n"
        "    except UnreadableImage as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == [
        "closed: Permission denied",
        "dangling.png: No such file or directory",
        "good.png",
        "pipe.png: is a named pipe, expected a regular file",
    ], done.stderr


def test_listing_something_else_than_a_folder_says_so(tmp_path):
    (tmp_path / "file.png").touch()
    for where in (tmp_path / "missing", tmp_path / "file.png"):
        with pytest.raises(ValueError, match="no such folder"):
            list_images(where)
