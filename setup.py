"""What setup.cfg cannot say: a wheel carries the native library if it is built where TensorFlow is installed.

TensorFlow is not a build requirement, because an isolated build would download it once more. So an isolated build makes
a pure wheel, and the native library is compiled when it is first used. If TensorFlow can be imported while the wheel is
built (`pip wheel . --no-deps --no-build-isolation`), and there is a compiler, the wheel is for this platform and holds
the library.
"""

import functools
import shutil
import sys
import tempfile
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:
    sys.exit("rethink-fr: building needs setuptools 70.1 or later; run: pip install --upgrade 'setuptools>=70.1,<81'")

ROOT = Path(__file__).parent.resolve()


@functools.cache  # several commands ask, and must get the same answer: the name of the wheel depends on it
def compiler():
    """The compiler that builds the library, or None if the wheel shall be a pure one."""
    sys.path.insert(0, str(ROOT))
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        return None
    from rethink_fr.ops.native import NativeOpsError, forbidden
    from rethink_fr.ops.native.compiler import find_compiler
    from rethink_fr.ops.native.files import has_sources

    if forbidden() or not sys.platform.startswith("linux") or not has_sources(ROOT / "rethink_fr/ops/cc"):
        return None
    try:
        return find_compiler()
    except NativeOpsError as error:
        print(f"rethink-fr: the wheel will not carry the native operators: {error}", file=sys.stderr)
        return None


class BuildWithLibrary(build_py):
    """Copies the package, then compiles the copied sources, so that a wheel's library and sources fit together."""

    def run(self):
        """As in setuptools, and then the library. An editable installation builds it when it is first used instead."""
        package = Path(self.build_lib).resolve() / "rethink_fr"
        if package != ROOT / "rethink_fr":
            # An earlier build may have left an old library here, and sources that setuptools does not replace because
            # they look newer.
            shutil.rmtree(package, ignore_errors=True)
        super().run()
        if compiler() is not None and not self.editable_mode:
            from rethink_fr.ops.native import NativeOpsError
            from rethink_fr.ops.native.building import build_library
            from rethink_fr.ops.native.files import carried_name

            folder = package / "ops"
            sources = folder / "cc"
            with tempfile.TemporaryDirectory(dir=folder) as work:
                try:
                    build_library(compiler(), sources, Path(work), folder, carried_name(sources))
                except NativeOpsError as error:
                    sys.exit(f"rethink-fr: {error}; RETHINK_FR_OPS=reference makes a wheel without native operators")


class PlatformDistribution(Distribution):
    """A distribution that is for one platform if it carries the library."""

    def has_ext_modules(self):
        """Whether it does. The library is not a Python extension, but the commands ask in this way."""
        return compiler() is not None


class PlatformWheel(bdist_wheel):
    """A wheel for every version of Python: the library depends on TensorFlow, not on Python."""

    def get_tag(self):
        """For example `py3-none-linux_x86_64`."""
        python, abi, platform = super().get_tag()
        return (python, abi, platform) if self.root_is_pure else ("py3", "none", platform)


setup(distclass=PlatformDistribution, cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel})
