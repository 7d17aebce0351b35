"""The published weights that are known: where they can be had, what for, and under which terms."""

from __future__ import annotations

import functools
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

from rethink_fr.files.cache import cache_directory
from rethink_fr.files.checksums import file_sha256
from rethink_fr.files.names import printable
from rethink_fr.files.reading import UnreadableFile, read_text

_SHA256 = re.compile("[0-9a-f]{64}")


class WeightsFileError(ValueError):
    """A file in the user's cache that is not the published one. The message is one line that says what to do."""


@dataclass(frozen=True)
class WeightFile:
    """One file that can be fetched."""

    name: str
    url: str
    sha256: Optional[str]  # None: we do not know it; it is recorded when the file is first fetched
    megabytes: float  # approximate size

    @property
    def path(self) -> Path:
        """Where it is kept in the user's cache."""
        return weights_directory() / self.name

    @property
    def record(self) -> Path:
        """The file in which the checksum is noted after fetching, if it is not in the table."""
        return self.path.with_name(f"{self.name}.sha256")

    @property
    def expected_sha256(self) -> Optional[str]:
        """The checksum in the table, or the one that was noted when the file was fetched; None if there is neither.

        A damaged note is returned as it is, since no checksum equals it.
        """
        if self.sha256 is not None or not self.record.is_file():
            return self.sha256
        try:
            return printable(read_text(self.record, 1000).strip())[:80] or "nothing"
        except UnreadableFile as error:
            return error.reason


@dataclass(frozen=True)
class KnownWeights:
    """The weights of one network: one or more files, what they serve for, and their licence."""

    files: Tuple[WeightFile, ...]
    serves: str
    licence: str


def weights_directory() -> Path:
    """Where fetched weights are kept: `weights` in the user's cache."""
    return cache_directory() / "weights"


def checked_sha256(name: str, file: WeightFile, given: Optional[Path] = None) -> str:
    """The SHA-256 of a weight file that is about to be loaded, after comparing it with the expected one.

    A file in the user's cache must be the published one. A file that the user names may be any; but if it has the name
    of the published one and other contents, a line on stderr says so. The checksum is computed once in a process,
    unless the file changes; a bar is shown if that takes longer than two seconds.

    Args:
        name: of the weights, in `KNOWN_WEIGHTS`.
        file: which of their files.
        given: path of a file that the user named instead; None: the one in the user's cache.

    Raises:
        WeightsFileError: if the file in the cache is not the published one.
        UnreadableFile: if it cannot be read.
    """
    path = file.path if given is None else given
    expected = file.expected_sha256
    try:
        status = os.stat(path)
    except OSError as error:
        raise UnreadableFile(path, error.strerror or "cannot be read") from None
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    found = _sha256_once(path, identity)
    if expected is None or found == expected:
        return found
    if given is None or (file.path.is_file() and os.path.samefile(given, file.path)):
        raise WeightsFileError(
            f"{printable(path)}: has the SHA-256 {found}, expected {expected}: it is damaged, or another file; "
            f"`rethink-fr weights fetch {name}` replaces it"
        )
    if given.name == file.name:
        _say_once(
            f"rethink-fr: {printable(path)} has the name of the published weights of {name}, but the SHA-256 {found}, "
            f"expected {expected}; it is used as it was given"
        )
    return found


@functools.lru_cache(maxsize=64)
def _sha256_once(path: Path, identity: Tuple[int, ...]) -> str:
    return file_sha256(path, progress=True)


@functools.lru_cache(maxsize=64)
def _say_once(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def is_sha256(text: Optional[str]) -> bool:
    """Whether `text` is a SHA-256 in hexadecimal."""
    return text is not None and _SHA256.fullmatch(text) is not None


_TORCHVISION = "https://download.pytorch.org/models"
_LPIPS = (
    "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/082bb24f84c091ea94de2867d34c4544f68e0963/"
    "lpips/weights/v0.1"
)
_LPIPS_LICENCE = "BSD-3-Clause (torchvision; trained on ImageNet) and BSD-2-Clause (LPIPS)"


def _lpips(backbone: str, sha256: str, megabytes: float, head: str, head_sha256: str) -> KnownWeights:
    return KnownWeights(
        (
            WeightFile(backbone, f"{_TORCHVISION}/{backbone}", sha256, megabytes),
            WeightFile(f"lpips-v0.1-{head}.pth", f"{_LPIPS}/{head}.pth", head_sha256, 0.01),
        ),
        f"LPIPS, {head} backbone",
        _LPIPS_LICENCE,
    )


KNOWN_WEIGHTS: Dict[str, KnownWeights] = {
    "inception": KnownWeights(
        (
            WeightFile(
                "pt_inception-2015-12-05-6726825d.pth",
                "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
                "pt_inception-2015-12-05-6726825d.pth",
                "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
                95.6,
            ),
        ),
        "FID; precision and recall over Inception features",
        "Apache-2.0 (TensorFlow's graph, ported by pytorch-fid; trained on ImageNet)",
    ),
    "facenet": KnownWeights(
        (
            WeightFile(
                "20180402-114759-vggface2.pt",
                "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
                "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
                111.9,
            ),
        ),
        "precision, recall, iPrecision and iRecall over identity features",
        "MIT (facenet-pytorch, from Sandberg's facenet; trained on VGGFace2, see its terms)",
    ),
    "arcface": KnownWeights(
        (
            WeightFile(
                "arcface_resnet18.pth",
                "https://github.com/TencentARC/GFPGAN/releases/download/v0.1.0/arcface_resnet18.pth",
                None,
                103.0,
            ),
        ),
        "identity angle (deg)",
        "Apache-2.0 (GFPGAN's release); its origin, arcface-pytorch, states no licence",
    ),
    "awing": KnownWeights(
        (
            WeightFile(
                "alignment_WFLW_4HG.pth",
                "https://github.com/xinntao/facexlib/releases/download/v0.1.0/alignment_WFLW_4HG.pth",
                "bbfd137307a4c7debd5c283b9b0ce539466cee417ac0a155e184d857f9f2899c",
                193.7,
            ),
        ),
        "landmark distance (lmd)",
        "MIT (facexlib's release; trained on WFLW, see its terms)",
    ),
    "lpips-vgg": _lpips(
        "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        553.4,
        "vgg",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    ),
    "lpips-alex": _lpips(
        "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        244.4,
        "alex",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    ),
    "lpips-squeeze": _lpips(
        "squeezenet1_1-b8a52dc0.pth",
        "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
        5.0,
        "squeeze",
        "4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
    ),
}
