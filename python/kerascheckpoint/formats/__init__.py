"""The forms of a checkpoint, and the record that each of them carries.

May import storage, policies and the root's words; neither Keras nor a backend.
"""
