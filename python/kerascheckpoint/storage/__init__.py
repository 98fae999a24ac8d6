"""The places for checkpoints: local disks and what fsspec serves; files appear whole or not at all.

May import the root's words only: neither Keras nor a backend.
"""
