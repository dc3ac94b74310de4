"""Decoding: mono 16 kHz audio and sampled video frames out of any media file."""
