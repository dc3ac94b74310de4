"""TETFN: who asks whom, against transformers one by one; its tasks and labels are Self-MM's."""

from functools import partial

import numpy as np
import pytest
import torch

from sadgr.train.config import Widths
from sadgr.train.errors import TrainError
from sadgr.train.models.tetfn import TETFN, TETFNConfig, TextEnhanced
from tests.train.models import checks, plain, small

SMALL: TETFNConfig = small.SETTINGS["tetfn"]
build = partial(small.build, "tetfn")
TASKS = ("tasks.1", "tasks.2", "tasks.3")


def test_who_asks_whom_is_as_the_paper_has_it() -> None:
    """In plain NumPy, clip by clip: sound asks sight through what sight asked of text, and sight sound likewise."""
    torch.manual_seed(0)
    module = TextEnhanced(SMALL).double()
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    batch = checks.batch_of(checks.widths(), [3, 1, 4], [2, 5, 1], dtype=torch.float64)
    text, audio = torch.randn(2, 8, 6, dtype=torch.float64)
    video = torch.randn(8, 6, dtype=torch.float64)
    found = module(text, audio, video, batch)

    lengths = ([3, 1, 4], [3, 1, 4], [2, 5, 1])
    parts = (map(checks.array, one.split(length)) for one, length in zip((text, audio, video), lengths, strict=True))
    for clip, (t, a, v) in enumerate(zip(*parts, strict=True)):
        text_for_sight = plain.cross_modal(module.video_asks_text, v, t, 0)
        text_for_sound = plain.cross_modal(module.audio_asks_text, a, t, 0)
        text_audio, audio_text = (
            plain.cross_modal(module.words_ask_words, *pair, of) for of, pair in enumerate(((t, a), (a, t)))
        )
        text_video = plain.cross_modal(module.words_ask_frames, t, v, 0)
        audio_video = plain.cross_modal(module.words_ask_frames, a, text_for_sight, 1)
        video_text = plain.cross_modal(module.frames_ask_words, v, t, 0)
        video_audio = plain.cross_modal(module.frames_ask_words, v, text_for_sound, 1)
        expected = [
            plain.memory(module.word_memory, np.concatenate([text_audio, text_video], axis=1), 0),
            plain.memory(module.word_memory, np.concatenate([audio_text, audio_video], axis=1), 1),
            plain.memory(module.frame_memory, np.concatenate([video_text, video_audio], axis=1), 0),
        ]
        np.testing.assert_allclose(checks.array(found[clip]), np.concatenate(expected), atol=1e-9)


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
