# With keras3, callbacks written in R go on where they stopped.

skip_without_keras3 <- function() {
  skip_without_keras()
  skip_if_not_installed("keras3")
}

constant_model <- function() {
  new_model(kernel_initializer = reticulate::import("keras")$initializers$Constant(.1))
}

# Lowers the learning rate at every second epoch; the two methods make it go on counting.
new_counter <- function() {
  counter <- keras3::Callback(
    "Counter",
    initialize = function() self$seen <- 0,
    on_epoch_end = function(epoch, logs = NULL) {
      self$seen <- self$seen + 1
      if (self$seen %% 2 == 0) {
        optimizer <- self$model$optimizer
        optimizer$learning_rate <- as.numeric(optimizer$learning_rate) / 2
      }
    },
    state_dict = function() list(seen = self$seen),
    load_state_dict = function(state) {
      self$seen <- state$seen
      invisible()
    }
  )
  counter()
}

test_that("callbacks of keras3 and of the user's go on, before ours and behind", {
  skip_without_keras3()
  kinds <- list(
    early_stopping = function() {
      keras3::callback_early_stopping("loss", patience = 9, restore_best_weights = TRUE)
    },
    plateau = function() {
      keras3::callback_reduce_lr_on_plateau("loss", patience = 1, min_delta = 10, factor = .5)
    },
    of_the_user = new_counter
  )
  for (kind in names(kinds)) {
    for (behind in c(FALSE, TRUE)) {
      directory <- local_directory(paste0(kind, behind))
      run <- function(name, epochs) {
        path <- file.path(directory, name, "{epoch}.keras")
        ours <- callback_model_checkpoint(path, "loss", resume = TRUE)
        other <- kinds[[kind]]()
        model <- constant_model()
        both <- if (behind) list(ours, other) else list(other, ours)
        history <- do.call(train, c(list(model), both, epochs = epochs))
        list(loss = history$metrics$loss, rate = as.numeric(model$optimizer$learning_rate))
      }
      run("run", 2)
      expect_identical(run("run", 4), run("whole", 4), label = paste(kind, behind))
    }
  }
})

test_that("a run that early stopping has ended is finished", {
  skip_without_keras3()
  path <- file.path(local_directory(), "{epoch}.keras")
  again <- function() {
    stopping <- keras3::callback_early_stopping("loss", patience = 0, min_delta = 10, baseline = 0)
    ours <- callback_model_checkpoint(path, "loss", resume = TRUE)
    train(constant_model(), ours, stopping, epochs = 9)
  }
  first <- again()
  expect_lt(length(first$metrics$loss), 9)
  expect_warning(second <- again(), "a callback ended the run there")
  expect_identical(second$metrics$loss, first$metrics$loss)
})
