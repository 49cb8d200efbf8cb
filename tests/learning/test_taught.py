"""The teacher of a student learns as it would alone, is asked once, and a stopped run goes on to the same student."""

from dataclasses import replace

import pytest
import torch

from semblance.errors import SemblanceError
from semblance.recipes.registry import build
from semblance.space.training import train
from semblance.testing import small

SETTINGS = {"hidden": 16, "epochs": 4}


def test_the_students_answers_come_from_a_teacher_that_learned_from_the_same_data():
    data = small("graph")
    model = train(data, build("distilled", **SETTINGS), seed=0)
    lessons = [metrics["lesson"] for metrics in model.history]
    assert lessons == [0.0] * 200 + [1.0] * 4  # the teacher's epochs are its own recipe's
    rows = data.splits["test"]
    with torch.inference_mode():
        (batch,) = model.batches(data, rows)
        right = (model.objective.teacher(batch).argmax(1).numpy() == data.targets["labels"][rows]).mean()
        (whole,) = model.batches(data)
        said = model.objective.teacher(whole).softmax(1)
    assert right > 0.8
    torch.testing.assert_close(model.objective.targets[0].p, said)
    assert not any(p.requires_grad for p in model.objective.teacher.parameters())


def test_a_stopped_student_goes_on_to_the_same_weights(tmp_path):
    data, made = small("graph"), build("lighthgnn", **SETTINGS)
    assert made.stages[0].rule.epochs == 200 + 4 and made.stages[0].rule.validates
    whole = train(data, made, seed=0, epochs=4).network.state_dict()

    def stop(stage, metrics):
        if metrics["lesson"] == 1 and metrics["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, made, seed=0, epochs=4, checkpoints=tmp_path, every=0.0, on_epoch=stop)
    again = train(data, made, seed=0, epochs=4, checkpoints=tmp_path, resume=True).network.state_dict()
    for name, value in whole.items():
        assert torch.equal(value, again[name])


def test_an_objective_without_a_teacher_is_refused():
    data, made = small("graph"), build("distilled", **SETTINGS)
    plain = build("gcn").stages[0].objective
    wrong = replace(made, stages=(replace(made.stages[0], objective=plain),))
    with pytest.raises(SemblanceError, match="has no teacher"):
        train(data, wrong, seed=0)
