"""What setup.cfg cannot say: a wheel that is built where TensorFlow is carries the native operators.

TensorFlow is no build requirement, so an isolated build makes a pure wheel, and the first use compiles. Where it can be
imported (`pip wheel . --no-deps --no-build-isolation`) and there is a compiler, the wheel is for this platform and
holds the library.
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


@functools.cache
def compiler():
    """The compiler that shall build the library, or None for a pure wheel. Asked once: the wheel's tag hangs on it."""
    sys.path.insert(0, str(ROOT))
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        return None
    from rethink_fr.ops import NativeOpsError
    from rethink_fr.ops.compiler import find_compiler
    from rethink_fr.ops.library import has_sources
    from rethink_fr.ops.native import forbidden

    if forbidden() or not sys.platform.startswith("linux") or not has_sources(ROOT / "rethink_fr/ops/cc"):
        return None
    try:
        return find_compiler()
    except NativeOpsError as error:
        print(f"rethink-fr: the wheel will not carry the native operators: {error}", file=sys.stderr)
        return None


class BuildWithLibrary(build_py):
    """Copies the package, then compiles what was copied: library and sources of a wheel always belong together."""

    def run(self):
        """As in setuptools; an editable installation builds at first use instead."""
        package = Path(self.build_lib).resolve() / "rethink_fr"
        if package != ROOT / "rethink_fr":
            # An earlier build left files here: old binaries, and sources that are only replaced if they look older.
            shutil.rmtree(package, ignore_errors=True)
        super().run()
        if compiler() is not None and not self.editable_mode:
            from rethink_fr.ops import NativeOpsError
            from rethink_fr.ops.library import build_library, carried_name

            folder = package / "ops"
            sources = folder / "cc"
            with tempfile.TemporaryDirectory(dir=folder) as work:
                try:
                    build_library(compiler(), sources, Path(work), folder, carried_name(sources))
                except NativeOpsError as error:
                    sys.exit(f"rethink-fr: {error}; RETHINK_FR_OPS=reference makes a wheel without native operators")


class PlatformDistribution(Distribution):
    """For one platform if it carries the library."""

    def has_ext_modules(self):
        """Tells the commands, although the library is no Python extension and setuptools does not build it."""
        return compiler() is not None


class PlatformWheel(bdist_wheel):
    """For every Python: the library knows TensorFlow, not Python."""

    def get_tag(self):
        """`py3-none-linux_x86_64`, say."""
        python, abi, platform = super().get_tag()
        return (python, abi, platform) if self.root_is_pure else ("py3", "none", platform)


setup(distclass=PlatformDistribution, cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel})
