"""What every model must pass, whatever it computes: import it as `from tests.train.models.checks import ...`.

A model comes as a torch module of the widths that `widths` gives, with settings small enough for a test. All widths differ,
so that a mixed-up one cannot pass. Each check says by its name what it asserts; random numbers are seeded, so that it says
the same on every run.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.batch import Batch, Features
from sadgr.train.config import TaskName, Widths
from sadgr.train.modalities import MODALITIES
from sadgr.train.models.protocol import Output
from sadgr.train.ragged import Spans
from sadgr.train.tasks import TASKS

D_TEXT, D_AUDIO, D_VIDEO, N_TRAIN = 10, 12, 14, 8
CLASSES, LABELS = 4, 3
TASK_NAMES: tuple[TaskName, ...] = ("regression", "classification", "multilabel")
LENGTHS, FRAMES = (1, 2, 4, 3, 7, 2, 1, 5), (3, 1, 2, 5, 4, 1, 6, 3)
"""Words and video frames of the N_TRAIN clips that checks read: some have more of these, some more of those."""


def widths(task: TaskName = "regression", n_outputs: int = 1) -> Widths:
    """What data of these tests decides: d_text 10, d_audio 12, d_video 14, n_train 8."""
    return Widths(D_TEXT, D_AUDIO, D_VIDEO, n_outputs, task, N_TRAIN)


def widths_of_tasks() -> list[Widths]:
    """Regression, classification into 4, and 3 labels."""
    return [widths("regression", 1), widths("classification", CLASSES), widths("multilabel", LABELS)]


def batch_of(
    widths: Widths,
    lengths: Sequence[int],
    frames: Sequence[int],
    seed: int = 0,
    task: TaskName | None = None,
    dtype: torch.dtype = torch.float32,
) -> Batch:
    """Make clips of standard normal features and random targets, all modalities present, numbered from 0.

    Args:
        widths: Of the features and of the target.
        lengths: Words of each clip.
        frames: Video frames of each clip.
        seed: Of the random numbers.
        task: Decides the target, (B, T): a number in [-3, 3], a class, or 0 and 1 for each label; None takes `widths.task`.
        dtype: Of all floating-point tensors.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    count = len(lengths)
    words, shown = Spans.of(list(lengths)), Spans.of(list(frames))
    text, audio = normal(sum(lengths), widths.d_text), normal(sum(lengths), widths.d_audio)
    targets: dict[TaskName, Callable[[], Tensor]] = {
        "regression": lambda: 6 * torch.rand((count, 1), generator=generator) - 3,
        "classification": lambda: torch.randint(widths.n_outputs, (count, 1), generator=generator),
        "multilabel": lambda: torch.randint(2, (count, widths.n_outputs), generator=generator),
    }
    return Batch(
        features=Features.of(text, audio, normal(sum(frames), widths.d_video), words, shown),
        text_mean=words.mean(text),
        audio_mean=words.mean(audio),
        present=torch.ones((count, 3), dtype=torch.bool),
        complete=torch.ones(3, dtype=torch.bool),
        paired=torch.ones(count, dtype=torch.bool),
        target=targets[task or widths.task]().to(dtype),
        numbers=torch.arange(count),
    )


def all_clips(of: Widths, seed: int = 0, dtype: torch.dtype = torch.float32) -> Batch:
    """Make the N_TRAIN clips of LENGTHS and FRAMES."""
    return batch_of(of, LENGTHS, FRAMES, seed, dtype=dtype)


def chosen(batch: Batch, clips: Sequence[int]) -> Batch:
    """Take some clips of a batch, in this order, as exactly as they are."""
    rows_of_words, rows_of_frames = _rows(batch.words, clips), _rows(batch.frames, clips)
    places = torch.tensor(clips)
    by_clip = ("text_mean", "audio_mean", "present", "paired", "target", "numbers")
    return replace(
        batch,
        features=Features.of(
            text=batch.text[rows_of_words],
            audio=batch.audio[rows_of_words],
            video=batch.video[rows_of_frames],
            words=Spans.of(batch.words.lengths[places].tolist()),
            frames=Spans.of(batch.frames.lengths[places].tolist()),
        ),
        complete=batch.present[places].all(dim=0),
        **{name: getattr(batch, name)[places] for name in by_clip},
    )


def without(batch: Batch, present: Sequence[Sequence[bool]]) -> Batch:
    """Give the same clips, with these modalities alone: (B, 3) text, audio, video. Rows of absent ones are zeros."""
    kept = torch.tensor(present)

    def silent(rows: Tensor, spans: Spans, modality: int) -> Tensor:
        return rows * kept[spans.owners, modality, None]

    rows = batch.with_present(kept).with_rows(
        text=silent(batch.text, batch.words, 0),
        audio=silent(batch.audio, batch.words, 1),
        video=silent(batch.video, batch.frames, 2),
    )
    return replace(
        rows,
        text_mean=batch.text_mean * kept[:, 0, None],
        audio_mean=batch.audio_mean * kept[:, 1, None],
    )


def in_float64(batch: Batch) -> Batch:
    """Give the same in float64, where what differs by more than rounding shows."""
    held = {field.name: getattr(batch, field.name) for field in fields(batch)}
    rows = {name: getattr(batch, name).double() for name in MODALITIES}
    by_clip = {name: one.double() for name, one in held.items() if getattr(one, "dtype", 0) == torch.float32}
    return replace(batch.with_rows(**rows), **by_clip)


