"""Concepts: which words of a caption are classes, and that synonyms are one."""

from __future__ import annotations

import numpy as np
import pytest

from semblance.data.concepts import Concepts, Vocabulary, concepts_of, words_of
from semblance.data.load import load
from semblance.errors import SemblanceError

LEXICON = {"3": "three", "trio": "three", "big": "large", "thing": ""}


def test_words_are_those_with_content():
    assert words_of("There is a Red 3, beside the man's OLD-fashioned hat!") == [
        "red",
        "3",
        "man's",
        "old-fashioned",
        "hat",
    ]


def test_synonyms_and_plurals_are_one_concept_and_a_word_may_be_dropped():
    for text in ("a big 3", "large trios", "the large three", "a big three thing"):
        assert concepts_of(text, LEXICON) == {"large", "three"}


def test_concepts_that_few_captions_name_are_no_classes():
    texts = ["a red three", "a red 3", "a blue trio", "three three three reds", "a zebra"]
    vocabulary = Concepts(3, LEXICON).learned(texts)
    assert vocabulary.concepts == ("red", "three")
    assert vocabulary.flags(texts).tolist() == [[True, True], [True, True], [False, True], [True, True], [False, False]]
    apart = Concepts(2).learned(texts).concepts
    assert apart == ("red", "three") and "3" not in apart
    with pytest.raises(SemblanceError, match="1 words stand in 4 or more of 5 captions: lower --set seen="):
        Concepts(4, LEXICON).learned(texts)


def test_few_captions_ask_for_fewer_of_each():
    texts = [f"number {i}" for i in range(200)] + ["red hat", "red hat"]
    assert Concepts().learned(texts).concepts == ("hat", "number", "red")


def test_a_lexicon_may_be_a_table(tmp_path):
    path = tmp_path / "words.csv"
    path.write_text("word,concept\nTrio,three\nthing,\n")
    assert Concepts(1, str(path)).learned(["a trio", "a red thing"]).concepts == ("red", "three")
    path.write_text("word\nTrio\n")
    with pytest.raises(SemblanceError, match="give it two, word and concept"):
        Concepts(1, str(path)).learned(["a trio"])


def test_concepts_become_the_labels_several_a_unit():
    x = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)
    data = Vocabulary(("red", "three"), LEXICON).onto(
        load(x, captions=["red", "a red trio", ""], labels=["a", "b", "a"])
    )
    assert data.classes == ("red", "three") and data.targets["labels"].tolist() == [[1, 0], [1, 1], [0, 0]]
