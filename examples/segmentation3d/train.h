// Training the network on patches: the steps, their log, checkpoints and the report. Knows nothing of the command line.
#pragma once

#include <string>
#include <vector>

#include "evaluate.h"

/// A volume to learn on: [D, H, W] of any real dtype, and u8 of its membranes.
struct Labelled {
  weft::Tensor image, membrane;
};

struct TrainOptions {
  int64_t width = 16;
  std::array<int64_t, 3> patch = {8, 96, 96};  ///< H and W are multiples of 4
  int64_t steps = 240, batch = 1;
  int64_t accumulate = 1;  ///< batches whose gradients are added for one step
  double lr = 2e-3;        ///< rises for `warmup` steps, times a cosine that falls to 0
  int64_t warmup = 20;
  double weight_decay = 1e-4, pos_weight = 1.5, dice_weight = 1;
  bool balanced = false;  ///< every second patch has a membrane at its middle
  double mean = 125, std = 60;
  uint64_t seed = 1;
  int workers = 0;
  weft::Device device = "cpu";
  weft::Dtype dtype = weft::Dtype::f32;
  bool checkpoint_activations = false;
  int64_t every = 60;   ///< steps between evaluations, which save too
  int64_t stop_at = 0;  ///< end after this step as Ctrl-C does; 0: never
  bool resume = false;
  std::string out;      ///< folder
  std::string command;  ///< kept in the model's file
  TileOptions tiles;    ///< of evaluations
};

struct Trained {
  int64_t steps = 0;              ///< done, those of earlier runs included
  double bce = 0, dice_loss = 0;  ///< of the last steps
  Evaluation held_out;
  double seconds = 0, cpu_seconds = 0;  ///< of the steps alone
  bool finished = false;
};

/// Trains, and writes into `out`: checkpoints/, log.csv, held-out.png, model.safetensors and report.html.
Trained train(const std::vector<Labelled>& volumes, const Labelled& held_out, const TrainOptions& o);
