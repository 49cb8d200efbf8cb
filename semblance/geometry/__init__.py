"""Shapes of spaces: which points there are, what distance means, who is near whom. The ground floor.

ball.py       the Poincare ball: distance, sum, midpoint, and the ways in and out
cell_builders.py complexes of graphs with their cycles, meshes, cliques, simplices, grids
cells.py      cell complexes: signed boundaries, holes, orientations, parts
block_kernels.py compiled products of block operators with rows of features
block_rows.py blocks times rows, as vectors for compiled code
blocks.py     a sheaf's Laplacian as blocks, through which gradients go
closest_pairs.py the closest pairs of all, in blocks
connections.py frames by local PCA, transports between them, holonomy, vector diffusion maps
expansions.py the graphs that a hypergraph can be read as: pairs, star, memberships
graph.py      nodes and edges, grouped by either end
crossings.py  walks from state to state over what they share: cells over faces, hyperedges over nodes, back in time
groups.py     finite groups that act on images, as numbered elements
gromov.py     any distances as those of a tree with hidden nodes
hypergraph.py nodes and hyperedges, grouped by either side
distortion.py how well points keep the distances that they stand for
cross_entropy.py  the loss of many short rows of logits, in one pass
k_means.py    a few centres that stand for many points, labelled and linked ones held
kept.py       what is computed of a structure once
lanes.py      sixteen small problems side by side, as vectors for compiled code
laplacians.py one builder of sparse PSD operators: graph, hypergraph, Hodge, any coboundary; what can be asked of them
lent.py       buffers that survive a step, lent again when nobody holds them
manifolds.py  spaces that gradients go through: flat, round, hyperbolic, products
metric_embedding.py points whose distances match given ones, by gradients
nearest.py    the k most similar of N items for each of Q queries, exactly, in memory bounded by a block
overlap.py    common neighbours of many pairs at once, and those of one only
pairs.py      the undirected pairs of a graph, each once
sheaves.py    sheaves that are given: tables of restriction maps, connections
stored_rows.py rows of edges on disk, sorted there and read a stretch at a time
products.py   what a sparse matrix makes of features
rows.py       rows of floats as vector values, for compiled code
scaling.py    points from all their distances by one eigendecomposition, flat and hyperbolic
snowflake.py  learned functions of a distance
spaces.py     what distance means, and how a raw output is brought in
threads.py    tasks shared out to the threads on which torch works
tree_embedding.py trees built into hyperbolic space, in as many digits as they need
trees.py      trees that stand for a graph
walks.py      random walks of first and second order, over anything that has rows of where to go
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Geometry": "spaces",
        "Euclidean": "spaces",
        "Sphere": "spaces",
        "PoincareBall": "spaces",
        "space_named": "spaces",
        "k_means": "k_means",
        "nearest": "nearest",
        "closest_pairs": "closest_pairs",
        "Manifold": "manifolds",
        "manifold_named": "manifolds",
        "Points": "metric_embedding",
        "Encoded": "metric_embedding",
        "Snowflake": "snowflake",
        "Tree": "trees",
        "spanning_tree": "trees",
        "gromov_tree": "gromov",
        "place": "tree_embedding",
        "classical": "scaling",
        "hyperbolic": "scaling",
        "Graph": "graph",
        "Rows": "graph",
        "joined": "graph",
        "spread": "products",
        "cross_entropy": "cross_entropy",
        "clique": "expansions",
        "line": "expansions",
        "Hypergraph": "hypergraph",
        "Moves": "walks",
        "moves": "walks",
        "Crossings": "crossings",
        "cross": "crossings",
        "Boundary": "cells",
        "CellComplex": "cells",
        "joined_cells": "cells",
        "of_polygons": "cell_builders",
        "of_graph": "cell_builders",
        "of_simplices": "cell_builders",
        "of_cliques": "cell_builders",
        "grid": "cell_builders",
        "Laplacian": "laplacians",
        "laplacian": "laplacians",
        "graph_laplacian": "laplacians",
        "hypergraph_laplacian": "laplacians",
        "hodge_laplacian": "laplacians",
        "sheaf_laplacian": "sheaves",
        "connection_laplacian": "sheaves",
        "of_relations": "sheaves",
        "Pairs": "pairs",
        "pairs_of": "pairs",
        "overlap": "overlap",
        "neighbours_of": "overlap",
        "Group": "groups",
        "Cyclic": "groups",
        "Turns": "groups",
        "FineTurns": "groups",
    },
)
