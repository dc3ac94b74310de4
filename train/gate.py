"""The audio-guided gate on video features (eq. 15-18), and what stands in its place in ablations."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from sadgr.train.ragged import Spans


class AudioGate(nn.Module):
    """Decide from audio how much of each video dimension passes.

    Args:
        d_audio: Da.
        hidden: Width between layers.
        d_video: Dv.
        layers: Linear maps; the paper has 2, and tries 1 to 4 (Fig. 6).
    """

    def __init__(self, d_audio: int, hidden: int, d_video: int, layers: int = 2) -> None:
        super().__init__()
        widths = [d_audio, *([hidden] * (layers - 1)), d_video]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, audio: Tensor) -> Tensor:
        """Compute gates.

        Args:
            audio: (..., Da) mean over a clip's word features before any head (eq. 15), or a part's.

        Returns:
            (..., Dv) in [0, 1]; 1 lets a dimension pass. b_2 is Dv wide: the paper's d_h in eq. 17 cannot be added.
        """
        *hidden, last = self.layers
        for layer in hidden:
            audio = layer(audio).relu()  # eq. 16
        return last(audio).sigmoid()  # type: ignore[no-any-return]  # eq. 17


def at_frames(audio: Tensor, words: Spans, frames: Spans) -> Tensor:
    """Give each frame the audio word of its time: (W, Da) to (F, Da).

    For the frame-level gate that the paper leaves aside because it oscillates (section III-D). Training reads no word times,
    so words are taken to be spread evenly over the clip.
    """
    places = torch.cat(
        [
            first + ((torch.arange(count) + 0.5) * length / count).long()
            for first, length, count in zip(
                (words.lengths.cumsum(0) - words.lengths).tolist(),
                words.lengths.tolist(),
                frames.lengths.tolist(),
                strict=True,
            )
        ]
    )
    return audio[places.to(audio.device)]


class CrossAttention(nn.Module):
    """Video frames ask audio words: the multi-head cross-attention that Table 4 puts in the gate's place.

    Args:
        d_video: Dv, of queries and output.
        d_audio: Da, of keys and values.
        heads: Number of heads; Dv must be a multiple.
    """

    def __init__(self, d_video: int, d_audio: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(d_video, d_video)
        self.key = nn.Linear(d_audio, d_video)
        self.value = nn.Linear(d_audio, d_video)
        self.out = nn.Linear(d_video, d_video)

    def forward(self, video: Tensor, audio: Tensor, frames: Spans, words: Spans) -> Tensor:
        """Return (F, Dv): for each frame (F, Dv) what it found in its clip's audio words (W, Da), added to it."""
        query, key, value = (
            self._split(spans.padded(rows))
            for spans, rows in (
                (frames, self.query(video)),
                (words, self.key(audio)),
                (words, self.value(audio)),
            )
        )
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=words.mask[:, None, None, :])
        joined = found.transpose(1, 2).flatten(2)[frames.mask]  # (F, Dv)
        return video + self.out(joined)  # type: ignore[no-any-return]

    def _split(self, rows: Tensor) -> Tensor:
        """(B, L, Dv) to (B, heads, L, Dv / heads)."""
        return rows.view(*rows.shape[:-1], self.heads, -1).transpose(1, 2)
