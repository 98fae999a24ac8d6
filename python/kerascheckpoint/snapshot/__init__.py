"""A model's state at one instant: its objects, their arrays, copies that outlive the next step.

May import state, formats, backends, keras_seam and the root's words.
"""
