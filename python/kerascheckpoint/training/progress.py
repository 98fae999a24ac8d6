"""How far training is: epochs, batches of the current epoch, batches of the whole run."""

import dataclasses


@dataclasses.dataclass
class Progress:
    """Counts Keras' events, even if a custom loop leaves some of them out.

    Attributes:
        epoch: Index of the epoch, from 0; at the end of an epoch, the number of completed epochs.
        batch: Batches done in the unfinished epoch.
        last_batch: Batches of the epoch that ended last.
        epoch_steps: Batches per epoch, if Keras knows.
    """

    epoch: int = 0
    batch: int = 0
    last_batch: int = 0
    epoch_steps: int | None = None
    _begun: int = 0
    _begun_is_sure: bool = False
    _before_epoch: int = 0

    @property
    def step(self) -> int:
        """Batches done in the whole run."""
        return self._before_epoch + self.batch

    @property
    def is_at_end(self) -> bool:
        """Whether no batch of the epoch is left; True if the length of the epoch is unknown."""
        return self.epoch_steps is None or max(self.batch, self._begun) >= self.epoch_steps

    @classmethod
    def after(cls, epoch: int, batch: int, step: int) -> "Progress":
        """Continue from a checkpoint; the batches of its unfinished epoch will be counted again."""
        return cls(epoch=epoch, _before_epoch=step - batch)

    def begin_epoch(self, epoch: int) -> None:
        """Begin an epoch."""
        self._close_epoch()
        self.epoch = epoch

    def begin_batch(self, index: int, span: int, *, is_drawn: bool = False) -> None:
        """Note that up to `span` batches begin at `index` (from 0); those before it are done.

        For runs that do not see the ends of batches. With data of unknown length, Keras announces
        one batch too many, unless it draws each batch before it announces it (`is_drawn`).
        """
        self.batch, self._begun = index, index + span
        self._begun_is_sure = is_drawn

    def end_batch(self, index: int) -> None:
        """Note that the batches up to `index` (from 0) of this epoch are done."""
        done = index + 1
        if self.epoch_steps is not None:  # the last execution of several steps may be shorter
            done = min(done, self.epoch_steps)
        if done <= self.batch:  # the index starts again: a new epoch that was not announced
            self._close_epoch()
        self.batch, self._begun = done, 0

    def end_epoch(self, epoch: int) -> None:
        """Note that an epoch is complete."""
        self._close_epoch()
        self.epoch = epoch + 1

    def counters(self, *, epoch_done: bool) -> dict[str, int]:
        """Return the counters for file names: `epoch` and `batch` from 1, `step`."""
        if epoch_done:
            return {"epoch": max(self.epoch, 1), "batch": self.last_batch, "step": self.step}
        return {"epoch": self.epoch + 1, "batch": self.batch, "step": self.step}

    def _close_epoch(self) -> None:
        if self._begun and self.epoch_steps is not None:
            self.batch = min(self._begun, self.epoch_steps)
        elif self._begun and self._begun_is_sure:
            self.batch = self._begun
        if self.batch:
            self.last_batch = self.batch
        self._before_epoch += self.batch
        self.batch = self._begun = 0
