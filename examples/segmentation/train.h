// Training: the loss, the steps, and what a run leaves in its folder.
// Knows no command line.
#pragma once

#include <string>

#include "batches.h"
#include "evaluate.h"
#include "source.h"

struct TrainOptions {
  int64_t steps = 2000;
  int64_t batch = 8;       ///< of all ranks together
  int64_t accumulate = 1;  ///< batches whose gradients make one step
  double lr = 0.05, momentum = 0.9, weight_decay = 5e-4, power = 0.9;
  int64_t warmup = 50;
  double se_weight = 0.2;     ///< of the loss of which classes are there
  bool class_weights = true;  ///< 1 / ln(1.1 + share of the class), so that rare ones count more
  BatchOptions batches;       ///< classes and ignore_index are the source's
  int64_t codes = 16;
  bool checkpoint_activations = false;
  RunOn on;
  uint64_t seed = 1;
  int workers = 1;
  bool skip_damaged = false;  ///< leave out what cannot be read, instead of stopping
  int64_t every = 100;        ///< steps between checkpoints
  int64_t eval_every = 500;   ///< steps between evaluations; 0: at the end only
  int64_t stop_at = 0;        ///< end after this step as Ctrl-C does; 0: never
  bool resume = false;        ///< go on from the newest checkpoint
  bool force = false;         ///< begin again where there is a run already
  bool half = false;          ///< the model's file in f16
  std::string init;           ///< a model to begin with
  std::string out = "run";    ///< folder
  std::string command;        ///< kept in the model's file
};

struct TrainResult {
  int64_t steps = 0;
  bool finished = false;
  std::string scores;  ///< of the held-out pictures, at the end
  double seconds = 0;
};

/// Trains on `source`'s split "train" and evaluates on "val". Writes into the folder: checkpoints, log.csv and events
/// of TensorBoard, and at the end model.safetensors, samples.png, confusion.png and report.html.
TrainResult train(const Source& source, const TrainOptions& o);
