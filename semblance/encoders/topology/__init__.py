"""Encoders of what is more than a graph: hypergraphs, cell complexes, sheaves.

hypergraph.py    nodes speak to their hyperedges, hyperedges to their nodes
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "HypergraphConvolution": "hypergraph",
        "to_hyperedges": "hypergraph",
        "to_nodes": "hypergraph",
    },
)
