"""Encoders of what is more than a graph: hypergraphs, cell complexes, sheaves.

cells.py         states on vertices, edges, faces: Hodge convolution, attention between incident cells
hypergraph.py    nodes speak to their hyperedges, hyperedges to their nodes
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "CellConvolution": "cells",
        "CellAttention": "cells",
        "CellNetwork": "cells",
        "HypergraphConvolution": "hypergraph",
        "to_hyperedges": "hypergraph",
        "to_nodes": "hypergraph",
    },
)
