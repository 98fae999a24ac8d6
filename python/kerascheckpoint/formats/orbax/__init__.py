"""Checkpoints that are directories, written and read by Orbax and TensorStore.

Orbax is an extra (`pip install kerascheckpoint[orbax]`), imported on first use.
May import the record, storage and the root's words; neither Keras nor a backend.
"""
