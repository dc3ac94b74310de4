"""Data sets as they lie on a disk, one layout a file."""
