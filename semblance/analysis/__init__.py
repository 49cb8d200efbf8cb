"""What was learned, and how sure one can be of it: probes, retrieval, intervals.

activations.py   what the layers of any module say of the same inputs
agreement.py     whether groups found without labels are the labels
attribution.py   a similarity of pooled maps as a sum over pairs of their cells
autoencoder.py   a small denoising autoencoder of rows
backward_rules.py what a ReLU lets pass on the way back: gradient, deconvnet, guided
cart_pole.py     pole balancing for many policies at once, and evolution strategies
channel_axes.py which tensors of a network share an axis of channels, read off its trace
channels.py      a network with its channels permuted, merged, split or thinned
class_modes.py   in how many pieces every class lies, and how widely
coding.py        clusters of an affinity, the number of them that takes fewest bits, and their names
collapse.py      whether labelled embeddings have come to one point a class, and in which frame these stand
cutout.py        an object's outline from a saliency map, by colours and the cheapest cut
comparison.py    how far two representations agree, by every measure, with intervals and beside chance
convergence.py   whether several networks learned the same units, and if not, the same subspaces
deconvnet.py     an activation carried back to pixels, and what changes when pixels do
degenerate.py    whether an embedding has lost what an embedding is for, in one line with a remedy
experts.py       whom a mixture of experts believes, and whether it is right to
explain.py       why two items are near: the table by which a domain joins
explain_graph.py two nodes, by features and edges
explain_images.py two pictures, by cells
explain_text.py  two texts, by pairs of their tokens
explain_vectors.py two rows, by columns
explanation.py   the report of that, for items of any domain, with a check that the shares add up
explanation_plot.py its picture
faithfulness.py  whether a value falls with the parts that an explanation names
fewshot.py       how well class means of a handful of labelled units name the others
fine_tuning.py   what a new head makes of an encoder, kept as it is or trained along
fitted.py        a module brought to a small loss, where an analysis trains for itself
frechet.py       the Frechet distance, its gradients by weights and by an item's features
frechet_audit.py what a Frechet distance looks at: how far weights alone lower it
graph_attribution.py what an answer on a graph owes to its features and edges, and the part that a node sees
graph_spectrum.py what a filter does to a graph's frequencies, and the weights of a classifier behind it
hsic.py          centred kernel alignment without a matrix of items by items
hyperedge_spread.py how far apart the members of a hyperedge are embedded
integrated_jacobians.py  a similarity as a sum over pairs of parts, whatever the encoder
intervals.py     how sure a mean is, and whether one row of a table is really above another
intrinsic_dimension.py in how many random directions a network has to be trained
judge.py         what an embedding is worth, in numbers with intervals, beside the raw input's
label_curve.py   accuracy against labels per class, from one start and from another, as a report
latent_dynamics.py  where codes come to rest when encoder and decoder are applied in turn
layers.py        how far every layer of one network agrees with every layer of another
liked.py         what matched units like: the items that move either most
links.py         which units belong together: pairs and hyperedges beside those that do not exist
matching.py      units of one network matched to units of another: one to one, to many, many to many
memory_report.py what a memory of labelled items is worth against its size and k, and how far to trust its votes
merging.py       how many features of a layer are its own, by joining equal ones
permutation_law.py what chance makes of an alignment, over all orders and without a draw
placement.py     where among the layers of a network a recorded population stands
prefixes.py      what the first numbers of an embedding are worth alone
probes.py        what a linear map reads from frozen embeddings
quality.py       scores fitted to a small good set: a classifier, an autoencoder, the label a unit has
projections.py   a few numbers as a direction in a space of very many, by a seed
recommendation.py whether the items a user turns to next stand first
receptive_field.py how far a network on a graph looks, and what becomes of its nodes there
retrieval.py     whether units of one label stand first when all others are ranked by similarity
saliency.py      what in the input answers for a number: gradients, integrals, occlusion, class images
sanity.py        whether an explanation changes when the network's weights are drawn anew
similarity.py    how much two representations share: CKA, SVCCA, PWCCA, Procrustes, RSA, neighbours
sparse_maps.py   what one unit says, said by few units of another network
subspace.py      a network trained along a few random directions
translated.py    whether items known on two sides find their counterparts
unconstrained_features.py what the last linear layers come to when features are free, by class size
units.py         what a channel stands for, and what becomes of the work without it
task_survey.py   what nets are worth that learned different tasks in equal steps
uniformity.py    how an embedding uses its sphere, without labels
words.py         an explanation by pieces of words, told by whole words
zero_shot.py    how well classes are answered of which nothing is known but a description
zero_shot_report.py  the report on that
zero_shot_settings.py  the settings in which it is asked
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Quality": "quality",
        "Reconstruction": "quality",
        "OwnLabel": "quality",
        "judge": "judge",
        "zero_shot": "zero_shot",
        "Explanation": "explanation",
        "Parts": "explanation",
        "class_modes": "class_modes",
        "faithfulness_curve": "faithfulness:curve",
        "gradient": "saliency",
        "integrated": "saliency",
        "occluded": "saliency",
        "class_model": "saliency",
        "backward_rule": "backward_rules",
        "cut_out": "cutout",
        "reconstruction": "deconvnet",
        "receptive_field": "deconvnet",
        "correspondence": "deconvnet",
        "dissect": "units",
        "edited": "units",
        "Dissection": "units",
        "pooled_cells": "attribution",
        "pair_matrix": "attribution",
        "similarity_maps": "attribution",
        "match_units": "matching",
        "convergence": "convergence",
        "layer_comparison": "layers",
        "LayerComparison": "layers",
        "liked_units": "liked",
        "LikedUnits": "liked",
        "place": "placement",
        "robustness": "placement",
        "simulated_area": "placement",
        "frechet": "frechet",
        "frechet_audit": "frechet_audit",
        "sparse_map": "sparse_maps",
        "UnitMatching": "matching",
        "feature_gradients": "graph_attribution",
        "edge_gradients": "graph_attribution",
        "edge_effects": "graph_attribution",
        "around": "graph_attribution",
        "activations": "activations",
        "layers_named": "activations",
        "cka": "hsic",
        "cka_matrix": "hsic",
        "minibatch_cka": "hsic",
        "MEASURES": "similarity",
        "neighbour_overlap": "similarity",
        "comparison": "comparison",
        "Comparison": "comparison",
        "Law": "permutation_law",
        "fit_logistic": "probes",
        "perceptron_scores": "fine_tuning",
        "label_curve": "label_curve",
        "frequency_response": "graph_spectrum",
        "class_weights": "graph_spectrum",
        "bootstrap_mean": "intervals",
        "paired": "intervals",
        "holm": "intervals",
        "compare_rows": "intervals",
        "agreement": "agreement",
        "k_means": "agreement",
        "matched": "agreement",
        "FewShot": "fewshot",
        "average_precision": "retrieval",
        "calibration": "memory_report",
        "power_law": "memory_report",
        "memory_report": "memory_report",
        "MemoryReport": "memory_report",
        "effective_rank": "uniformity",
        "smoothness": "receptive_field",
        "power_limit": "receptive_field",
        "smoothing_level": "receptive_field",
        "depth_report": "receptive_field",
        "sparser": "receptive_field",
        "link_measures": "links",
        "learned_scores": "links",
        "recommendation_measures": "recommendation",
        "top_items": "recommendation",
        "channel_axes": "channel_axes",
        "permuted": "channels",
        "feature_complexity": "merging",
        "merge_channels": "merging",
        "prune_channels": "merging",
        "fit_autoencoder": "autoencoder",
        "latent_dynamics": "latent_dynamics",
        "LatentDynamics": "latent_dynamics",
        "neural_collapse": "collapse",
        "Collapse": "collapse",
        "foretold": "unconstrained_features",
        "degenerate": "degenerate",
        "projection": "projections",
        "Subspace": "subspace",
        "train_within": "subspace",
        "intrinsic_dimension": "intrinsic_dimension",
        "IntrinsicDimension": "intrinsic_dimension",
    },
)
