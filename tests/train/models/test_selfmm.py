"""Self-MM: label generation over epochs against a plain loop over clips, and training that goes on as if never stopped."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sadgr.train.checkpoint import read_tensors, write_tensors
from sadgr.train.config import Widths
from sadgr.train.errors import TrainError
from sadgr.train.models.selfmm import SelfMM, SelfMMConfig
from sadgr.train.models.unimodal import UNIMODAL, LabelGeneration, relative_distance, shifted_label, unimodal_loss
from tests.train.models import checks, small

SMALL: SelfMMConfig = small.SETTINGS["selfmm"]
build = partial(small.build, "selfmm")
WIDTHS = (3, 2, 4)
"""Of a multimodal vector and of two modalities'."""
N_CLIPS = 6
Array = NDArray[np.float64]


class Transcribed:
    """The paper's label generation, with dictionaries and loops: equations 9 to 13, 16 and 17."""

    def __init__(self, labels: Array) -> None:
        self.multimodal = labels
        self.made = [dict(enumerate(labels)) for _ in WIDTHS]
        self.vectors: list[dict[int, Array]] = [{} for _ in WIDTHS]
        self.limit = 0.0

    def alpha(self, modality: int, vector: Array) -> float:
        sides = []
        for sign in (1, -1):
            kept = [one for clip, one in self.vectors[modality].items() if sign * self.made[modality][clip] > 0]
            centre = np.mean(kept, axis=0)
            sides.append(((vector - centre) ** 2).sum() / np.sqrt(len(vector)))
        return float((sides[1] - sides[0]) / (sides[0] + 1e-8))

    def step(self, epoch: int, clips: list[int], vectors: list[Array]) -> None:
        moved = []
        for clip in clips:
            self.limit = max(self.limit, abs(self.multimodal[clip]))
        for row, clip in enumerate(clips):
            if epoch == 1:
                continue
            of_all, label = self.alpha(0, vectors[0][row]), self.multimodal[clip]
            for modality in range(1, len(WIDTHS)):
                of_one = self.alpha(modality, vectors[modality][row])
                shift = (of_one - of_all) / 2 * (label + of_all) / of_all  # eq. 16's second form
                made = np.clip(label + shift, -self.limit, self.limit)
                before = self.made[modality][clip]
                moved.append((modality, clip, (epoch - 1) / (epoch + 1) * before + 2 / (epoch + 1) * made))
        for modality, clip, value in moved:
            self.made[modality][clip] = value
        for modality, rows in enumerate(vectors):
            self.vectors[modality].update(dict(zip(clips, rows, strict=True)))


def random_vectors(generator: torch.Generator, count: int) -> list[Tensor]:
    return [torch.randn((count, width), generator=generator, dtype=torch.float64) for width in WIDTHS]


