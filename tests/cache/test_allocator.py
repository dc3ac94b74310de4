import os
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource
import sys

import numpy as np

from sadgr.cache.allocator import keep_freed_memory

if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit("refused")

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
    """Pages of 4 KB that the kernel gave to a process that frees and takes 40 MB twenty times, after it had done so before."""
    usual_pages = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0"}
    told = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS, how], capture_output=True, text=True, check=False, env=usual_pages
    )
    if told.stderr.strip() == "refused":
        pytest.skip("the C library is not glibc, or refuses")
    assert told.returncode == 0, told.stderr
    return int(told.stdout)


def test_arrays_reuse_memory_that_was_freed() -> None:
    assert 20 * faults("kept") < faults("as it is")
