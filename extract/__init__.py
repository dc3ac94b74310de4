"""From media and transcripts to cached features of frozen encoders."""
