"""Encoders of graphs: states of nodes, and vectors of graphs.

aggregators.py   a neighbourhood's messages as one or several summaries
attention.py     how much a node takes from each neighbour, scored from both
contextual.py    messages that depend on who listens
message.py       messages linear in their source: convolution, sum, GraphSAGE
principal.py     several aggregators, each scaled by the degree
readout.py       one vector of a graph from the states of its nodes
refinement.py    colour refinement: what message passing can tell apart
stack.py         layers over one graph, initial features, and what a node or a graph is in the end
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Convolution": "message",
        "Sum": "message",
        "Sage": "message",
        "Attention": "attention",
        "Aggregated": "principal",
        "Contextual": "contextual",
        "as_convolution": "contextual",
        "as_sum": "contextual",
        "aggregate": "aggregators",
        "pool": "readout",
        "Stack": "stack",
        "Initial": "stack",
        "embedded": "stack",
        "colours": "refinement",
        "wl_distinguishes": "refinement",
        "subtree_kernel": "refinement",
    },
)
