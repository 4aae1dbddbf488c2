// The file that a trained network travels in: weights, classes, and how pictures are to be given to it.
// Knows neither training nor the command line.
#pragma once

#include <string>

#include "classes.h"
#include "encnet_lite.h"

/// What pictures become for the network: (x / 255 - mean) / std, RGB.
inline const std::vector<double> kMean = {0.41, 0.42, 0.43}, kStd = {0.30, 0.31, 0.30};
/// u8 or f32 [N, 3, H, W], 0..255 -> f32.
weft::Tensor normalised(const weft::Tensor& x);

struct Model {
  EncNetLite net;
  Classes classes;
  int64_t shorter_side = 0;  ///< of the pictures that it has learned on
};

/// Writes weights in f32, or with `half` all but norms and biases in f16. `command`: what made it, for the metadata.
void save_model(const Model& model, const std::string& path, bool half, const std::string& command);
/// IoError or ValueError, with the file's name, for what is no such model.
Model load_model(const std::string& path, weft::Device device);
/// Takes the weights of a model of other classes, but for layers that depend on the classes.
void start_from(EncNetLite& net, const std::string& path);
