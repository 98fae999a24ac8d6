"""TensorFlow's dataset of the arrays of a `fit`, shuffled by a seed and begun at a batch of choice.

Keras' adapter builds the dataset; some functions of TensorFlow are replaced while it does. Seen in
Keras 3.3 to 3.16.
"""

import importlib
from typing import Any


class ArrayDataset:
    """Keras' dataset of arrays, whose next iteration can start at any batch.

    Batches are left out before they are made of the arrays, so thousands of them take no time.

    Args:
        adapter: Keras' adapter for the arrays.
        by_seed: Whether a seed that can be set shuffles each iteration.

    Attributes:
        dataset: The dataset.
        can_start_anywhere: Whether `start_at` has an effect.
    """

    def __init__(self, adapter: Any, *, by_seed: bool) -> None:
        import tensorflow as tf

        with tf.device("cpu:0"):
            self._place = tf.Variable(0, trainable=False, dtype=tf.int64)
            self._seed = tf.Variable(0, trainable=False, dtype=tf.int32) if by_seed else None
        self.can_start_anywhere = False
        self.dataset = self._build(adapter)

    def start_at(self, place: int) -> None:
        """Let the next iteration leave out its first batches."""
        self._place.assign(place)

    def set_seed(self, seed: int) -> None:
        """Set the seed by which the next iterations shuffle."""
        if self._seed is not None:
            self._seed.assign(seed)

    def _build(self, adapter: Any) -> Any:
        import tensorflow as tf

        replaced = {"zip": self._zip}
        names = {"data": _Instead(tf.data, Dataset=_Instead(tf.data.Dataset, **replaced))}
        if self._seed is not None:
            names["random"] = _Instead(tf.random, shuffle=self._shuffle)
        # The adapter looks this name up whenever it builds a dataset.
        module: Any = importlib.import_module("keras.src.utils.module_utils")
        original = module.tensorflow
        module.tensorflow = _Instead(tf, **names)
        try:
            return adapter.get_tf_dataset()
        finally:
            module.tensorflow = original

    def _shuffle(self, indices: Any) -> Any:
        import tensorflow as tf

        assert self._seed is not None
        seeds = tf.stack([self._seed.read_value(), tf.cast(indices[0], tf.int32)])
        return tf.random.experimental.stateless_shuffle(indices, seed=seeds)

    def _zip(self, datasets: Any) -> Any:
        """Put the batches' indices and the arrays together, from the place on."""
        import tensorflow as tf

        indices, *arrays = datasets

        def rest(_: Any) -> Any:
            place = self._place.read_value()
            with tf.control_dependencies([place]):
                is_taken = self._place.assign(0, read_value=False)
            with tf.control_dependencies([is_taken]):
                return indices.skip(tf.identity(place))

        self.can_start_anywhere = True
        return tf.data.Dataset.zip((tf.data.Dataset.range(1).flat_map(rest), *arrays))


class _Instead:
    """Looks like a module or a class in which some names have other values."""

    def __init__(self, original: Any, **names: Any) -> None:
        vars(self).update(names)
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)
