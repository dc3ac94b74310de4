"""The audio-guided gate on video features (eq. 15-18)."""

from torch import Tensor, nn

from sadgr.train.fusion import masked_mean


class AudioGate(nn.Module):
    """Decide from a clip's audio how much of each video dimension passes."""

    def __init__(self, d_audio: int, hidden: int, d_video: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(d_audio, hidden)
        self.out = nn.Linear(hidden, d_video)

    def forward(self, audio_words: Tensor, word_mask: Tensor) -> Tensor:
        """Compute one gate vector for a clip.

        Args:
            audio_words: (B, N, Da) word features before any head.
            word_mask: (B, N) bool, True = valid.

        Returns:
            (B, Dv) in [0, 1]; 1 lets a dimension pass. b_2 is Dv wide: the paper's d_h in eq. 17 cannot be added.
        """
        clip_audio = masked_mean(audio_words, word_mask)  # (B, Da), eq. 15
        hidden = self.hidden(clip_audio).relu()  # (B, hidden), eq. 16
        return self.out(hidden).sigmoid()  # type: ignore[no-any-return]  # (B, Dv), eq. 17


def modulate(video: Tensor, gate: Tensor) -> Tensor:
    """Apply one gate (B, Dv) to all frames (B, Lv, Dv) of its clip (eq. 18)."""
    return video * gate[:, None, :]
