"""VQFR as one of the systems that the commands know. TensorFlow loads when a function is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Literal, Mapping, Optional, Tuple, Union

from rethink_fr.system import Inference, Precision, SourceRun, System, TrainingTask
from rethink_fr.vqfr.settings import VQFRExperiment, VQFRSettings, check, check_files

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from rethink_fr.vqfr.networks.network import VQFR, VQGAN


def build(settings: VQFRSettings) -> Union[VQFR, VQGAN]:
    """The network of a configuration, its variables created."""
    from rethink_fr.vqfr.build import build_network

    return build_network(settings)


def inference(network: Union[VQFR, VQGAN], precision: Precision = "float32") -> Inference:
    """The network as the commands use it; its convolutions multiply in `precision` from now on.

    Those of the encoder stay float32: what they lead to is a choice of codes, and another code is another texture.
    """
    import tensorflow as tf

    from rethink_fr.vqfr.networks.convolution import Convolution
    from rethink_fr.vqfr.networks.network import VQGAN

    chosen = {id(layer) for part in (network.encoder, network.quantizer) for layer in part.submodules}
    for layer in network.submodules:
        if isinstance(layer, Convolution) and id(layer) not in chosen:
            layer.precision = tf.as_dtype(precision)
    resolution, name = network.resolution, type(network).__name__

    def check_shape(shape: Tuple[int, ...]) -> None:
        network.architecture.check_images(name, shape)

    if isinstance(network, VQGAN):

        def reconstruct(images: tf.Tensor, control: Optional[tf.Tensor] = None) -> Dict[str, tf.Tensor]:
            return {"restored": network(images).image}

        return Inference(network, reconstruct, resolution, check_shape, None)

    def restore(images: tf.Tensor, fidelity: Optional[tf.Tensor] = None) -> Dict[str, tf.Tensor]:
        return network(images, fidelity)._asdict()

    control: Optional[Literal["fidelity"]] = "fidelity" if network.takes_fidelity else None
    return Inference(network, restore, resolution, check_shape, control, (), has_texture=True)


def costs(settings: VQFRSettings) -> List[Tuple[str, str]]:
    """Parameters and arithmetic of the network, as text."""
    from rethink_fr.vqfr.build import build_complexity

    one = build_complexity(settings)
    text = (
        f"{one.trained_parameters:,} parameters, {one.multiply_accumulates / 1e9:.3f} G multiply-accumulates an image "
        f"({settings.resolution} px, width {settings.width:g})"
    )
    return [(f"{settings.network} {settings.version}", text)]


def from_torch(state: Mapping[str, np.ndarray]) -> Tuple[VQFRSettings, Union[VQFR, VQGAN]]:
    """The published network that a state dict belongs to, recognised by its names, with the weights loaded.

    Raises:
        TorchStateError: if it is none of the four, or entries are missing, unexpected or misshapen.
    """
    from rethink_fr.vqfr.published_weights import load_torch_state

    settings = recognise(state)
    network = build(settings)
    load_torch_state(network, state)
    return settings, network


def recognise(state: Mapping[str, np.ndarray]) -> VQFRSettings:
    """Version and stage by the names: where the codebook is, and whether there is a main branch.

    Raises:
        TorchStateError: if there is no codebook where either version has it.
    """
    from rethink_fr.weights.state_dicts import TorchStateError

    if any(name.startswith("quantizer.quantize_dict.") for name in state):
        version: Literal[1, 2] = 1
    elif "quantizer.embedding.weight" in state:
        version = 2
    else:
        first = next(iter(state), "nothing")
        raise TorchStateError(
            f"these are not the weights of a VQFR or VQGAN network: no codebook at quantizer.embedding.weight or "
            f"quantizer.quantize_dict.*; the first of {len(state)} entries is {first}"
        )
    whole = any(name.startswith(("main_decoder.", "main_branch.")) for name in state)
    return VQFRSettings("vqfr" if whole else "vqgan", version)


def task(config: VQFRExperiment) -> TrainingTask:
    """What a run of either stage trains. Call it inside the strategy's scope."""
    from rethink_fr.vqfr.training.build_task import build_task

    return build_task(config)


def initialise(task: TrainingTask, run: SourceRun) -> List[str]:
    """Start a task from another run: see `build_task.initialise`."""
    from rethink_fr.vqfr.training import build_task

    return build_task.initialise(task, run)


SYSTEM = System(
    VQFRSettings,
    build,
    inference,
    costs,
    from_torch,
    experiment=VQFRExperiment,
    check=check,
    task=task,
    check_files=check_files,
    initialise=initialise,
)
