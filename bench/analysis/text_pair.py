"""The matrix of two texts of 64 tokens, by integrated Jacobians of 50 steps a side: written out, and by torch.func.

The encoder is the small one of two blocks, width 128, opened (its gates at 0.5), since a closed one moves nothing. `error`
is how far the matrix's sum misses the similarity, as a part of both lengths; `apart` the largest difference from 40 points
of Gauss in float64, as a part of the largest entry.

    python bench/analysis/text_pair.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.harness import bench, times

TOKENS, STEPS, PIECES = 64, 50, 8_000


def sides(double=False, tokens=TOKENS):
    import torch

    from semblance.encoders.sequences.text import TextEncoder

    torch.manual_seed(0)
    encoder = TextEncoder(PIECES, gate=0.5).eval()
    texts = torch.randint(5, PIECES, (2, tokens))
    return (encoder.double() if double else encoder), texts


def matrix(mode, quadrature="midpoint", steps=STEPS, double=False, tokens=TOKENS):
    from semblance.analysis.explain_text import text_along
    from semblance.analysis.integrated_jacobians import pair

    encoder, texts = sides(double, tokens)
    return pair(*(text_along(encoder, text, 0, steps, quadrature, mode) for text in texts))


def arm(mode, quadrature="midpoint", steps=STEPS, repeats=3, tokens=TOKENS):
    def run():
        import numpy as np

        found = []
        measured = times(lambda: found.append(matrix(mode, quadrature, steps, tokens=tokens)), repeats)
        exact = matrix("auto", "gauss", 40, True, tokens).matrix
        apart = np.abs(found[0].matrix - exact).max() / np.abs(exact).max()
        return {**measured, "error": found[0].error, "apart": float(apart)}

    return run


ARMS = {
    "written out, 50 steps": arm("auto"),
    "written out, 32 tokens each": arm("auto", tokens=32),
    "written out, gauss of 12": arm("auto", "gauss", 12),
    "torch.func, 50 steps": arm("forward", repeats=1),
}

if __name__ == "__main__":
    bench(
        __file__,
        ARMS,
        baseline="torch.func, 50 steps",
        targets={
            "two texts of 64 tokens each by 50 steps in 2 s": ("written out, 50 steps", 2.0),
            "texts of 64 tokens together by 50 steps in 2 s": ("written out, 32 tokens each", 2.0),
            "written out at least twice as fast as torch.func": ("written out, 50 steps / torch.func, 50 steps", 2.0),
        },
        rounds=3,
    )
