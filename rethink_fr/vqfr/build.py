"""From the `model` section of a configuration to a network."""

from __future__ import annotations

from typing import Union

from rethink_fr.layers.complexity import Complexity, network_complexity
from rethink_fr.vqfr.networks.network import VQFR, VQGAN
from rethink_fr.vqfr.published_weights import create_variables
from rethink_fr.vqfr.settings import VQFRSettings


def build_network(settings: VQFRSettings) -> Union[VQFR, VQGAN]:
    """The network of a configuration, its variables created."""
    make = VQFR if settings.network == "vqfr" else VQGAN
    network = make(settings.version, settings.resolution, settings.width, settings.levels, settings.codebook_size)
    create_variables(network)
    return network


def build_complexity(settings: VQFRSettings) -> Complexity:
    """Complexity of the network of a configuration, for one image of its resolution."""
    network = build_network(settings)
    return network_complexity(network, network, (1, network.resolution, network.resolution, 3))
