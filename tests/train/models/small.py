"""Every model of the registry, small and without dropout, as the tests of models build it. All widths differ where they may."""

from dataclasses import replace
from typing import Any

import torch

from sadgr.train.config import ModelConfig, ModelName, Widths
from sadgr.train.models.concat import ConcatConfig
from sadgr.train.models.iccn import ICCNConfig
from sadgr.train.models.late import LateConfig
from sadgr.train.models.lmf import LMFConfig
from sadgr.train.models.mag import MAGConfig
from sadgr.train.models.mfn import MFNConfig
from sadgr.train.models.misa import MISAConfig
from sadgr.train.models.mult import MulTConfig
from sadgr.train.models.raven import RAVENConfig
from sadgr.train.models.registry import Described
from sadgr.train.models.selfmm import SelfMMConfig
from sadgr.train.models.tchfn import TCHFNConfig
from sadgr.train.models.tetfn import TETFNConfig
from sadgr.train.models.text import TextConfig
from sadgr.train.models.tfn import TFNConfig
from sadgr.train.models.tmbl import TMBLConfig
from tests.train.models.checks import widths

SETTINGS: dict[ModelName, Any] = {
    "sadgr": ModelConfig(
        d_shared=9, d_model=8, d_key=5, gate_hidden=7, attention_heads=2, fusion_hidden=11, dropout=0.0
    ),
    "text": TextConfig(hidden=9, dropout=0.0),
    "concat": ConcatConfig(hidden=9, dropout=0.0),
    "late": LateConfig(hidden=9, dropout=0.0),
    "tfn": TFNConfig(lstm_hidden=7, text_hidden=6, audio_hidden=3, video_hidden=5, fusion_hidden=8, dropout=0.0),
    "lmf": LMFConfig(lstm_hidden=7, text_hidden=6, audio_hidden=3, video_hidden=5, rank=2, dropout=0.0),
    "mfn": MFNConfig(
        text_hidden=5,
        audio_hidden=3,
        video_hidden=4,
        memory=6,
        attention_hidden=7,
        proposal_hidden=8,
        retain_hidden=9,
        update_hidden=2,
        output_hidden=11,
        dropout=0.0,
    ),
    "mult": MulTConfig(d_model=6, heads=3, layers=2, text_dropout=0, block_dropout=0, output_dropout=0),
    "misa": MISAConfig(d_model=6, d_recurrent=4, heads=2, feed_forward=7, fusion_dropout=0, dropout=0),
    "selfmm": SelfMMConfig(3, 4, 5, 6, 8, 7, 4, 5, text_dropout=0, audio_dropout=0),
    "mag": MAGConfig(gate_dropout=0, d_model=6, heads=3, dropout=0),
    "raven": RAVENConfig(d_nonverbal=5, nonverbal_hidden=6, word_hidden=7, dropout=0),
    "iccn": ICCNConfig(d_text=8, d_audio=4, d_video=4, channels=4, d_correlated=3, dropout=0),
    "tetfn": TETFNConfig(3, 4, 6, 3, 2, 1, 8, 7, 4, 5, block_dropout=0),
    "tchfn": TCHFNConfig(d_model=6, heads=3, dropout=0),
    "tmbl": TMBLConfig(2, 6, 2, 2, 4, 5, layer_dropout=0, fusion_dropout=0),
}
"""All but ridge regression, which is not learned by steps: tests/train/models/test_ridge.py."""


def build(name: ModelName, of: Widths | None = None) -> Any:
    """Make a model; `of` is regression's widths where nothing else is said."""
    of = of or widths()
    settings = SETTINGS[name]
    if name == "sadgr":  # whose settings hold what the data decides
        decided = {key: getattr(of, key) for key in ("d_text", "d_audio", "d_video", "n_outputs")}
        settings = replace(settings, **decided)
    torch.manual_seed(0)
    return Described(name, of, settings).build()
