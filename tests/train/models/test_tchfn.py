"""TCHFN: its two losses against plain NumPy, and that its levels stand in the order they are said to."""

from functools import partial

import numpy as np
import pytest
import torch

from sadgr.train.models.tchfn import CONTRAST, DISTILLATION, TCHFN, TCHFNConfig, contrast, distillation
from tests.train.models import checks, small

SMALL: TCHFNConfig = small.SETTINGS["tchfn"]
build = partial(small.build, "tchfn")


def test_contrast_equals_its_transcription() -> None:
    """Text with sound over the clips that have both, and with sight likewise; each way round, against all others."""
    generator = torch.Generator().manual_seed(0)
    text, audio, video = torch.randn((3, 5, 4), generator=generator, dtype=torch.float64)
    present = torch.ones((5, 3), dtype=torch.bool)
    present[1, 1] = present[3, 2] = False
    expected = 0.0
    for other, kept in ((audio, [0, 2, 3, 4]), (video, [0, 1, 2, 4])):
        a, b = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (checks.array(text), checks.array(other)))
        raised = np.exp(a[kept] @ b[kept].T / 0.5)
        own = np.diag(raised)
        expected -= (np.log(own / raised.sum(axis=0)).mean() + np.log(own / raised.sum(axis=1)).mean()) / 2
    assert float(contrast((text, audio, video), present, temperature=0.5)) == pytest.approx(expected, abs=1e-6)


def test_distillation_equals_its_transcription_and_teaches_students_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second, teacher = (torch.randn((4, 2), generator=generator).requires_grad_() for _ in range(3))
    found = distillation([first, second], teacher)
    p, q, t = (checks.array(one) for one in (first, second, teacher))
    assert float(found.detach()) == pytest.approx((((p - t) ** 2).mean() + ((q - t) ** 2).mean()) / 2, abs=1e-6)
    found.backward()  # type: ignore[no-untyped-call]
    assert teacher.grad is None and first.grad is not None


def test_losses_carry_their_weights() -> None:
    batch = checks.all_clips(checks.widths())
    plain = build()(batch).losses
    torch.manual_seed(0)
    heavy = TCHFN(checks.widths(), TCHFNConfig(6, 3, 0, contrast_weight=0.3, distillation_weight=0.2))(batch).losses
    torch.testing.assert_close(heavy[CONTRAST], 3 * plain[CONTRAST])
    torch.testing.assert_close(heavy[DISTILLATION], 2 * plain[DISTILLATION])


def test_order_of_words_and_of_frames_counts() -> None:
    model, batch = build().eval(), checks.batch_of(checks.widths(), [5], [4])
    with torch.no_grad():
        expected = model(batch).prediction
        for name in ("text", "audio", "video"):
            other = batch.with_rows(**{name: getattr(batch, name).flip(0)})
            assert float((model(other).prediction - expected).abs()) > 1e-5, name


def test_text_is_reached_through_its_levels_alone() -> None:
    """Were the middle level silent, text would count for nothing: the high level joins no text but that level's."""
    model = build().eval()
    model.middle.norm.weight.data.zero_()
    batch = checks.all_clips(checks.widths())
    changed = batch.with_rows(text=batch.text + 1)
    with torch.no_grad():
        torch.testing.assert_close(model(batch).prediction, model(changed).prediction)
        changed = batch.with_rows(audio=batch.audio + 1)
        assert float((model(batch).prediction - model(changed).prediction).abs().max()) > 1e-4


def test_parameters_are_as_many_as_the_formula_says() -> None:
    w, m = checks.widths(), SMALL.d_model
    layer = 4 * checks.linear(m, m) + checks.linear(m, 4 * m) + checks.linear(4 * m, m) + 2 * 2 * m
    modalities = (w.d_text, w.d_audio, w.d_video)
    expected = (
        sum(modalities) + sum(checks.linear(d, m) for d in modalities)
        + 3 * layer + 2 * checks.linear(3 * m, m)
        + 3 * checks.linear(m, 1)
    )  # fmt: skip
    assert checks.parameter_count(build(w)) == expected


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="heads must divide d_model 6, got 4"):
        TCHFNConfig(d_model=6, heads=4)
