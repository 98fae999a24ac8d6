"""Everything private to Keras, with the versions that it was seen in and a public way out.

May import Keras and the root's words.
"""
