"""What each method reads of a graph beside who is linked to whom. A test changes one thing after the other and holds the
table to what the embeddings say.

    directed    an edge tells its target of its source, not the reverse
    weighted    how strong an edge is
    signed      whether it stands for or against
    timed       when it happened
    typed       of which kind it is

What is not used is told before a fit. Signs are more than told: a method that takes enemies for friends is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from semblance.errors import SemblanceError

TOLD = {
    "directed": "directions",
    "weighted": "weights",
    "signed": "signs",
    "timed": "times",
    "typed": "types of edges",
}
DIRECTED = frozenset({"directed"})
STRONG = frozenset({"directed", "weighted"})
NOTHING: frozenset[str] = frozenset()
USES: dict[str, frozenset[str]] = {
    "adaptive-gcn": STRONG,
    "adversarial-graph-autoencoder": STRONG,
    "appnp": STRONG,
    "cat-walk": frozenset({"timed"}),
    "cheb-net": STRONG,
    "circular-fingerprint": DIRECTED,
    "connection-sheaf": NOTHING,
    "dagnn": STRONG,
    "deepwalk": STRONG,
    "dgmlp": STRONG,
    "diff-pool": STRONG,
    "diffusion-cnn": STRONG,
    "dir-resolv-net": STRONG,
    "distance-points": NOTHING,
    "faber-net": STRONG,
    "fast-gcn": STRONG,
    "distilled": STRONG,
    "fastrp": STRONG,
    "favard-gnn": STRONG,
    "gat": DIRECTED,
    "gcn": STRONG,
    "gcn-clustered": STRONG,
    "gin": DIRECTED,
    "gin-nodes": DIRECTED,
    "gpr-gnn": STRONG,
    "grace": STRONG,
    "graph-autoencoder": STRONG,
    "graph-dilated-time": STRONG,
    "graph-fixed-point": DIRECTED,
    "graph-gated": DIRECTED,
    "graph-gated-time": STRONG,
    "graph-gru": STRONG,
    "graph-mixer": DIRECTED,
    "graph-rnn": NOTHING,
    "graph-steady-state": DIRECTED,
    "graph-vae": DIRECTED,
    "graph-vit": DIRECTED,
    "graphlet-orbits": NOTHING,
    "h-mds": NOTHING,
    "hgnn": DIRECTED,
    "hyperbolic-tree": NOTHING,
    "lazy-gnn": STRONG,
    "lightgcn": DIRECTED,
    "line": STRONG,
    "lighthgnn": DIRECTED,
    "matrix-factorisation": DIRECTED,
    "mlp": NOTHING,
    "monet": DIRECTED,
    "mowst": STRONG,
    "ncn": STRONG,
    "ncnc": STRONG,
    "musae": STRONG,
    "neural-fingerprint": DIRECTED,
    "neural-sheaf-diffusion": NOTHING,
    "nn4g": DIRECTED,
    "neural-snowflake": DIRECTED,
    "node2vec": STRONG,
    "opt-basis-gnn": STRONG,
    "phenomnn": DIRECTED,
    "phenomnn-simple": DIRECTED,
    "pathnn": DIRECTED,
    "pna": DIRECTED,
    "pna-nodes": DIRECTED,
    "rni": DIRECTED,
    "sage": DIRECTED,
    "sage-lstm": DIRECTED,
    "sage-pool": DIRECTED,
    "sage-sampled": DIRECTED,
    "sdne": STRONG,
    "set-to-set": DIRECTED,
    "sgc": STRONG,
    "sheaf-appnp": NOTHING,
    "sheaf-network": frozenset({"signed"}),
    "sheaf4rec": DIRECTED,
    "sir-gcn": DIRECTED,
    "sir-gcn-nodes": DIRECTED,
    "sort-pool": STRONG,
    "sparse-hierarchical": STRONG,
    "spectral-cnn": STRONG,
    "variational-graph-autoencoder": STRONG,
    "vqgraph": STRONG,
    "vqgraph-teacher": STRONG,
    "swivel": STRONG,
    "walk-contrast": STRONG,
    "stable": DIRECTED,
    "wl-subtree": DIRECTED,
}


def unused(name: str, properties: Iterable[str]) -> list[str]:
    """What the method `name` does not use of a graph with these properties, in words; [] for a method that is not in
    the table, such as another package's. An error where signs would be taken for links of one kind."""
    held = set(properties)
    uses = USES.get(name)
    if uses is None:
        return []
    if "signed" in held - uses:
        able = ", ".join(sorted(n for n, used in USES.items() if "signed" in used))
        raise SemblanceError(
            f"some edges are negative, and recipe {name!r} does not use signs: drop those edges, or use {able}"
        )
    return [word for kind, word in TOLD.items() if kind in held - uses]
