"""Everything private to Keras, each piece with the versions it was seen in.

May import the root's words only.
"""
