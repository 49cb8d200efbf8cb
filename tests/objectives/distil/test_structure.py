"""What a student is held to: the equation as loops, nothing left to learn for one that answers like its teacher."""

import pytest
import torch
from torch import nn

from semblance.errors import SemblanceError
from semblance.objectives.distil.structure import SoftLabels, StructureDistillation

NODES, CLASSES = 7, 3


class Answers(nn.Module):
    """A network that answers with its own table."""

    def __init__(self, seed):
        super().__init__()
        self.table = nn.Parameter(torch.randn(NODES, CLASSES, generator=torch.Generator().manual_seed(seed)))

    def encoder(self, batch):
        assert "nodes" not in batch  # targets are of all units
        return self.table

    def head(self, states, batch):
        return states

    def forward(self, batch):
        return self.table


def a_batch():
    nodes = torch.tensor([1, 4, 5])
    return {"nodes": nodes, "labels": torch.tensor([0, 2, -1]), "index": torch.arange(3)}


@pytest.mark.parametrize("several", [False, True])
def test_the_loss_is_what_loops_over_nodes_and_classes_give(several):
    teacher, pupil = Answers(0), Answers(1)
    objective = StructureDistillation(teacher, [(0.5, SoftLabels(2.0, several))], labels=0.25)
    objective.ask(a_batch())
    loss, metrics = objective(pupil, a_batch())
    t, s = teacher.table.detach() / 2, pupil.table.detach() / 2
    total = 0.0
    for v in range(NODES):
        if several:
            p, q = t[v].sigmoid(), s[v].sigmoid()
            total += (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum() / CLASSES
        else:
            p, q = t[v].softmax(0), s[v].softmax(0)
            total += (p * (p / q).log()).sum()
    told = [-pupil.table[v].log_softmax(0)[y] for v, y in ((1, 0), (4, 2))]
    wanted = 0.5 * total / NODES + 0.25 * sum(told) / 2
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert metrics["labelled"] == pytest.approx(2 / 3)
    right = sum(int(pupil.table[v].argmax()) == y for v, y in ((1, 0), (4, 2))) / 2
    assert metrics["accuracy"] == pytest.approx(right)


def test_a_student_that_answers_like_its_teacher_has_nothing_left_to_learn():
    teacher, pupil = Answers(0), Answers(0)
    objective = StructureDistillation(teacher, [(1.0, SoftLabels())])
    objective.ask(a_batch())
    loss, _ = objective(pupil, a_batch())
    (slope,) = torch.autograd.grad(loss, pupil.table)
    assert abs(loss.item()) < 1e-6 and slope.abs().max() < 1e-6


def test_the_teacher_is_not_moved_by_its_student():
    teacher, pupil = Answers(0), Answers(1)
    objective = StructureDistillation(teacher, [(1.0, SoftLabels())], labels=1.0)
    objective.ask(a_batch())
    objective(pupil, a_batch())[0].backward()
    assert teacher.table.grad is None and not teacher.table.requires_grad and pupil.table.grad is not None


def test_a_teacher_that_was_not_asked_and_wrong_numbers_are_told():
    with pytest.raises(SemblanceError, match="not asked yet"):
        StructureDistillation(Answers(0), [(1.0, SoftLabels())])(Answers(1), a_batch())
    with pytest.raises(SemblanceError, match="temperature is 0"):
        SoftLabels(0)
    with pytest.raises(SemblanceError, match="below 0"):
        StructureDistillation(Answers(0), [(-1.0, SoftLabels())])
