"""Encoders of what is more than a graph: hypergraphs, cell complexes, sheaves.

adaptive.py      graph convolution over pairs whose weights are learned from features
cells.py         states on vertices, edges, faces: Hodge convolution, attention between incident cells
diffusion.py     states flow along a Laplacian: convolution and residual forms, learned or given sheaves
energies.py      states that descend what a hypergraph's pairs and hyperedges disagree on
features.py      what a node of a hypergraph is told by at first
fused.py         a layer of sheaf diffusion as one step of the tape
expanded.py      a hypergraph through the graph that it expands to
hypergraph.py    nodes speak to their hyperedges, hyperedges to their nodes
kernels.py       compiled passes of sheaf diffusion
set_walks.py     a set of nodes as the walks over hyperedges that lead into its past
sheaf_filter.py  a propagation filter over a sheaf
sheaf.py         where a sheaf comes from: learned, given, read off the features by local PCA
simplicial_walks.py  convolution along random walks over cells
stages.py        messages from node to hyperedge and back, or along an expansion
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Diffusion": "diffusion",
        "DiffusionNetwork": "diffusion",
        "SheafLearner": "sheaf",
        "GivenSheaf": "sheaf",
        "LocalPCA": "sheaf",
        "CellConvolution": "cells",
        "CellAttention": "cells",
        "CellNetwork": "cells",
        "EnergyDescent": "energies",
        "Expanded": "expanded",
        "SheafFilter": "sheaf_filter",
        "HypergraphFeatures": "features",
        "OneStage": "stages",
        "TwoStage": "stages",
        "WalkConvolution": "simplicial_walks",
        "SetMixer": "set_walks",
        "SetWalks": "set_walks",
        "HypergraphConvolution": "hypergraph",
        "to_hyperedges": "hypergraph",
        "to_nodes": "hypergraph",
    },
)
