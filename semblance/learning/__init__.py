"""How weights change: the one loop, and the rules that share it.

attacks.py       edges of a graph flipped so that what learns from it errs
backprop.py      one gradient of one objective through the whole network, a first-order optimiser, a schedule
best.py          the weights of the epoch that did best on the validation units
checkpoint.py    weights, optimiser and place in one file
chosen.py        one rule under several settings; what does best on the validation units stays
devices.py       where to compute, in which precision and memory format, and how the process keeps its memory
distribution.py  several processes train one network: each encodes its share of a batch, the objective sees all of it
filtered.py      a filter learns from what is clean, scores the rest, and the best of it is learned from
label_cascade.py people answer about samples, a model answers where it is sure, and they are asked about the rest
loop.py          the one loop that every rule with a `step` trains through
mixture.py       experts that learn in turn, until validation stops improving
node_shares.py   several processes on parts of a graph: each answers for its own nodes, or graphs
parts.py         network, objective, training data as batches, budget
positions.py     what tokens tell of their place in the picture, and how to take it out
project.py       prototypes that become places of training pictures, and the last layer after that
solve.py         what has a closed form, or a library's solver, instead of gradient steps
survey.py        look at all training units before learning from batches of them, once or again and again
taught.py        a teacher learns, is asked once about everything, and the student learns from what it said
watch.py         all items mapped to nearly one direction, or to a few
whole_norm.py    batch norm whose batch lies in several processes
workers.py       the answers of several people become one, and people are told apart by their errors
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "meta_flips": "attacks",
        "random_edges": "attacks",
        "Network": "parts",
        "Parts": "parts",
        "Feed": "parts",
        "Budget": "parts",
        "chance": "parts",
        "torch_chance": "parts",
        "Backprop": "backprop",
        "SolveHead": "solve",
        "SolveEncoder": "solve",
        "Nothing": "solve",
        "Surveyed": "survey",
        "Reviewed": "survey",
        "Taught": "taught",
        "Filtered": "filtered",
        "InTurn": "mixture",
        "Cascade": "label_cascade",
        "Rules": "label_cascade",
        "judge_answers": "workers",
        "Simulated": "workers",
        "choose_device": "devices",
        "keep_pages": "devices",
    },
)
