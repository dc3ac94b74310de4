"""What the paper shows, computed anew: its tables and figures, each from a cache and its runs."""
