"""Sound as the 16-bit samples that aligners read."""

import numpy as np
from numpy.typing import NDArray


def pcm16(waveform: NDArray[np.float32]) -> bytes:
    """Gives float32 sound in [-1, 1], shape (n,), as little-endian 16-bit samples; what is louder is clipped."""
    samples: NDArray[np.int16] = np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype("<i2")
    return samples.tobytes()
