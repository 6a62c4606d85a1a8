"""DOOR: who asks, what they may ask, what is recorded, what is streamed."""
