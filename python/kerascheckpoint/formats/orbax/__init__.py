"""Checkpoints in Orbax' form: a directory that Orbax and TensorStore write and read.

Orbax is an extra (`pip install kerascheckpoint[orbax]`) and is imported when a checkpoint is
written, or its arrays are read. May import formats' own words, storage and the root's words.
"""
