"""TETFN: who asks whom, against transformers one by one; its tasks and labels are Self-MM's."""

from functools import partial

import pytest
import torch
from torch import Tensor

from sadgr.train.config import Widths
from sadgr.train.errors import TrainError
from sadgr.train.models.mult import CrossModal, Memory
from sadgr.train.models.stacked import Pairing
from sadgr.train.models.tetfn import TETFN, TETFNConfig, TextEnhanced
from sadgr.train.ragged import Spans
from tests.train.models import checks, small

SMALL: TETFNConfig = small.SETTINGS["tetfn"]
build = partial(small.build, "tetfn")
TASKS = ("tasks.1", "tasks.2", "tasks.3")


def one_of(stacked: CrossModal | Memory, number: int, layers: int) -> CrossModal | Memory:
    """One of the transformers that stand side by side, by itself."""
    width = stacked.width
    config = SMALL.transformers(layers)
    single = type(stacked)(1, width, config).double()
    own, whole = single.state_dict(), stacked.state_dict()
    single.load_state_dict(
        {
            name: whole[name][number : number + 1] if whole[name].ndim == 3 else whole[name].chunk(2)[number]
            for name in own
        }
    )
    return single


def test_who_asks_whom_is_as_the_paper_has_it() -> None:
    """Each of the pairs by a transformer of its own, clip by clip: sound asks sight through what sight asked of text."""
    torch.manual_seed(0)
    module = TextEnhanced(SMALL).double()
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    batch = checks.batch_of(checks.widths(), [3, 1, 4], [2, 5, 1], dtype=torch.float64)
    text, audio = torch.randn(2, 8, 6, dtype=torch.float64)
    video = torch.randn(8, 6, dtype=torch.float64)
    found = module(text, audio, video, batch)

    def ask(transformer: object, rows: Tensor, source: Tensor) -> Tensor:
        pairing = Pairing(Spans.of([len(rows)]), Spans.of([len(source)]))
        return transformer(rows[None], source[None], pairing)[0]  # type: ignore[operator, no-any-return]

    def last(transformer: object, *halves: Tensor) -> Tensor:
        joined = torch.cat(halves, dim=1)
        return transformer(joined[None], Spans.of([len(joined)]))[0, 0]  # type: ignore[operator, no-any-return]

    text_audio, audio_text = (one_of(module.words_ask_words, number, 2) for number in range(2))
    text_video, audio_video = (one_of(module.words_ask_frames, number, 2) for number in range(2))
    video_text, video_audio = (one_of(module.frames_ask_words, number, 2) for number in range(2))
    text_memory, audio_memory = (one_of(module.word_memory, number, 2) for number in range(2))
    lengths = ([3, 1, 4], [3, 1, 4], [2, 5, 1])
    parts = (one.split(length) for one, length in zip((text, audio, video), lengths, strict=True))
    for clip, (t, a, v) in enumerate(zip(*parts, strict=True)):
        text_for_sight = ask(module.video_asks_text, v, t)
        text_for_sound = ask(module.audio_asks_text, a, t)
        expected = [
            last(text_memory, ask(text_audio, t, a), ask(text_video, t, v)),
            last(audio_memory, ask(audio_text, a, t), ask(audio_video, a, text_for_sight)),
            last(module.frame_memory, ask(video_text, v, t), ask(video_audio, v, text_for_sound)),
        ]
        torch.testing.assert_close(found[clip], torch.cat(expected), atol=1e-9, rtol=0)


def test_text_reaches_what_sound_asks_of_sight() -> None:
    """In MulT sound's rows from sight do not change with text; here they do, and so do sight's from sound."""
    torch.manual_seed(0)
    module, width = TextEnhanced(SMALL).double(), SMALL.d_model
    batch = checks.batch_of(checks.widths(), [3], [4], dtype=torch.float64)
    text, audio, video = (torch.randn(count, width, dtype=torch.float64) for count in (3, 3, 4))
    text.requires_grad_()
    with torch.no_grad():  # what asks text itself falls silent: both words' transformers, and the first of the frames'
        module.words_ask_words.last_norm.gain.zero_()
        module.frames_ask_words.last_norm.gain[:width].zero_()
    for first in (2 * width, 4 * width):  # of sound, then of sight
        (gradient,) = torch.autograd.grad(module(text, audio, video, batch)[0, first], text)
        assert float(gradient.abs().max()) > 1e-6


def test_prediction_makes_no_labels() -> None:
    model = build().eval()
    model(checks.all_clips(checks.widths()))
    assert not model.generation.seen.any()


@pytest.mark.parametrize("widths", checks.widths_of_tasks()[1:])
def test_other_tasks_than_regression_are_refused(widths: Widths) -> None:
    with pytest.raises(TrainError, match=f"learns regression alone, not {widths.task}"):
        TETFN(widths)


@pytest.mark.parametrize(("field", "value"), [("heads", 4), ("conv_kernel", 2)])
def test_settings_that_no_layer_can_have_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field} must"):
        TETFNConfig(**{"d_model": 6, "heads": 3, field: value})


def test_parameters_are_as_many_as_the_formula_says() -> None:
    w, c, m = checks.widths(), SMALL, SMALL.d_model

    def transformer(d: int, layers: int, sources: int) -> int:
        attends, feeds = 4 * checks.linear(d, d), checks.linear(d, 4 * d) + checks.linear(4 * d, d)
        return layers * (attends + feeds + 2 * 2 * d) + (1 + sources) * 2 * d

    def task(d_in: int, hidden: int) -> int:
        return checks.linear(d_in, hidden) + checks.linear(hidden, hidden) + checks.linear(hidden, 1)

    expected = (
        w.d_text + w.d_audio + w.d_video
        + checks.lstm(w.d_audio, c.audio_hidden) + checks.lstm(w.d_video, c.video_hidden)
        + sum(checks.linear(c.conv_kernel * d, m) for d in (w.d_text, c.audio_hidden, c.video_hidden))
        + 2 * transformer(m, 1, sources=1) + 6 * transformer(m, c.layers, sources=1)
        + 3 * transformer(2 * m, c.layers, sources=0)
        + task(6 * m, c.fused_hidden)
        + task(m, c.text_task_hidden) + task(m, c.audio_task_hidden) + task(m, c.video_task_hidden)
    )  # fmt: skip
    assert checks.parameter_count(build(w)) == expected
