"""State other than the weights, one module for each kind: capture, check and restore.

May import backends, keras_seam and the root's words.
"""
