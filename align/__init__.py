"""Words and their times: aligners, readers of alignments, and the pooling of audio frames into words."""
