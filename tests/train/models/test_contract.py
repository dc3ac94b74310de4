"""What every model owes: shapes, masks, gradients, learning by heart, and answers without modalities.

Ridge regression, which is not learned by steps, is held to what is left of it in test_ridge.py.
"""

from functools import partial

import pytest
import torch

from sadgr.train.config import MODEL_NAMES, ModelName, TaskName
from tests.train.models import checks
from tests.train.models.small import SETTINGS, build

ALL_TASKS: tuple[TaskName, ...] = ("regression", "classification", "multilabel")
TASKS: dict[ModelName, tuple[TaskName, ...]] = {"selfmm": ("regression",), "tetfn": ("regression",)}
"""Models that make labels of numbers learn nothing else."""

FIRST_EPOCH = {"selfmm": ("tasks.1", "tasks.2", "tasks.3"), "tetfn": ("tasks.1", "tasks.2", "tasks.3")}
"""What gets no gradient in the first epoch: unimodal labels are the multimodal ones then, and weights, tanh of the difference, 0."""

IDLE = FIRST_EPOCH | {"sadgr": ("video_attention.key.bias", "word_attention.bias")}
"""And what softmax ignores, being the same for all keys of a query."""

every = pytest.mark.parametrize("name", list(SETTINGS))


def test_no_model_is_left_out() -> None:
    assert {*SETTINGS, "ridge"} == set(MODEL_NAMES)


@every
def test_shapes(name: ModelName) -> None:
    checks.assert_shapes(partial(build, name), TASKS.get(name, ALL_TASKS))


@every
def test_a_clip_alone_is_a_clip_in_a_batch(name: ModelName) -> None:
    checks.assert_alone_equals_batch(build(name))


@every
def test_a_gradient_reaches_every_parameter(name: ModelName) -> None:
    model = build(name)
    idle = [one for one, _ in model.named_parameters() if one.startswith(IDLE.get(name, ()))]
    checks.assert_gradient_reaches(model, except_=idle)


@pytest.mark.parametrize("name", list(FIRST_EPOCH))
def test_a_gradient_reaches_what_was_idle_once_labels_differ(name: ModelName) -> None:
    model = build(name)
    model.generation.seen += 1
    model.generation.labels += torch.arange(4.0)
    checks.assert_gradient_reaches(model)


@every
def test_eight_clips_are_learned_by_heart(name: ModelName) -> None:
    checks.assert_overfits(build(name))


@every
def test_a_clip_that_lacks_modalities_is_answered(name: ModelName) -> None:
    checks.assert_answers_without_modalities(build(name))
