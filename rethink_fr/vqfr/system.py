"""VQFR as a `System`: what `rethink_fr.systems` lists. Functions load TensorFlow when they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, List, Literal, Mapping, Optional, Tuple, Union

from rethink_fr.system import Inference, Precision, SourceRun, System, TrainingTask
from rethink_fr.vqfr.settings import VQFRExperiment, VQFRSettings, check, check_files

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from rethink_fr.layers.complexity import Complexity
    from rethink_fr.vqfr.networks.network import VQFR, VQGAN


def build(settings: VQFRSettings) -> Union[VQFR, VQGAN]:
    """The network with these settings, its variables created."""
    from rethink_fr.layers.variables import create_variables
    from rethink_fr.vqfr.networks.network import VQFR, VQGAN

    sizes = settings.version, settings.resolution, settings.width, settings.levels, settings.codebook_size
    network = VQFR(*sizes, settings.decoder) if settings.network == "vqfr" else VQGAN(*sizes)
    create_variables(network)
    return network


def inference(network: Union[VQFR, VQGAN], precision: Precision = "float32") -> Inference:
    """The network as the commands use it. Its convolutions multiply in `precision` from now on.

    Those of the encoder stay in float32: its features decide which codes are chosen, and another code is another
    texture.
    """
    from rethink_fr.layers.precision import set_precision
    from rethink_fr.vqfr.networks.network import VQGAN

    set_precision(network, precision)
    for part in (network.encoder, network.quantizer):
        set_precision(part, "float32")
    resolution, name = network.resolution, type(network).__name__

    def check_shape(shape: Tuple[int, ...]) -> None:
        network.architecture.check_images(name, shape)

    if isinstance(network, VQGAN):

        def reconstruct(images: tf.Tensor, control: Optional[tf.Tensor] = None) -> Dict[str, tf.Tensor]:
            return {"restored": network(images).image}

        return Inference(network, reconstruct, resolution, check_shape, None)

    def restore(images: tf.Tensor, fidelity: Optional[tf.Tensor] = None) -> Dict[str, tf.Tensor]:
        faces = network(images, fidelity)._asdict()
        return faces if network.has_main_branch else {"restored": faces["restored"]}

    control: Optional[Literal["fidelity"]] = "fidelity" if network.takes_fidelity else None
    return Inference(network, restore, resolution, check_shape, control, (), has_texture=network.has_main_branch)


def complexity(settings: VQFRSettings) -> Complexity:
    """Parameters and multiply-accumulates of the network, for one image of its resolution."""
    from rethink_fr.layers.complexity import network_complexity

    network = build(settings)
    return network_complexity(network, network, (1, network.resolution, network.resolution, 3))


def costs(settings: VQFRSettings) -> List[Tuple[str, str]]:
    """`complexity` as text."""
    one = complexity(settings)
    text = (
        f"{one.trained_parameters:,} parameters, {one.multiply_accumulates / 1e9:.3f} G multiply-accumulates an image "
        f"({settings.resolution} px, width {settings.width:g})"
    )
    return [(f"{settings.network} {settings.version}", text)]


def from_torch(state: Mapping[str, np.ndarray]) -> Tuple[VQFRSettings, Union[VQFR, VQGAN]]:
    """The network that published weights belong to, and its settings; the weights are loaded.

    Args:
        state: arrays by their name in the published PyTorch file.

    Raises:
        TorchStateError: if they are not exactly the weights of one of the four published networks.
    """
    from rethink_fr.vqfr.published_weights import load_torch_state

    settings = recognise(state)
    network = build(settings)
    load_torch_state(network, state)
    return settings, network


def recognise(state: Mapping[str, np.ndarray]) -> VQFRSettings:
    """Which of the four published networks has weights of these names.

    The name of the codebook tells the version, and a main branch tells stage 2 from stage 1.

    Raises:
        TorchStateError: if there is no codebook where one of the versions has it.
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
    """What a run with this configuration trains, in either stage. Call it inside the strategy's scope."""
    from rethink_fr.vqfr.training.build_task import build_task

    # The generator comes first, so that its initial weights depend on nothing but the seed.
    return build_task(config, build(config.model))


def initialise(task: TrainingTask, run: SourceRun, teacher: Optional[SourceRun] = None) -> List[str]:
    """Start a task from another run of VQFR, also stage 2 from stage 1; returns what was loaded."""
    from rethink_fr.vqfr.training.initialise import initialise

    return initialise(task, run, teacher)


SYSTEM = System(
    VQFRSettings,
    build,
    inference,
    costs,
    from_torch,
    experiment=VQFRExperiment,
    check=check,
    check_files=check_files,
    task=task,
    initialise=initialise,
)
