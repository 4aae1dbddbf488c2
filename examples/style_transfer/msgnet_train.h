// Training MSG-Net: the loss, the steps, checkpoints and the contact sheet.
// Knows nothing of the command line.
#pragma once

#include <string>
#include <vector>

#include "msgnet.h"
#include "photos.h"
#include "picture.h"
#include "vgg.h"

struct TrainOptions {
  int64_t ngf = 32, blocks = 3;
  int64_t steps = 10000, batch = 2, size = 128, style_size = 512, style_crop = 320;
  /// Steps in the beginning that only learn to give the photo back: they need no features and are cheap.
  int64_t reconstruct = 200;
  double lr = 1e-3;
  int64_t warmup = 50;  ///< steps in which the rate rises; it falls as a cosine to the last step
  int64_t ramp = 400;   ///< steps after the reconstruction in which the style's weight rises
  double clip = 2;      ///< of the gradient's norm; 0: none
  double content_weight = 2, style_weight = 15, tv_weight = 0.01;
  bool relative = true;    ///< errors in units of the targets' own size; otherwise as published
  bool published = false;  ///< PyTorch's first values instead of init_for_training, no warm-up, one rate
  bool augment = true;     ///< random pieces of the photos; otherwise the photos in turn
  int64_t workers = 1;     ///< threads that cut pieces
  weft::Dtype dtype = weft::Dtype::f32;
  uint64_t seed = 1;
  weft::Device device = "cpu";
  int64_t every = 500;  ///< steps between checkpoints and contact sheets
  int64_t stop_at = 0;  ///< end after this step as Ctrl-C does; 0: never
  bool resume = false;  ///< go on from the newest checkpoint
  std::string init;     ///< weights to begin with instead of random ones
  std::string out = "model.safetensors", sheet, curve;
  std::string command;  ///< kept in the file
};

/// A picture to learn the style of.
struct Style {
  std::string name;
  weft::Tensor picture;  ///< [1, 3, H, W], RGB
};

struct Trained {
  int64_t steps = 0;  ///< done, those of earlier runs included
  std::vector<Losses> losses;
  std::vector<double> lattices;  ///< of the held-out photos, by style
  double seconds = 0;
  bool finished = false;
};

/// Trains, and writes the model, a checkpoint (into the folder `checkpoints_of(out)`), the contact sheet (`held_out`
/// down, styles across) and the curve, every so many steps, when interrupted, and at the end.
Trained train(const Vgg& vgg, const Photos& photos, const std::vector<weft::Tensor>& held_out,
              const std::vector<Style>& styles, const TrainOptions& o);

/// The photos [1, 3, S, S] down, the styles across, each photo in each style.
void save_contact_sheet(const StyleModel& model, const std::vector<weft::Tensor>& photos,
                        const std::vector<weft::Tensor>& styles, const std::string& path);

/// "model.safetensors" -> "model.checkpoints", a folder.
std::string checkpoints_of(const std::string& out);
