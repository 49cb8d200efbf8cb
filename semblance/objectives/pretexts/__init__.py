"""Pretexts: tasks that the data sets itself. What is changed, what is to be told, who answers, what an error costs.

asked.py       a pretext as four parts: pose, reading, head, score
both_ways.py   codes of pictures and pictures of codes, told apart by an adversary
colours.py     a grey picture is seen, and the colour of every place is to be told
combined.py    several pretexts on one trunk, each with a head of its own
copied.py      a grey moment of a film takes its colours from an earlier one
known.py       labels that cost nothing: what moves, edges, depth, normals
matched.py     a picture and something of another kind: do they go together?
moments.py     what a film says of its own order, and of what comes next
pieces.py      where one piece stands beside another, and in which order pieces were put
pixels.py      the trunk sees less than there was, and a decoder paints what is missing
table.py       the menu: a task is a line
"""

from semblance.lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "Asked": "asked",
        "Posed": "asked",
        "Trunk": "asked",
        "trunk_of": "asked",
        "Combined": "combined",
        "ColourBins": "colours",
        "CopiedColours": "copied",
        "BothWays": "both_ways",
        "Matched": "matched",
        "far_apart": "pieces",
        "TABLE": "table",
        "rows_of": "table",
    },
)
