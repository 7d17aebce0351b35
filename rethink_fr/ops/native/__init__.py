"""The native library: the C++ and CUDA operators in `../cc`, compiled into one shared library.

`finding`    which file is used, in which order they are tried, and when one is built
`files`      the names of library files, and whether a file may be loaded
`building`   making a library file from the sources; `compiler`, which compiler does it
`loading`    a library file as part of this process
`process`    the one library that this process uses, if the user wants it at all

Other packages use the names below.
"""

from rethink_fr.ops.native.errors import NativeOpsError
from rethink_fr.ops.native.finding import NativeLibrary
from rethink_fr.ops.native.loading import OPERATORS, LoadedLibrary
from rethink_fr.ops.native.process import (
    forbidden,
    instruction_set,
    native_library,
    native_ops,
    use_instruction_set,
)

__all__ = [
    "OPERATORS",
    "LoadedLibrary",
    "NativeLibrary",
    "NativeOpsError",
    "forbidden",
    "instruction_set",
    "native_library",
    "native_ops",
    "use_instruction_set",
]
