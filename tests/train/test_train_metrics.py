import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix, f1_score
from torch import Tensor

from sadgr.train.metrics import (
    Grouping,
    Metrics,
    classification_metrics,
    groupings,
    multilabel_metrics,
    regression_metrics,
)

# Rounded half to even as NumPy does: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, -0.5 -> 0.
PREDICTION = [0.5, 1.5, -0.4, 2.5, -3.7, 0.0]
TRUTH = [0.0, 2.0, 0.6, 3.0, -3.0, -1.0]
CLASS_NAMES = ("a", "b", "c", "d")
N_CLASSES = len(CLASS_NAMES)


def oracle_f1(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Weighted F1 straight from its definition."""
    total = 0.0
    for value in (False, True):
        hits = np.sum((prediction == value) & (truth == value))
        denominator = np.sum(prediction == value) + np.sum(truth == value)
        total += (2 * hits / denominator if denominator else 0.0) * np.sum(truth == value)
    return total / len(truth)


def test_hand_computed_values() -> None:
    scores = regression_metrics(np.array(PREDICTION), np.array(TRUTH))
    # |p - t| = 0.5 0.5 1.0 0.5 0.7 1.0
    assert scores["MAE"] == pytest.approx(4.2 / 6)
    # rounded: p = 0 2 0 2 -3 0, t = 0 2 1 3 -3 -1
    assert scores["Mult_acc_7"] == pytest.approx(3 / 6)
    # clipped to 2 first: p = 0 2 0 2 -2 0, t = 0 2 1 2 -2 -1
    assert scores["Mult_acc_5"] == pytest.approx(4 / 6)
    # p >= 0: T T F T F T; t >= 0: T T T T F F -> 4 of 6 agree
    assert scores["Has0_acc_2"] == pytest.approx(4 / 6)
    # positives: P = R = 3/4; negatives: P = R = 1/2; weighted by 4 and 2 clips of the truth
    assert scores["Has0_F1_score"] == pytest.approx((4 * 0.75 + 2 * 0.5) / 6)
    # without the first clip, p > 0: T F T F F; t > 0: T T T F F -> 4 of 5 agree
    assert scores["Non0_acc_2"] == pytest.approx(4 / 5)
    # positives: P = 1, R = 2/3, F1 = 0.8; negatives: P = 2/3, R = 1, F1 = 0.8
    assert scores["Non0_F1_score"] == pytest.approx(0.8)
    assert scores["Corr"] == pytest.approx(np.corrcoef(np.float32(PREDICTION), np.float32(TRUTH))[0, 1])
    assert (scores["N"], scores["Non0_N"]) == (6, 5)


def test_f1_weights_by_the_truth_not_by_the_prediction() -> None:
    prediction, truth = np.array([1.0, 1.0, 1.0, -1.0]), np.array([1.0, -1.0, -1.0, -1.0])
    scores = regression_metrics(prediction, truth)
    # positives: P = 1/3, R = 1, F1 = 0.5, weight 1; negatives: P = 1, R = 1/3, F1 = 0.5, weight 3
    assert scores["Has0_F1_score"] == pytest.approx(0.5)
    skewed = regression_metrics(np.array([1.0, 1.0, 1.0]), np.array([1.0, -1.0, -1.0]))
    assert skewed["Has0_F1_score"] == pytest.approx(0.5 / 3)  # swapped arguments would give 0.5


@given(
    arrays(np.float32, 17, elements=st.floats(-4, 4, width=16)),
    arrays(np.float32, 17, elements=st.sampled_from([-3.0, -1.5, -0.5, 0.0, 0.5, 1.6, 2.5, 3.0])),
)
def test_equals_an_oracle_and_is_never_nan(p: np.ndarray, t: np.ndarray) -> None:
    scores = regression_metrics(p, t)
    assert scores["MAE"] == pytest.approx(np.mean(np.abs(p.astype(float) - t)), abs=1e-9)
    assert scores["Mult_acc_7"] == np.mean(np.round(np.clip(p, -3, 3)) == np.round(np.clip(t, -3, 3)))
    assert scores["Mult_acc_5"] == np.mean(np.round(np.clip(p, -2, 2)) == np.round(np.clip(t, -2, 2)))
    assert scores["Has0_F1_score"] == pytest.approx(oracle_f1(p >= 0, t >= 0))
    kept = t != 0
    if kept.any():
        assert scores["Non0_acc_2"] == np.mean((p[kept] > 0) == (t[kept] > 0))
        assert scores["Non0_F1_score"] == pytest.approx(oracle_f1(p[kept] > 0, t[kept] > 0))
    if np.ptp(p) and np.ptp(t):
        assert scores["Corr"] == pytest.approx(np.corrcoef(p.astype(float), t.astype(float))[0, 1], abs=1e-6)
    assert all(value is None or np.isfinite(value) for value in scores.values())


MMSA_KEYS = {"Has0_acc_2", "Has0_F1_score", "Non0_acc_2", "Non0_F1_score", "Mult_acc_5", "Mult_acc_7", "MAE", "Corr"}
# Ties of rounding, the classes' edges, both zeros, beyond [-3, 3], and anything between.
SENTIMENT = st.one_of(
    st.sampled_from([half / 2 for half in range(-8, 9)]),
    st.just(-0.0),
    st.floats(-9, 9, width=32),
    st.floats(-(2.0**-20), 2.0**-20, width=32),
)


@pytest.fixture(scope="module")
def mmsa() -> Callable[..., dict[str, float]]:
    """MMSA's own code without its rounding to 4 digits, which would hide all below; where it is absent, tests fail."""
    from MMSA.utils import metricsTop

    def score(p: np.ndarray, t: np.ndarray, dataset: str = "MOSI") -> dict[str, float]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metricsTop, "round", lambda value, digits: value, raising=False)
            scores = metricsTop.MetricsTop("regression").getMetics(dataset)
            return {name: float(value) for name, value in scores(torch.from_numpy(p), torch.from_numpy(t)).items()}

    return score


