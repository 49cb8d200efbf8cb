"""Concepts: captions -> classes. Every caption becomes the set of the concepts that it names.

    "a small red three beside a big 7"  ->  large, red, seven, small, three

A word is lower-cased, brought to its singular, and looked up in a lexicon, which makes synonyms one concept ("3", "trio"
and "three") and may drop a word. Concepts that at least V captions name are the classes.

Paper: nouns by a tagger, mapped to WordNet's synsets. Here: every word that is no function word, since a tagger and WordNet
are downloads of their own; a lexicon that maps words to synsets gives the paper's.

Mehta et al. 2024 (CatLIP), arXiv:2404.15653.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from semblance.data.dataset import ArrayDataset
from semblance.data.tables import read_table
from semblance.errors import SemblanceError

WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
NO_CONTENT = """
a an the this that these those some any each every no all both either neither another other such and or but nor so yet if
then than as at by for from in into of off on onto out over to under up upon with within without about above across after
against along among around before behind below beneath beside besides between beyond down during near next through toward
towards via while is are was were be been being am do does did has have had can could will would shall should may might
must not it its itself he him his she her hers they them their there here we us our you your i me my who whom whose which
what when where why how very just also too only more most less least much many few
"""
FUNCTION_WORDS = frozenset(WORD.findall(NO_CONTENT))


def words_of(text: str) -> list[str]:
    """The words of a text that are no function words, lower-cased, in their order."""
    return [word for word in (found.lower() for found in WORD.findall(text)) if word not in FUNCTION_WORDS]


def singular(word: str) -> str:
    """An English plural without its ending; anything else as it is.

    >>> [singular(word) for word in ("digits", "berries", "boxes", "glass", "bus", "7s")]
    ['digit', 'berry', 'box', 'glass', 'bus', '7s']
    """
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("xes", "ches", "shes", "sses", "zes")) else word[:-1]


@dataclass(frozen=True)
class Vocabulary:
    """The concepts that are classes, in order, and the lexicon that leads to them: word -> concept, "" drops the word."""

    concepts: tuple[str, ...]
    lexicon: Mapping[str, str] = field(default_factory=dict)

    def flags(self, texts: Sequence[str]) -> np.ndarray:
        """bool [N, K]: which concepts each text names."""
        place = {concept: k for k, concept in enumerate(self.concepts)}
        found = np.zeros((len(texts), len(self.concepts)), bool)
        for i, text in enumerate(texts):
            named = [place[c] for c in concepts_of(text, self.lexicon) if c in place]
            found[i, named] = True
        return found

    def onto(self, dataset: ArrayDataset) -> ArrayDataset:
        """The dataset whose labels are the concepts of its captions, several a unit."""
        targets = {**dataset.targets, "labels": self.flags(list(dataset.captions))}
        return replace(dataset, targets=targets, classes=self.concepts)


@dataclass(frozen=True)
class Concepts:
    """What a recipe says of it: in how many captions a concept stands at least (0: 50, or a hundredth of fewer than 5,000
    captions), and the lexicon, as word -> concept or as a table of these two columns."""

    least: int = 0
    lexicon: Mapping[str, str] | str = ""

    def learned(self, texts: Sequence[str]) -> Vocabulary:
        """The concepts of these texts."""
        lexicon = read_lexicon(self.lexicon) if isinstance(self.lexicon, str) else dict(self.lexicon)
        counts = Counter(concept for text in texts for concept in concepts_of(text, lexicon))
        least = self.least or min(50, max(2, len(texts) // 100))
        kept = sorted(concept for concept, count in counts.items() if count >= least)
        if len(kept) < 2:
            raise SemblanceError(
                f"{len(kept)} words stand in {least} or more of {len(texts):,} captions: lower --set seen=, or give more"
            )
        return Vocabulary(tuple(kept), lexicon)


def concepts_of(text: str, lexicon: Mapping[str, str]) -> set[str]:
    """The concepts that a text names. A word that the lexicon lacks is its own concept."""
    found = set()
    for word in words_of(text):
        one = singular(word)
        found.add(lexicon.get(word, lexicon.get(one, one)))
    return found - {""}


def read_lexicon(path: str) -> dict[str, str]:
    """A table of words and the concepts they stand for; "" is no table at all."""
    if not path:
        return {}
    table = read_table(Path(path))
    if table.num_columns < 2:
        raise SemblanceError(f"{path} has one column: give it two, word and concept")
    words, concepts = (_texts(table.column(k).to_pylist()) for k in range(2))
    return {word.lower(): concept for word, concept in zip(words, concepts, strict=True) if word}


def _texts(cells: Iterable[object]) -> list[str]:
    return ["" if cell is None else str(cell).strip() for cell in cells]
