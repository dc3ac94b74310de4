"""Ridge regression on pooled features: a closed form, no epochs.

Inputs are the means of a clip's words and frames, each entry standardised over the train clips that have the modality; an
absent modality counts as those clips' average, which is 0 after that. How much weights are shrunk is chosen for each output
by leave-one-out on the train split (scikit-learn's RidgeCV): the valid split is not looked at. Classes and labels are
regressed on +1 and -1, one output each, as scikit-learn's RidgeClassifier does: the largest output is the class, one above
0 a label; outputs are scores rather than calibrated logits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sadgr.train.batch import Batch
from sadgr.train.config import TaskName, Widths
from sadgr.train.data import Clips
from sadgr.train.models.protocol import Output

if TYPE_CHECKING:
    from sadgr.train.gather import FitData

BATCH_CLIPS = 128
CONSTANT = 1e-6
"""An entry that varies by less than this, relative to its average, is constant: float32 means differ by as much."""


@dataclass(frozen=True)
class RidgeConfig:
    """Settings: `alphas` shrinkages are tried, evenly in their logarithm, from `least_alpha` to `most_alpha`."""

    least_alpha: float = 1e-2
    most_alpha: float = 1e6
    alphas: int = 17

    def __post_init__(self) -> None:
        """Refuse what no shrinkage can be chosen from."""
        if not 0 < self.least_alpha <= self.most_alpha or self.alphas < 1:
            raise ValueError(
                f"ridge needs 0 < least_alpha <= most_alpha and alphas >= 1, got {self.least_alpha}, {self.most_alpha} "
                f"and {self.alphas}"
            )


class Ridge(nn.Module):
    """A linear map of standardised means, whose weights `fit_ridge` sets."""

    average: Tensor
    spread: Tensor

    def __init__(self, widths: Widths, config: RidgeConfig = RidgeConfig()) -> None:
        super().__init__()
        self.config, self.task, self.n_outputs = config, widths.task, widths.n_outputs
        self.widths = (widths.d_text, widths.d_audio, widths.d_video)
        self.linear = nn.Linear(sum(self.widths), self.n_outputs)
        self.register_buffer("average", torch.zeros(sum(self.widths)))
        self.register_buffer("spread", torch.ones(sum(self.widths)))

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        means, has = self.pooled(batch)
        return Output(self.linear(torch.where(has, (means - self.average) / self.spread, 0.0)))

    def pooled(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give the means of a clip's words and frames side by side, and which entries the clip has, (B, Dt + Da + Dv)."""
        has = [batch.present[:, i, None].expand(-1, width) for i, width in enumerate(self.widths)]
        return torch.cat(batch.features.means, dim=1), torch.cat(has, dim=1)


def fit_ridge(data: "FitData", model: Ridge) -> NDArray[np.float64]:
    """Set a model's weights from the train split.

    Args:
        data: Labelled clips by split; only `train` is read.
        model: On the device where the clips are.

    Returns:
        (n_outputs,) the shrinkage that was chosen for each output.
    """
    from sklearn.linear_model import RidgeCV

    c, train = model.config, data.splits["train"]
    read = [(*model.pooled(batch), batch.target) for batch in _batches(train)]
    means, has, target = (torch.cat(column).cpu() for column in zip(*read, strict=True))
    values, known = means.double().numpy(), has.numpy()
    average, spread = _moments(values, known)
    solver = RidgeCV(np.geomspace(c.least_alpha, c.most_alpha, c.alphas), alpha_per_target=True)
    solver.fit(np.where(known, (values - average) / spread, 0.0), signed_targets(target, model.task, model.n_outputs))
    found = {"linear.weight": solver.coef_, "linear.bias": solver.intercept_, "average": average, "spread": spread}
    state = model.state_dict()
    with torch.no_grad():
        for name, value in found.items():  # one output comes without an axis for outputs
            state[name].copy_(torch.from_numpy(np.reshape(value, tuple(state[name].shape))))
    return np.array(solver.alpha_, np.float64).reshape(-1)


def signed_targets(target: Tensor, task: TaskName, n_outputs: int) -> NDArray[np.float64]:
    """Give (n, T) targets as what is regressed on, (n, n_outputs): the number itself, or +1 and -1 for classes and labels."""
    values = target.double().numpy()
    if task == "regression":
        return values
    chosen = values > 0 if task == "multilabel" else values == np.arange(n_outputs)
    return np.where(chosen, 1.0, -1.0)


def _batches(clips: Clips) -> Iterator[Batch]:
    for start in range(0, len(clips), BATCH_CLIPS):
        yield clips.batch(range(start, min(start + BATCH_CLIPS, len(clips))))


def _moments(values: NDArray[np.float64], has: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average and standard deviation of each column over the rows that have it; the latter 1 where it is but rounding."""
    counts = np.maximum(has.sum(axis=0), 1)
    average = np.where(has, values, 0.0).sum(axis=0) / counts
    spread = np.sqrt((np.where(has, values - average, 0.0) ** 2).sum(axis=0) / counts)
    return average, np.where(spread > CONSTANT * np.abs(average), spread, 1.0)