@settings(deadline=None, max_examples=100)
@given(st.integers(2, 30).flatmap(lambda n: st.tuples(*[arrays(np.float32, n, elements=SENTIMENT)] * 2)))
@example(
    (np.float32([0.5, 1.5, 2.5, -0.5, -1.5, -2.5]), np.float32([0, 2, 2, 0, -2, -2]))
)  # ties go to the even number
@example((np.float32([0.0, -0.0, 0.0, 1.0]), np.float32([-0.0, 0.0, 1.0, -1.0])))
@example((np.float32([1.0, 2.0, 3.0]), np.float32([0.5, 1.0, 2.5])))  # one class alone
@example((np.float32([1.0, -2.0, 3.0]), np.float32([1.0, 1.0, 2.0])))
@example((np.float32([9.0, -9.0, 3.4]), np.float32([3.0, -3.0, 2.6])))
def test_equals_mmsa_s_own_code(mmsa: Callable[..., dict[str, float]], both: tuple[np.ndarray, np.ndarray]) -> None:
    """To 1e-6 wherever MMSA has an answer; where it has none or warns that it has none, ours is None."""
    p, t = both
    scores = regression_metrics(p, t)
    if not t.any():
        with pytest.raises(IndexError):
            mmsa(p, t)
        assert scores["Non0_acc_2"] is scores["Non0_F1_score"] is None
        return
    for dataset in ("MOSI", "MOSEI"):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            theirs = mmsa(p, t, dataset)
        assert theirs.keys() == MMSA_KEYS
        constant = not np.ptp(p) or not np.ptp(t)
        assert constant or not (warned or np.isnan(theirs["Corr"]))
        for name, value in theirs.items():
            if name == "Corr" and constant:
                assert scores[name] is None
            else:
                # MMSA sums in float32: errors of 7 come out to seven digits, hence relative above 1.
                assert scores[name] == pytest.approx(value, abs=1e-6, rel=1e-6), name


