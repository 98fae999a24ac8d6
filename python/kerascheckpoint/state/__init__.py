"""What a checkpoint holds beside weights, one module each: captured, checked, restored.

May import backends, keras_seam and the root's words.
"""
