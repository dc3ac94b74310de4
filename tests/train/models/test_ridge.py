import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sadgr.train.batch import Batch
from sadgr.train.config import TaskName, Widths
from sadgr.train.data import Clips, ClipTensors
from sadgr.train.gather import FitData
from sadgr.train.models.ridge import Ridge, RidgeConfig, fit_ridge, signed_targets
from sadgr.train.tasks import Target
from tests.train.models.checks import (
    all_clips,
    array,
    assert_alone_equals_batch,
    assert_answers_without_modalities,
    assert_shapes,
    linear,
    parameter_count,
    widths,
    widths_of_tasks,
)

WHOLE = (True, True, True)
DEFAULT = RidgeConfig()


def planted(
    of: Widths, count: int, seed: int = 0, noise: float = 0.0, present: dict[int, tuple[bool, ...]] | None = None
) -> FitData:
    """Clips whose targets follow a linear map of their means, of 1 to 7 words; `present` says what a clip has."""
    rng = np.random.default_rng(seed)
    pick = np.random.default_rng(99).standard_normal((of.d_text + of.d_audio + of.d_video, of.n_outputs))
    clips = []
    for number in range(count):
        n_words, n_frames = 1 + number % 7, 1 + number % 3
        sizes = ((n_words, of.d_text), (n_words, of.d_audio), (n_frames, of.d_video))
        # what float16 holds exactly
        text, audio, video = (np.round(4 * (2 + rng.standard_normal(size))) / 4 for size in sizes)
        score = np.concatenate([one.mean(axis=0) - 2 for one in (text, audio, video)]) @ pick
        score = score + noise * rng.standard_normal(of.n_outputs)
        targets: dict[TaskName, tuple[float, ...]] = {
            "regression": (float(score[0]),),
            "classification": (float(score.argmax()),),
            "multilabel": tuple((score > 0).astype(float)),
        }
        tensors = (torch.from_numpy(one).float() for one in (text, audio, video))
        means = (torch.from_numpy(one.mean(axis=0)).float() for one in (text, audio))
        has = (present or {}).get(number, WHOLE)
        clips.append(ClipTensors(str(number), *tensors, *means, (has[0], has[1], has[2]), True, targets[of.task]))
    target = Target(of.task, ("label",), tuple(map(str, range(of.n_outputs))))
    return FitData({"train": Clips(clips)}, target, (of.d_text, of.d_audio, of.d_video), "")


def everything(data: FitData) -> Batch:
    """All clips, in an order of its own: targets come with them."""
    return data.splits["train"].batch(range(len(data.splits["train"])))


def fitted(of: Widths, data: FitData, config: RidgeConfig = DEFAULT) -> tuple[Ridge, np.ndarray]:
    model = Ridge(of, config)
    return model, fit_ridge(data, model)


def test_shapes() -> None:
    assert_shapes(Ridge, ("regression", "classification", "multilabel"))


def test_alone_as_in_a_batch() -> None:
    assert_alone_equals_batch(fitted(widths(), planted(widths(), 40))[0])


def test_answers_without_modalities() -> None:
    assert_answers_without_modalities(fitted(widths(), planted(widths(), 40))[0])


@pytest.mark.parametrize("of", widths_of_tasks())
def test_parameters(of: Widths) -> None:
    assert parameter_count(Ridge(of)) == linear(of.d_text + of.d_audio + of.d_video, of.n_outputs)


def test_it_is_scikit_learn_s_on_standardised_means() -> None:
    """More clips than are read at once, and noise, so that some shrinkage is best."""
    data = planted(widths(), 150, noise=3.0)
    model, alpha = fitted(widths(), data)
    batch = everything(data)
    means, target = array(model.pooled(batch)[0]), array(batch.target)[:, 0]
    oracle = make_pipeline(StandardScaler(), RidgeCV(np.geomspace(1e-2, 1e6, 17))).fit(means, target)
    assert alpha == pytest.approx([oracle[-1].alpha_])
    assert 1e-2 < alpha[0] < 1e6
    np.testing.assert_allclose(array(model(batch).prediction)[:, 0], oracle.predict(means), atol=1e-4)


