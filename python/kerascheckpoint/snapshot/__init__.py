"""A model's state at one instant: its objects, its arrays, and copies that outlive the next step.

May import state, formats, backends, keras_seam and the root's words.
"""