@pytest.mark.parametrize("dataset", ["MOSI", "MOSEI"])
def test_equals_mmsa_on_a_split_of_the_published_size(mmsa: Callable[..., dict[str, float]], dataset: str) -> None:
    rng = np.random.default_rng(11)
    t = (rng.integers(-15, 16, 4659) / 5).astype(np.float32)
    p = (0.7 * t + rng.standard_normal(4659)).astype(np.float32)
    scores = regression_metrics(p, t)
    for name, value in mmsa(p, t, dataset).items():
        assert scores[name] == pytest.approx(value, abs=1e-6), name


def test_where_mmsa_gives_nan_and_warns_ours_is_none(mmsa: Callable[..., dict[str, float]]) -> None:
    varied = np.float32([1.0, -1.0, 2.0])
    for p, t in (
        (np.full(3, 0.5, np.float32), varied),  # constant prediction
        (varied, np.full(3, 0.5, np.float32)),  # constant truth
        (np.float32([1.0]), np.float32([2.0])),  # one clip
    ):
        with pytest.warns(RuntimeWarning):
            assert np.isnan(mmsa(p, t)["Corr"])
        assert regression_metrics(p, t)["Corr"] is None
        others = {name: value for name, value in regression_metrics(p, t).items() if name in MMSA_KEYS - {"Corr"}}
        assert all(isinstance(value, float) and np.isfinite(value) for value in others.values())


def test_torch_and_numpy_and_columns_agree() -> None:
    expected = regression_metrics(np.array(PREDICTION), np.array(TRUTH))
    assert regression_metrics(torch.tensor(PREDICTION), torch.tensor(TRUTH)) == expected
    assert regression_metrics(torch.tensor(PREDICTION)[:, None], np.array(TRUTH)) == expected


