"""ICCN, Interaction Canonical Correlation Network: what text and sound, and text and sight, say together is made to correlate.

Reference: Sun, Sarma, Sethares and Liang, "Learning Relationships between Text, Audio, and Video via Deep Canonical
Correlation for Multimodal Language Analysis" (AAAI 2020), with the loss of Andrew, Arora, Bilmes and Livescu, "Deep Canonical
Correlation Analysis" (ICML 2013).

Text's outer products with sound and with sight are images; a small convolutional network reads each; the two vectors that
come out are trained for canonical correlation and stand with text's own before a linear map. Left open there, or chosen
otherwise: sizes are this project's; text's vector is the mean of cached words through one ReLU layer; sound and sight go through a
convolution and an LSTM; task and correlation are learned together, with a weight, where the authors fit classifiers to
embeddings that were learned first. A batch of n clips correlates any n - 1 columns fully, so that there are far fewer columns
than clips in a batch; clips that lack a modality do not count for it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sadgr.train.batch import Batch
from sadgr.train.config import Widths
from sadgr.train.dropout import Dropout
from sadgr.train.models.parts import Layers
from sadgr.train.models.protocol import MissingVectors, Output
from sadgr.train.models.recurrent import final_state
from sadgr.train.models.sadgr import WordConv

CORRELATION = "correlation"


@dataclass(frozen=True)
class ICCNConfig:
    """Widths of the three vectors and of the two correlated ones; channels of the image networks; weight and ridge of the loss.

    Sides of an image are halved twice, so that `d_text`, `d_audio` and `d_video` are multiples of 4.
    """

    d_text: int = 128
    d_audio: int = 32
    d_video: int = 32
    conv_kernel: int = 3
    channels: int = 8
    d_correlated: int = 10
    correlation_weight: float = 0.1
    ridge: float = 1e-3
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Refuse sides that cannot be halved twice, and a kernel that would change a sequence's length."""
        for name in ("d_text", "d_audio", "d_video"):
            if getattr(self, name) % 4:
                raise ValueError(f"{name} must be a multiple of 4, got {getattr(self, name)}")
        if self.conv_kernel % 2 == 0:
            raise ValueError(f"conv_kernel must be odd to keep a sequence's length, got {self.conv_kernel}")


class Interaction(nn.Module):
    """Two vectors' outer product, read by two convolutions of 3 x 3 with ReLU and pooling, and a linear map."""

    def __init__(self, first: int, second: int, channels: int, d_out: int) -> None:
        super().__init__()
        self.images = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.out = nn.Linear(2 * channels * (first // 4) * (second // 4), d_out)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Map (B, first) and (B, second) to (B, d_out)."""
        image = first[:, :, None] * second[:, None, :]  # (B, first, second)
        return self.out(self.images(image[:, None]).flatten(1))  # type: ignore[no-any-return]  # torch: __call__ is Any


class ICCN(nn.Module):
    """ICCN on cached features."""

    def __init__(self, widths: Widths, config: ICCNConfig = ICCNConfig()) -> None:
        super().__init__()
        c = config
        self.config = config
        self.missing = MissingVectors(widths.d_text, widths.d_audio, widths.d_video)
        self.text = Layers(widths.d_text, c.d_text, dropout=c.dropout)
        self.audio_conv = WordConv(widths.d_audio, c.d_audio, c.conv_kernel)
        self.video_conv = WordConv(widths.d_video, c.d_video, c.conv_kernel)
        self.audio_lstm = nn.LSTM(c.d_audio, c.d_audio)
        self.video_lstm = nn.LSTM(c.d_video, c.d_video)
        self.text_audio = Interaction(c.d_text, c.d_audio, c.channels, c.d_correlated)
        self.text_video = Interaction(c.d_text, c.d_video, c.channels, c.d_correlated)
        self.dropout = Dropout(c.dropout)
        self.head = nn.Linear(2 * c.d_correlated + c.d_text, widths.n_outputs)

    def forward(self, batch: Batch) -> Output:
        """Predict a batch of clips."""
        words, frames = batch.words, batch.frames
        text, audio, video = self.missing(
            batch.present, batch.complete, (batch.text, words), (batch.audio, words), (batch.video, frames)
        )
        text = self.text(words.mean(text))  # (B, d_text)
        audio = final_state(self.audio_lstm, self.audio_conv(audio, words).relu(), words)
        video = final_state(self.video_lstm, self.video_conv(video, frames).relu(), frames)
        heard, seen = self.text_audio(text, audio), self.text_video(text, video)  # (B, d_correlated) each
        prediction = self.head(self.dropout(torch.cat([heard, text, seen], dim=1)))
        if not self.training:
            return Output(prediction)
        whole = batch.present.all(dim=1)
        correlated = total_correlation(heard[whole], seen[whole], self.config.ridge)
        return Output(prediction, {CORRELATION: -self.config.correlation_weight * correlated})


def total_correlation(first: Tensor, second: Tensor, ridge: float) -> Tensor:
    """Add up the canonical correlations of two samples.

    It is the sum of the singular values of S11^(-1/2) S12 S22^(-1/2), with covariances S. Cholesky factors stand for the square
    roots: they differ by a rotation, which changes no singular value, and have a gradient where eigenvalues coincide, too.

    Args:
        first: (n, d) of n clips.
        second: (n, e) of the same.
        ridge: Added to variances, so that both covariances can be inverted.

    Returns:
        Scalar, at most min(d, e); 0 when fewer than two clips leave nothing to correlate.
    """
    if len(first) < 2:
        return first.new_zeros(())
    a, b = (one.double() - one.double().mean(dim=0) for one in (first, second))
    half: list[Tensor] = []
    for one in (a, b):
        covariance = one.mT @ one / (len(one) - 1)
        factor = torch.linalg.cholesky(covariance + ridge * torch.eye(one.shape[1], dtype=one.dtype, device=one.device))
        half.append(torch.linalg.solve_triangular(factor, one.mT, upper=False))  # (d, n)
    between = half[0] @ half[1].mT / (len(a) - 1)  # (d, e)
    correlations: Tensor = torch.linalg.svdvals(between)
    return correlations.sum().to(first.dtype)
