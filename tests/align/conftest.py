"""Sound for the aligners' tests."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def speech(speak):
    """'the juice of lemons makes fine punch', with the onset of each word as espeak-ng reports it."""
    return speak("the juice of lemons makes fine punch")


@pytest.fixture(scope="session")
def narration(shared_data: Path, decode) -> NDArray[np.float32]:
    """A real narrator with subtitles: the 16 kHz one of the film's two audio streams, float32, shape (n,)."""
    return decode(shared_data / "clips/nasa_webb.mp4", stream=1)
