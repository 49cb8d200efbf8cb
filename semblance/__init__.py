"""Semblance turns structured data into a space where similar things are near, and lets its user search and judge it.

    import semblance as sb
    space = sb.fit("photos/")                  # learn a space from a folder of images
    space.search("query.jpg", k=5)             # what is near?
    sb.rank("photos/")                         # which published method suits this data?

The rooms, each importing earlier ones only: contracts and errors, geometry, data, encoders, heads, objectives,
learning, architecture, memory, analysis, recipes, space, claims, app.
"""

import logging

from semblance.lazy import lazy

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "fit": "space.fit",
        "load": "space.space",
        "embed": "space.embedding",
        "rank": "space.rank",
        "compare": "space.compare",
        "explain": "space.explain",
        "align": "space.align",
        "shards": "space.shards",
        "wrap": "space.wrap",
        "report": "space.methods",
        "survey": "recipes.pretext_survey",
        "Embedder": "space.embedder",
        "recipes": "claims.states:rows",
        "data": "data:",
        "Model": "space.model",
        "Space": "space.space",
        "SemblanceError": "errors",
    },
)

# A library that is imported prints nothing: whoever wants its log gives this name a handler, as the command line does.
logging.getLogger(__name__).addHandler(logging.NullHandler())
