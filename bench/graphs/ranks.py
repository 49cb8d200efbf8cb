"""Which method suits which graph: `semblance rank` over six sets, one budget a set, three seeds.

    python bench/graphs/ranks.py [--out DIR] [SET ...]      finished runs are kept in DIR and not run again

Writes bench/results/ranks.json and docs/graph-ranks.svg. The budget is `rank`'s own: 200 epochs where an epoch is one
step over a whole graph, 20 where it is a pass over batches; a method's settings are its recipe's. docs/graphs.md reads
the table.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.ranking import Asked, rankings

SETS = {
    "wisconsin": Asked(
        "labels",
        (
            "mlp",
            "gcn",
            "gat",
            "sage",
            "appnp",
            "gpr-gnn",
            "favard-gnn",
            "dir-resolv-net",
            "sir-gcn-nodes",
            "neural-sheaf-diffusion",
            "sheaf-appnp",
        ),
    ),
    "cora": Asked(
        "labels",
        ("mlp", "gcn", "gat", "sage", "sgc", "appnp", "dagnn", "lazy-gnn", "distilled", "deepwalk", "fastrp", "musae"),
    ),
    "tolokers": Asked("labels", ("mlp", "gcn", "gat", "sage", "sgc", "gpr-gnn", "favard-gnn", "fastrp")),
    "proteins": Asked(
        "labels",
        (
            "gin",
            "pna",
            "sir-gcn",
            "rni",
            "neural-fingerprint",
            "circular-fingerprint",
            "wl-subtree",
            "sparse-hierarchical",
            "sort-pool",
        ),
    ),
    "cocitation-cora": Asked(
        "labels",
        (
            "hgnn",
            "hgnn-plus",
            "hnhn",
            "unigcn",
            "unigat",
            "all-deep-sets",
            "phenomnn-simple",
            "clique-expanded",
            "lighthgnn",
            "star-fastrp",
        ),
    ),
    "college-msg": Asked(
        "links",
        # All that read events without features, beside the heuristics of neighbourhoods.
        ("deepwalk", "node2vec", "line", "swivel", "fastrp", "graphlet-orbits", "cat-walk"),
        # A minute a run instead of epochs: 200 epochs of cat-walk over the messages take a quarter of an hour.
        seconds=60.0,
    ),
}

if __name__ == "__main__":
    rankings(__doc__, SETS, result="ranks.json", picture="graph-ranks.svg", grid=(3, 2))