def task_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Give what training minimises: the task's loss and the model's own."""
    output: Output = model(batch)
    return TASKS["regression"].loss(output.prediction, batch.target) + sum(output.losses.values(), torch.zeros(()))


def array(tensor: Tensor) -> NDArray[np.float64]:
    """Give a tensor's numbers, for transcriptions of equations."""
    return tensor.detach().double().numpy()


def assert_alone_equals_batch(model: nn.Module) -> None:
    """What else is in the batch, and so all padding, changes no prediction; nor do clips' order and missing modalities.

    The model is taken in float64 and evaluation mode: only what is truly different exceeds 1e-9.
    """
    kinds = st.tuples(st.integers(1, 9), st.integers(1, 8), st.tuples(st.booleans(), st.booleans(), st.booleans()))
    model = model.double().eval()

    @settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @given(clips=st.lists(kinds, min_size=1, max_size=6), seed=st.integers(0, 9), data=st.data())
    def check(clips: list[tuple[int, int, tuple[bool, bool, bool]]], seed: int, data: st.DataObject) -> None:
        lengths, frames, present = zip(*clips, strict=True)
        batch = without(batch_of(widths(), lengths, frames, seed, dtype=torch.float64), present)
        order = data.draw(st.permutations(range(len(clips))))
        with torch.no_grad():
            together = model(chosen(batch, order)).prediction
            alone = torch.cat([model(chosen(batch, [clip])).prediction for clip in order])
        torch.testing.assert_close(together, alone, atol=1e-9, rtol=0)

    check()


def assert_gradient_reaches(model: nn.Module, except_: Collection[str] = ()) -> None:
    """A gradient of the task's loss and the model's own reaches every parameter but those named; those get none at all.

    All kinds of missing modalities are in the batch, so that stand-ins count; dropout is off, so that nothing is missed by
    chance; clips are odd in number, since as many errors of either sign cancel in L1. Say at the call why a parameter is
    excepted.
    """
    torch.manual_seed(0)
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            module.dropout = 0.0
    model.zero_grad()
    lacking = [[True, True, True]] * 4 + [[False, True, True], [True, False, True], [True, True, False]]
    batch = chosen(all_clips(widths()), range(7))
    task_loss(model, without(batch, lacking)).backward()  # type: ignore[no-untyped-call]
    found = {name for name, one in model.named_parameters() if one.grad is None or float(one.grad.abs().max()) < 1e-9}
    assert found == set(except_), (
        f"no gradient: {sorted(found - set(except_))}; has one: {sorted(set(except_) - found)}"
    )


def assert_overfits(model: nn.Module, loss_below: float = 0.1, steps: int = 400, learning_rate: float = 1e-2) -> None:
    """Eight clips of random features and targets are learned by heart: mean absolute error below `loss_below`.

    Args:
        model: Of regression; set its dropout to 0.
        loss_below: For its predictions in evaluation mode.
        steps: At most.
        learning_rate: Of Adam.
    """
    torch.manual_seed(0)
    batch = all_clips(widths())
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    error = float("inf")
    for step in range(steps):
        model.train()
        optimizer.zero_grad()
        task_loss(model, batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % 20 == 19:
            model.eval()
            with torch.no_grad():
                error = float(functional.l1_loss(model(batch).prediction, batch.target))
            if error < loss_below:
                return
    raise AssertionError(f"mean absolute error {error:.3f} after {steps} steps, expected below {loss_below}")


def assert_answers_without_modalities(model: nn.Module) -> None:
    """Whatever a clip lacks, even everything, its prediction is finite, and what absent rows hold has no influence."""
    model.eval()
    kinds = [[bool(number & bit) for bit in (1, 2, 4)] for number in range(8)]
    lost = without(all_clips(widths()), kinds)
    hidden = all_clips(widths()).with_present(torch.tensor(kinds))  # absent rows still hold numbers
    with torch.no_grad():
        found, expected = model(lost).prediction, model(hidden).prediction
    assert bool(torch.isfinite(found).all())
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def assert_shapes(build: Callable[[Widths], nn.Module], tasks: Collection[TaskName]) -> None:
    """One output for regression, C for classes, K for labels; own losses are scalars, and there are none in evaluation."""
    for of in (one for one in widths_of_tasks() if one.task in tasks):
        torch.manual_seed(0)
        model, batch = build(of), all_clips(of)
        for output in (model.train()(batch), model.eval()(batch)):
            assert output.prediction.shape == (N_TRAIN, of.n_outputs), of.task
            assert all(loss.shape == () and bool(torch.isfinite(loss)) for loss in output.losses.values()), of.task
        assert not output.losses, of.task
        assert bool(torch.isfinite(output.prediction).all()), of.task


def parameter_count(model: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(one.numel() for one in model.parameters() if one.requires_grad)


def linear(d_in: int, d_out: int) -> int:
    """Parameters of an affine map."""
    return d_in * d_out + d_out


def lstm(d_in: int, hidden: int) -> int:
    """Parameters of one direction of one LSTM layer, with torch's two biases."""
    return 4 * hidden * (d_in + hidden + 2)


def _rows(spans: Spans, clips: Sequence[int]) -> Tensor:
    starts = (spans.lengths.cumsum(0) - spans.lengths).tolist()
    return torch.cat([torch.arange(starts[clip], starts[clip] + int(spans.lengths[clip])) for clip in clips])
