"""Whether two runs differ by more than the choice of clips explains: a paired bootstrap.

Seeds: a run's score is the mean over its seeds, as its table shows it. Clips are drawn anew, the same ones for every seed of
both runs; seeds are not. Five seeds are too few to draw from (their spread would come out a fifth too small), and drawing
both would count what seed and clip do together twice. So the p-value is about other clips of this kind, for the models as
they were trained; how seeds vary stands beside it, in the run's table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from sadgr.train.config import TaskName
from sadgr.train.errors import TrainError
from sadgr.train.report import SavedRun, SplitOutputs, read_run
from sadgr.train.score_sums import SCORES, Floats, Score

RESAMPLES = 10_000
CHUNK_CELLS = 4_000_000
LESS_IS_BETTER = frozenset({"MAE"})


@dataclass(frozen=True)
class Difference:
    """What a paired bootstrap found.

    Attributes:
        metric: Its name.
        n: Clips.
        first: The first run's score, the mean over its seeds.
        second: The second's.
        difference: first - second.
        low: Where the 95 % interval of the difference begins (percentiles).
        high: Where it ends.
        p: Two-sided: twice the part of the resamples in which the difference does not have its sign, at most 1.
        resamples: Those in which the score is defined.
        undefined: Those in which it is not, which are left out.
    """

    metric: str
    n: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    resamples: int
    undefined: int


def paired_bootstrap(
    first: Tensor,
    second: Tensor,
    target: Tensor,
    metric: str,
    task: TaskName = "regression",
    seed: int = 1111,
    resamples: int = RESAMPLES,
) -> Difference:
    """Compare two runs on the same clips.

    Args:
        first: (S1, n, O) outputs of the first run's seeds.
        second: (S2, n, O) of the second's; the numbers of seeds may differ.
        target: (n, T).
        metric: One of the task's metrics, see `SCORES`.
        task: regression, classification or multilabel.
        seed: Of the draws.
        resamples: How many.

    Raises:
        TrainError: Shapes that do not fit, a value that is not finite, no such metric, or one that is undefined here.

    Reference:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (interval) and section 15.4 (p from it);
        Koehn, Statistical Significance Tests for Machine Translation Evaluation, EMNLP 2004 (paired).
    """
    _require_fitting(first, second, target)
    score = _score(metric, task, first.shape[-1])
    truth, n = target.double().cpu().numpy(), len(target)
    sides = [[score.per_clip(one, truth) for one in side.double().cpu().numpy()] for side in (first, second)]
    observed = [_mean_score(score, side, np.ones((1, n)))[0] for side in sides]
    difference = float(observed[0] - observed[1])
    if not np.isfinite(difference):
        raise TrainError(
            f"{metric} is undefined for these {n} clips (a constant prediction or truth, or none left): choose another metric"
        )
    rng, found = np.random.default_rng(seed), []
    for start in range(0, resamples, max(1, CHUNK_CELLS // n)):
        rows = min(max(1, CHUNK_CELLS // n), resamples - start)
        # (rows, n) how often each clip is drawn
        times = rng.multinomial(n, np.full(n, 1 / n), size=rows).astype(np.float64)
        found.append(_mean_score(score, sides[0], times) - _mean_score(score, sides[1], times))
    drawn = np.concatenate(found)
    defined = drawn[np.isfinite(drawn)]
    if not len(defined):
        raise TrainError(f"{metric} is undefined in every resample of these {n} clips: choose another metric")
    low, high = np.quantile(defined, [0.025, 0.975])
    against = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    p = min(1.0, 2 * (against + 1) / (len(defined) + 1))  # + 1: what was observed is a draw as well, so p is never 0
    undefined = len(drawn) - len(defined)
    return Difference(
        metric,
        n,
        float(observed[0]),
        float(observed[1]),
        difference,
        float(low),
        float(high),
        p,
        len(defined),
        undefined,
    )


def _require_fitting(first: Tensor, second: Tensor, target: Tensor) -> None:
    for side in (first, second):
        if side.ndim != 3 or not side.shape[1] or side.shape[1] != len(target) or side.shape[2] != first.shape[-1]:
            raise TrainError(
                f"outputs of shape {tuple(side.shape)} for {len(target)} targets: expected (seeds, clips, outputs), of at least "
                "one clip, the same clips and outputs for both runs"
            )
        if not side.isfinite().all():
            raise TrainError("an output is not finite: there is nothing to compare")


def _mean_score(score: Score, of_seeds: Sequence[Floats], times: Floats) -> Floats:
    """Score resamples, the mean over seeds: times (R, n) how often each clip counts -> (R,)."""
    scores: Floats = np.mean([score.of_sums(times @ per_clip) for per_clip in of_seeds], axis=0)
    return scores


def _score(metric: str, task: TaskName, n_outputs: int) -> Score:
    if metric not in SCORES[task]:
        raise TrainError(f"{task} has no metric {metric}: choose one of {', '.join(SCORES[task])}")
    return SCORES[task][metric](n_outputs)


def compare_runs(first: Path, second: Path, split: str, metric: str | None, seed: int) -> tuple[SavedRun, Difference]:
    """Compare two finished runs by their files.

    Args:
        first: A run's folder.
        second: Another's.
        split: Which clips.
        metric: None for the task's first.
        seed: Of the draws.

    Returns:
        The first run, and what was found.

    Raises:
        TrainError: No run there, other targets, clips or truths, or see `paired_bootstrap`.
    """
    runs = read_run(first), read_run(second)
    one, other = (_split(run, split, folder) for run, folder in zip(runs, (first, second), strict=True))
    if runs[0].target != runs[1].target:
        raise TrainError(
            f"{first} learned {_told(runs[0])}, {second} {_told(runs[1])}: give two runs of the same task and target"
        )
    order = _same_clips(one, other, f"split {split} of {first} and {second}")
    task = runs[0].target.task
    chosen = metric or next(iter(SCORES[task]))
    return runs[0], paired_bootstrap(one.outputs, other.outputs[:, order], one.target, chosen, task, seed)


def _split(run: SavedRun, split: str, folder: Path) -> SplitOutputs:
    if split not in run.splits:
        raise TrainError(f"{folder} has no split {split} (it has {', '.join(run.splits)}): choose one with --split")
    return run.splits[split]


def _told(run: SavedRun) -> str:
    return f"{', '.join(run.target.columns)} as {run.target.task} of {', '.join(run.target.outputs)}"


def _same_clips(one: SplitOutputs, other: SplitOutputs, where: str) -> list[int]:
    """Give where each of one's clips stands in the other."""
    places = {clip_id: place for place, clip_id in enumerate(other.ids)}
    apart = sorted(set(one.ids) ^ places.keys())
    if apart:
        raise TrainError(
            f"{where} have {len(apart)} clips that the other has not ({_some(apart)}); a paired comparison needs the same "
            "clips: fit both on the same data set"
        )
    order = [places[clip_id] for clip_id in one.ids]
    unlike = (one.target != other.target[order]).any(dim=1).tolist()
    if any(unlike):
        changed = [clip_id for clip_id, differs in zip(one.ids, unlike, strict=True) if differs]
        raise TrainError(
            f"{where} have other truths for {len(changed)} clips ({_some(changed)}); labels were changed between them: fit "
            "both anew"
        )
    return order


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