def test_undefined_scores_are_none() -> None:
    truth = np.array([1.0, -1.0, 2.0])
    assert regression_metrics(np.full(3, 0.1), truth)["Corr"] is None
    assert regression_metrics(truth, np.full(3, 0.1))["Corr"] is None
    assert regression_metrics(np.array([1.0]), np.array([2.0]))["Corr"] is None
    zeros = regression_metrics(truth, np.zeros(3))
    assert (zeros["Non0_acc_2"], zeros["Non0_F1_score"], zeros["Non0_N"]) == (None, None, 0)


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        ([1.0, np.nan], [1.0, 2.0], "prediction is not finite at 1 of 2 positions, first at 1"),
        ([1.0, 2.0], [np.inf, 2.0], "target is not finite"),
        ([1.0], [1.0, 2.0], "1 predictions for 2 targets"),
        ([], [], "empty"),
        ([[1.0, 2.0]], [1.0, 2.0], "one value for each clip"),
    ],
)
def test_input_that_cannot_be_scored_is_named(prediction: list[float], target: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        regression_metrics(np.array(prediction), np.array(target))


@settings(deadline=None)
@given(
    arrays(np.int64, 13, elements=st.integers(0, N_CLASSES - 1)),
    arrays(np.int64, 13, elements=st.integers(0, N_CLASSES - 1)),
)
def test_classes_are_scored_as_scikit_learn_does(p: np.ndarray, t: np.ndarray) -> None:
    logits = torch.eye(N_CLASSES)[torch.from_numpy(p)]
    scores = classification_metrics(logits, torch.from_numpy(t), CLASS_NAMES)
    report = classification_report(t, p, output_dict=True, zero_division=0.0)
    assert scores["accuracy"] == pytest.approx(np.mean(p == t))
    assert scores["F1_weighted"] == pytest.approx(report["weighted avg"]["f1-score"])
    assert scores["F1_macro"] == pytest.approx(report["macro avg"]["f1-score"])
    assert scores["N"] == 13
    for number, name in enumerate(CLASS_NAMES):
        met = str(number) in report
        assert scores[f"F1_{name}"] == (pytest.approx(report[str(number)]["f1-score"]) if met else None)


@settings(deadline=None)
@given(arrays(np.bool_, (11, 3)), arrays(np.bool_, (11, 3)))
def test_labels_are_scored_as_scikit_learn_does(p: np.ndarray, t: np.ndarray) -> None:
    names = ("happy", "sad", "fear")
    logits, target = torch.from_numpy(np.where(p, 0.5, -2.0)), torch.from_numpy(t.astype(float))
    scores = multilabel_metrics(logits, target, names)
    for number, name in enumerate(names):
        assert scores[f"accuracy_{name}"] == pytest.approx(accuracy_score(t[:, number], p[:, number]))
        assert scores[f"F1_{name}"] == pytest.approx(oracle_f1(p[:, number], t[:, number]))
        weighted = f1_score(t[:, number], p[:, number], average="weighted", zero_division=0.0)
        assert scores[f"F1_{name}"] == pytest.approx(weighted)
    assert scores["accuracy"] == pytest.approx(np.mean(p == t))
    assert scores["F1_weighted"] == pytest.approx(np.mean([oracle_f1(p[:, k], t[:, k]) for k in range(3)]))
    assert scores["N"] == 11


def test_one_class_and_one_label_for_all_are_defined() -> None:
    scores = classification_metrics(torch.eye(2)[[1, 1, 1]], torch.tensor([1.0, 1.0, 1.0]), ("a", "b"))
    assert scores == {"accuracy": 1.0, "F1_weighted": 1.0, "F1_macro": 1.0, "N": 3, "F1_a": None, "F1_b": 1.0}
    missed = classification_metrics(torch.eye(2)[[0, 0]], torch.tensor([1.0, 1.0]), ("a", "b"))
    assert missed == {"accuracy": 0.0, "F1_weighted": 0.0, "F1_macro": 0.0, "N": 2, "F1_a": 0.0, "F1_b": 0.0}
    never = multilabel_metrics(torch.tensor([[-1.0], [0.0]]), torch.zeros(2, 1), ("sad",))
    assert never == {"accuracy": 1.0, "F1_weighted": 1.0, "N": 2, "accuracy_sad": 1.0, "F1_sad": 1.0}


@pytest.mark.parametrize("metrics", [classification_metrics, multilabel_metrics])
def test_outputs_that_cannot_be_scored_are_named(metrics: Callable[..., Metrics]) -> None:
    for logits, target, message in (
        (torch.zeros(0, 2), torch.zeros(0, 2), "prediction is empty"),
        (torch.zeros(2, 2), torch.zeros(3, 2), "2 predictions for 3 targets"),
        (torch.tensor([[0.0, np.nan]]), torch.zeros(1, 2), "prediction is not finite at 1 of 2 positions"),
        (torch.zeros(1, 2), torch.tensor([[np.inf, 0.0]]), "target is not finite"),
    ):
        with pytest.raises(ValueError, match=message):
            metrics(logits, target, ("a", "b"))


def scores_by_class(outputs: Tensor, target: Tensor, task: str, names: tuple[str, ...]) -> list[Grouping]:
    found = groupings(outputs, target, task, names)
    for one in found:
        supports = [row["support"] for row in one.scores().values()]
        assert sum(int(support or 0) for support in supports) == one.counts.sum()
    return found


def weighted(one: Grouping) -> float:
    """F1 weighted by support, from the report's own rows."""
    rows = one.scores().values()
    return sum(float(row["F1"] or 0) * int(row["support"] or 0) for row in rows) / one.counts.sum()


def test_reports_by_class_by_hand() -> None:
    found = scores_by_class(torch.tensor(PREDICTION)[:, None], torch.tensor(TRUTH)[:, None], "regression", ("label",))
    assert [one.name for one in found] == ["seven classes", "negative / non-negative", "negative / positive"]
    # rounded: p = 0 2 0 2 -3 0, t = 0 2 1 3 -3 -1
    seven = found[0].scores()
    assert list(seven) == ["-3", "-2", "-1", "0", "1", "2", "3"]
    assert seven["0"] == {"precision": pytest.approx(1 / 3), "recall": 1.0, "F1": 0.5, "support": 1}
    assert seven["2"] == {"precision": 0.5, "recall": 1.0, "F1": pytest.approx(2 / 3), "support": 1}
    assert seven["3"] == {"precision": None, "recall": 0.0, "F1": 0.0, "support": 1}  # never predicted
    assert seven["-2"] == {"precision": None, "recall": None, "F1": None, "support": 0}  # in neither
    # without the first clip, p > 0: T F T F F; t > 0: T T T F F
    assert found[2].scores() == {
        "negative": {"precision": pytest.approx(2 / 3), "recall": 1.0, "F1": pytest.approx(0.8), "support": 2},
        "positive": {"precision": 1.0, "recall": pytest.approx(2 / 3), "F1": pytest.approx(0.8), "support": 3},
    }


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 20).flatmap(lambda n: st.tuples(*[arrays(np.float32, n, elements=SENTIMENT)] * 2)))
def test_reports_by_class_add_up_to_the_scores(both: tuple[np.ndarray, np.ndarray]) -> None:
    p, t = both
    scores = regression_metrics(p, t)
    seven, has0, non0 = scores_by_class(
        torch.from_numpy(p)[:, None], torch.from_numpy(t)[:, None], "regression", ("label",)
    )
    for one, accuracy, f1 in (
        (seven, "Mult_acc_7", None),
        (has0, "Has0_acc_2", "Has0_F1_score"),
        (non0, "Non0_acc_2", "Non0_F1_score"),
    ):
        if one.counts.sum():
            assert np.trace(one.counts) / one.counts.sum() == pytest.approx(scores[accuracy])
            assert f1 is None or weighted(one) == pytest.approx(scores[f1])
        else:
            assert scores[accuracy] is None