def test_labels_equal_the_transcription_over_four_epochs() -> None:
    """Two batches an epoch, in another order each time; both signs are seen before labels move."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([2.0, -1.0, 0.0, 1.5, -2.5, 0.5], dtype=torch.float64)
    module, expected = LabelGeneration(N_CLIPS, *WIDTHS).double(), Transcribed(labels.numpy())
    present = torch.ones((3, 2), dtype=torch.bool)
    for epoch in range(1, 5):
        for clips in torch.randperm(N_CLIPS, generator=generator).split(3):
            vectors = random_vectors(generator, 3)
            module.update(clips, labels[clips, None], present, vectors)
            expected.step(epoch, clips.tolist(), [checks.array(one) for one in vectors])
        found = module(torch.arange(N_CLIPS), labels[:, None])
        for modality in range(1, len(WIDTHS)):
            wanted = [expected.made[modality][clip] for clip in range(N_CLIPS)]
            np.testing.assert_allclose(checks.array(found[:, modality]), wanted, atol=1e-6)
        torch.testing.assert_close(found[:, 0], labels)
    assert float((found[:, 1:] - labels[:, None]).abs().max()) > 0.1  # they did move


def test_in_the_first_epoch_labels_are_the_multimodal_ones() -> None:
    module = LabelGeneration(N_CLIPS, *WIDTHS).double()
    clips, target = torch.tensor([4, 1]), torch.tensor([[1.0], [-2.0]], dtype=torch.float64)
    module.update(clips, target, torch.ones((2, 2), dtype=torch.bool), random_vectors(torch.Generator(), 2))
    assert torch.equal(module(clips, target), target.expand(2, 3))


def test_while_all_labels_have_one_sign_they_stay() -> None:
    """There is no centre of the other side to compare with."""
    module, generator = LabelGeneration(N_CLIPS, *WIDTHS).double(), torch.Generator().manual_seed(0)
    clips, target = torch.arange(3), torch.tensor([[1.0], [2.0], [0.5]], dtype=torch.float64)
    for _ in range(3):
        module.update(clips, target, torch.ones((3, 2), dtype=torch.bool), random_vectors(generator, 3))
    assert torch.equal(module(clips, target), target.expand(3, 3))


def test_what_a_clip_does_not_have_moves_no_label_and_no_centre() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([2.0, -1.0, 0.5, 1.5, -2.5, 0.5], dtype=torch.float64)[:, None]
    module, clips = LabelGeneration(N_CLIPS, *WIDTHS).double(), torch.arange(N_CLIPS)
    present = torch.ones((N_CLIPS, 2), dtype=torch.bool)
    present[0, 1] = False
    for _ in range(4):
        module.update(clips, labels, present, random_vectors(generator, N_CLIPS))
    assert float(module(clips, labels)[0, 2]) == 2.0
    assert not module.vectors[0, WIDTHS[0] + WIDTHS[1] :].any() and int(module.seen[0, 2]) == 0
    assert int(module.seen[0, 1]) == 4


def test_a_vector_on_the_positive_centre_is_far_more_positive() -> None:
    """Closed forms: as far from one as from the other is 0; twice as far, squared, from the negative one is 3."""
    found = relative_distance(torch.tensor([2.0, 1.0]), torch.tensor([2.0, 4.0]))
    torch.testing.assert_close(found, torch.tensor([0.0, 3.0]), atol=1e-6, rtol=0)


def test_equal_distances_leave_the_label_as_it_is() -> None:
    label, alpha = torch.tensor([1.0, -2.0]), torch.tensor([0.7, -0.3])
    torch.testing.assert_close(shifted_label(label, alpha, alpha), label)
    assert bool(torch.isfinite(shifted_label(label, torch.zeros(2), alpha)).all())


def test_unimodal_loss_equals_its_transcription() -> None:
    generator = torch.Generator().manual_seed(0)
    predictions, labels = torch.randn((5, 3), generator=generator), torch.randn((5, 4), generator=generator)
    present = torch.ones((5, 3), dtype=torch.bool)
    present[2, 1] = False
    p, y, has = (checks.array(one) for one in (predictions, labels, present))
    expected = np.mean(
        [
            sum(has[i, s] * np.tanh(abs(y[i, s + 1] - y[i, 0])) * abs(p[i, s] - y[i, s + 1]) for s in range(3))
            for i in range(5)
        ]
    )
    assert float(unimodal_loss(predictions, labels, present)) == pytest.approx(expected, abs=1e-6)


def test_training_goes_on_to_the_bit_from_what_was_saved(tmp_path: Path) -> None:
    """Labels, vectors and counts are in the file with the weights; without any of them the rest would differ."""
    batch = checks.all_clips(checks.widths())

    def steps(model: SelfMM, count: int) -> list[float]:
        optimizer, losses = torch.optim.SGD(model.parameters(), 0.01), []
        for _ in range(count):
            optimizer.zero_grad()
            output = model.train()(batch)
            loss = (output.prediction - batch.target).abs().mean() + output.losses[UNIMODAL]
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        return losses

    whole = build()
    expected = steps(whole, 6)
    first, second = build(), build()
    begun = steps(first, 3)
    write_tensors(tmp_path / "state", first.state_dict())
    second.load_state_dict(read_tensors(tmp_path / "state")[0])
    assert begun + steps(second, 3) == expected
    for name, tensor in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor), name
    assert float(whole.generation.labels[:, 1:].sub(batch.target).abs().max()) > 0


def test_prediction_makes_no_labels() -> None:
    model = build().eval()
    model(checks.all_clips(checks.widths()))
    assert not model.generation.seen.any()


@pytest.mark.parametrize("widths", checks.widths_of_tasks()[1:])
def test_other_tasks_than_regression_are_refused(widths: Widths) -> None:
    with pytest.raises(TrainError, match=f"learns regression alone, not {widths.task}"):
        SelfMM(widths)


def test_parameters_are_as_many_as_the_formula_says() -> None:
    widths, c = checks.widths(), SMALL

    def task(d_in: int, hidden: int) -> int:
        return checks.linear(d_in, hidden) + checks.linear(hidden, hidden) + checks.linear(hidden, 1)

    expected = (
        widths.d_text + widths.d_audio + widths.d_video
        + checks.lstm(widths.d_audio, c.audio_hidden) + checks.linear(c.audio_hidden, c.d_audio)
        + checks.lstm(widths.d_video, c.video_hidden) + checks.linear(c.video_hidden, c.d_video)
        + task(widths.d_text + c.d_audio + c.d_video, c.fused_hidden)
        + task(widths.d_text, c.text_task_hidden)
        + task(c.d_audio, c.audio_task_hidden)
        + task(c.d_video, c.video_task_hidden)
    )  # fmt: skip
    assert checks.parameter_count(build(widths)) == expected
