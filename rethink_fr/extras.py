"""The optional parts of an installation, `[options.extras_require]` of setup.cfg, as error messages name them."""

from __future__ import annotations


def install_advice(extra: str) -> str:
    """How to install an extra, as the end of an error message.

    It has to work from a clone of the repository: no package index has the package.

    Example:
        >>> install_advice("onnx")
        'install the extra with: pip install ".[onnx]", in the folder of the project'
    """
    return f'install the extra with: pip install ".[{extra}]", in the folder of the project'
