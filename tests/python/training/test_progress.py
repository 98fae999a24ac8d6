"""Epochs, batches, steps: a wrong count names files wrongly and resumes at the wrong place."""

from kerascheckpoint.training.progress import Progress


def run_epoch(progress, epoch, batches, span=1):
    progress.begin_epoch(epoch)
    for index in range(span - 1, batches + span - 1, span):
        progress.end_batch(index)


def test_counters_in_the_middle_and_at_the_end_of_epochs():
    progress = Progress(epoch_steps=4)
    run_epoch(progress, 0, 2)
    assert progress.counters(epoch_done=False) == {"epoch": 1, "batch": 2, "step": 2}
    assert (progress.epoch, progress.batch, progress.step) == (0, 2, 2)
    progress.end_batch(2)
    progress.end_batch(3)
    progress.end_epoch(0)
    assert progress.counters(epoch_done=True) == {"epoch": 1, "batch": 4, "step": 4}
    assert (progress.epoch, progress.batch, progress.step) == (1, 0, 4)
    run_epoch(progress, 1, 1)
    assert progress.counters(epoch_done=False) == {"epoch": 2, "batch": 1, "step": 5}


def test_several_steps_per_execution_do_not_count_beyond_the_epoch():
    progress = Progress(epoch_steps=10)
    run_epoch(progress, 0, 10, span=4)
    assert (progress.batch, progress.step) == (10, 10)


def test_a_resumed_run_passes_its_done_batches_once_more_and_counts_on():
    progress = Progress.after(epoch=2, batch=3, step=11)
    progress.begin_epoch(2)
    for index in range(3):
        progress.end_batch(index)
    assert (progress.epoch, progress.batch, progress.step) == (2, 3, 11)
    progress.end_batch(3)
    assert progress.step == 12


def test_a_custom_loop_that_announces_no_epoch_still_counts_every_step():
    progress = Progress()
    for _ in range(2):
        for index in range(3):
            progress.end_batch(index)
    assert progress.step == 6
    assert progress.batch == 3


def test_a_fit_that_trains_nothing_names_its_file_by_the_first_epoch():
    assert Progress().counters(epoch_done=True) == {"epoch": 1, "batch": 0, "step": 0}
