"""The state of a model at one moment: its objects, its arrays and stable copies of them.

May import state, formats, backends, keras_seam and the root's words.
"""
