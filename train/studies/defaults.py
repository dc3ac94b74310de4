"""Defaults of studies, free of torch so that ``--help`` stays quick."""

WINDOW_SECONDS = 1.0
"""Width of the window that the gate's curve pools audio in: a few words of ordinary speech."""

MOST_CLIPS = 500
"""Clips in the t-SNE picture: more make it slow and hard to read."""