@settings(deadline=None, max_examples=30)
@given(arrays(np.int64, 13, elements=st.integers(0, 3)), arrays(np.int64, 13, elements=st.integers(0, 3)))
def test_reports_of_classes_and_labels_are_scikit_learn_s(p: np.ndarray, t: np.ndarray) -> None:
    outputs, target = torch.eye(N_CLASSES)[torch.from_numpy(p)], torch.from_numpy(t)[:, None].float()
    (one,) = scores_by_class(outputs, target, "classification", CLASS_NAMES)
    assert (one.counts == confusion_matrix(t, p, labels=range(N_CLASSES))).all()
    report = classification_report(t, p, labels=range(N_CLASSES), output_dict=True, zero_division=np.nan)
    labels = scores_by_class(outputs - 0.5, torch.eye(N_CLASSES)[torch.from_numpy(t)], "multilabel", CLASS_NAMES)
    for number, (name, row) in enumerate(one.scores().items()):
        theirs = report[str(number)]
        assert row["support"] == theirs["support"]
        for ours, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1-score")):
            value = theirs[key]
            assert row[ours] is None if np.isnan(value) else row[ours] == pytest.approx(value)
        assert labels[number].name == name and labels[number].scores()["with"] == row
    assert weighted(one) == pytest.approx(classification_metrics(outputs, target[:, 0], CLASS_NAMES)["F1_weighted"])
    found = multilabel_metrics(outputs - 0.5, torch.eye(N_CLASSES)[torch.from_numpy(t)], CLASS_NAMES)
    assert [weighted(label) for label in labels] == pytest.approx([found[f"F1_{name}"] for name in CLASS_NAMES])
