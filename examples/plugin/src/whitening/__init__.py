"""Methods that this package adds to Semblance: a recipe, a kind of file, an index and a report.

recipe.py     vectors rotated to their principal axes and brought to unit variance along each
fvecs.py      files of vectors, each behind its length
kd_tree.py    the nearest in few dimensions, by a tree of boxes
hubness.py    whether a few items are everybody's neighbours
"""
