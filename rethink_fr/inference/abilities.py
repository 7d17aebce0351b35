"""What a restorer can do, compared with what is asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from rethink_fr.inference.loading import LoadedRestorer


def check_abilities(
    restorer: LoadedRestorer, model: str, samples: int, fidelity: Optional[float], texture: bool = False
) -> None:
    """Refuse what a restorer does not have.

    Raises:
        ValueError: naming the option.
    """
    if samples > 1 and restorer.noise_shape is None:
        raise ValueError(
            f"{model}: gives one deterministic answer, so --samples {samples} makes no sense; leave it out"
        )
    if fidelity is not None:
        restorer.check_fidelity(fidelity)
    if texture and not restorer.has_texture:
        raise ValueError(f"{model}: has no texture image; --texture is for VQFR")
