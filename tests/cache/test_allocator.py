import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource
import sys

import numpy as np

from sadgr.cache.allocator import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def use():
    for _ in range(20):
        np.ones(40_000_000, np.uint8)

use()
before = faults()
use()
print(faults() - before)
"""


def faults(how: str) -> int:
    """Pages, some of them huge, that the kernel gave to a process that frees and takes 40 MB twenty times, after it had done so before."""
    told = subprocess.run([sys.executable, "-c", COUNT_FAULTS, how], capture_output=True, text=True, check=True)
    return int(told.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets glibc's malloc")
def test_arrays_reuse_memory_that_was_freed():
    assert faults("kept") < 500 < 5_000 < faults("as it is")