def test_planted_map_is_found() -> None:
    model, alpha = fitted(widths(), planted(widths(), 120))
    assert alpha == pytest.approx([1e-2])  # there is no noise to shrink against
    unseen = everything(planted(widths(), 50, seed=7))
    with torch.no_grad():
        assert float((model(unseen).prediction - unseen.target).abs().max()) < 0.05


def test_few_clips_are_learned_by_heart_with_next_to_no_shrinkage() -> None:
    data = planted(widths(), 8, noise=3.0)
    model, _ = fitted(widths(), data, RidgeConfig(1e-8, 1e-8, 1))
    batch = everything(data)
    with torch.no_grad():
        assert float((model(batch).prediction - batch.target).abs().max()) < 1e-3


def test_classes_are_those_of_scikit_learn_s_classifier() -> None:
    of = widths("classification", 4)
    data = planted(of, 120)
    model, alpha = fitted(of, data, RidgeConfig(10.0, 10.0, 1))
    assert alpha == pytest.approx([10.0] * 4)
    batch = everything(data)
    means = StandardScaler().fit_transform(array(model.pooled(batch)[0]))
    oracle = RidgeClassifier(alpha=10.0).fit(means, array(batch.target)[:, 0])
    np.testing.assert_allclose(array(model(batch).prediction), oracle.decision_function(means), atol=1e-4)


def test_labels_are_told_by_sign() -> None:
    of = widths("multilabel", 3)
    data = planted(of, 200)
    model, alpha = fitted(of, data)
    assert len(alpha) == 3
    batch = everything(data)
    right = ((model(batch).prediction > 0) == (batch.target > 0)).float().mean(dim=0)
    assert bool((right > 0.9).all())


def test_signed_targets() -> None:
    numbers = torch.tensor([[2.0], [0.0]])
    assert signed_targets(numbers, "regression", 1).tolist() == [[2.0], [0.0]]
    assert signed_targets(numbers, "classification", 3).tolist() == [[-1.0, -1.0, 1.0], [1.0, -1.0, -1.0]]
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert signed_targets(labels, "multilabel", 2).tolist() == [[1.0, -1.0], [-1.0, -1.0]]


def test_absent_modality_counts_as_the_average_of_clips_that_have_it() -> None:
    absent = dict.fromkeys(range(0, 60, 5), (True, False, True))
    data = planted(widths(), 60, present=absent)
    model, _ = fitted(widths(), data)
    batch = everything(data)
    means, has = model.pooled(batch)
    audio = slice(10, 22)
    np.testing.assert_allclose(array(model.average)[audio], array(means[has[:, 10]])[:, audio].mean(axis=0), atol=1e-5)
    clip = all_clips(widths())
    without = clip.with_present(torch.tensor([[True, False, True]] * 8))
    average = clip.with_rows(audio=model.average[audio].expand_as(clip.audio).contiguous())
    torch.testing.assert_close(model(without).prediction, model(average).prediction, atol=1e-4, rtol=0)


def test_modality_that_no_clip_has_is_left_out() -> None:
    data = planted(widths(), 40, present=dict.fromkeys(range(40), (True, True, False)))
    model, _ = fitted(widths(), data)
    assert bool((model.linear.weight[:, 22:] == 0).all())
    assert bool(torch.isfinite(model(everything(data)).prediction).all())


def test_constant_entry_is_not_blown_up_to_noise() -> None:
    """0.1 is rounded, and means over 1 to 7 rows are rounded differently."""
    data = planted(widths(), 40)
    data.splits["train"]._text[:, 0] = 0.1
    model, _ = fitted(widths(), data)
    assert float(model.spread[0]) == 1.0
    assert float(model.linear.weight[0, 0].detach().abs()) < 1e-3


@pytest.mark.parametrize("wrong", [(0.0, 1.0, 3), (2.0, 1.0, 3), (1.0, 2.0, 0)])
def test_impossible_settings_are_refused(wrong: tuple[float, float, int]) -> None:
    with pytest.raises(ValueError, match="alpha"):
        RidgeConfig(*wrong)
