#include "train.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <numbers>

#include "../common/interrupt.h"
#include "../common/ranks.h"
#include "../common/settings.h"

using namespace weft;

namespace {

/// H and W change places in half of the patches; patches that are no squares in the plane stay as they are.
void transpose_plane(data::View& v, Generator& g) {
  if (g.uniform() < 0.5 || v.image.size(2) != v.image.size(3)) return;
  v.image = v.image.transpose(2, 3);
  v.mask = v.mask.transpose(1, 2);
}

/// Random patches of all volumes, turned and normalised.
auto patches(const std::vector<Labelled>& volumes, const TrainOptions& o) {
  constexpr int64_t kEpoch = 1024;  // patches: the order of resumed runs must not depend on their length
  std::vector<data::VolumePatches> sets;
  data::VolumePatchesOptions po{.size = {o.patch[0], o.patch[1], o.patch[2]},
                                .count = kEpoch / std::ssize(volumes) * o.batch};
  if (o.balanced) po.around = {-1, 1};
  for (const Labelled& v : volumes) sets.emplace_back(v.image, v.membrane, po);
  return data::map(data::concat(sets),
                   data::Compose(data::RandomFlip3d{}, data::AnyTransform("RandomTranspose", transpose_plane),
                                 data::AnyTransform("Normalize", [mean = o.mean, std = o.std](const Tensor& x) {
                                   return (x.to(Dtype::f32) - mean) / std;
                                 })));
}

/// What decides the bits of a run. (With another --steps it goes on by another schedule.)
Settings settings_of(const std::vector<Labelled>& volumes, const TrainOptions& o) {
  uint64_t bytes = fingerprint("", 0);
  for (const Labelled& v : volumes)
    for (const Tensor& t : {v.image.contiguous(), v.membrane.contiguous()})
      bytes = fingerprint(t.raw_data(), t.nbytes(), bytes);
  Settings s;
  s.add("width", o.width).add("patch", str(o.patch[0], " x ", o.patch[1], " x ", o.patch[2])).add("batch", o.batch);
  s.add("accumulate", o.accumulate).add("lr", o.lr).add("warmup", o.warmup).add("weight-decay", o.weight_decay);
  s.add("pos-weight", o.pos_weight).add("dice-weight", o.dice_weight).add("balanced", o.balanced ? "yes" : "no");
  s.add("mean", o.mean).add("std", o.std).add("seed", o.seed).add("dtype", o.dtype);
  s.add("volumes", str(volumes.size(), " (voxels and labels: ", bytes % 1'000'000, ")"));
  return s;
}

/// All that a run is, between two steps.
class Training {
 public:
  Training(const std::vector<Labelled>& volumes, const TrainOptions& o, Ranks& ranks)
      : o_(o),
        ranks_(ranks),
        model_(first_model(o)),
        adam_(model_.net.parameters(), {.lr = o.lr, .weight_decay = o.weight_decay}),
        loader_(patches(volumes, o), ranks.shared({.batch_size = ranks.share(o.batch),
                                                   .shuffle = true,
                                                   .drop_last = true,
                                                   .workers = o.workers,
                                                   .seed = o.seed,
                                                   .pin_memory = o.device.type == DeviceType::cuda})),
        settings_(settings_of(volumes, o)),
        pos_weight_(full({1}, o.pos_weight).to(o.device)) {
    ranks_.train(model_.net);
  }

  void parts_of(training::Checkpoint& checkpoint) {
    checkpoint.add("settings", settings_)
        .add("model", model_.net)
        .add("optimizer", adam_)
        .add("loader", loader_)
        .add("bce", bce_)
        .add("dice", dice_);
  }
  Model& model() { return model_; }
  double bce() const { return bce_.compute(); }
  double dice() const { return dice_.compute(); }

  /// Step number `step`, from 0 on.
  void step(int64_t step, training::LogTarget* log) {
    ranks_.seed_step(o_.seed, step);
    adam_.set_lr(rate(step), 0);
    adam_.zero_grad();
    double bce = 0, dice = 0;
    for (int64_t i = 0; i < o_.accumulate; ++i) {
      auto batch = loader_.next();
      if (!batch) batch = loader_.next();  // the next epoch
      const Tensor x = batch->data.to(o_.device), truth = batch->target.to(o_.device).to(Dtype::f32).unsqueeze(1);
      const auto [b, d] = losses(logits(x), truth);
      bce += b.item<double>() / static_cast<double>(o_.accumulate);
      dice += d.item<double>() / static_cast<double>(o_.accumulate);
      ((b + d * o_.dice_weight) / static_cast<double>(o_.accumulate)).backward();
    }
    WEFT_CHECK(std::isfinite(bce + dice), ValueError, "train: the loss is ", bce + dice, " at step ", step + 1,
               "; lower --lr");
    adam_.step();
    bce = ranks_.mean(bce), dice = ranks_.mean(dice);
    bce_.update(bce), dice_.update(dice);
    if (!log) return;
    log->scalar("train/bce", bce, step + 1);
    log->scalar("train/dice_loss", dice, step + 1);
    log->scalar("lr", rate(step), step + 1);
  }

 private:
  static Model first_model(const TrainOptions& o) {
    manual_seed(o.seed);
    Model model{UNet3d(o.width), o.mean, o.std};
    model.net.checkpoint_activations = o.checkpoint_activations;
    model.net.to(o.device);
    return model;
  }

  Tensor logits(const Tensor& x) const {
    std::optional<Autocast> autocast;
    if (o_.dtype != Dtype::f32) autocast.emplace(o_.dtype, o_.device);
    return model_.net(x).to(Dtype::f32);
  }

  /// Cross entropy, and 1 - soft Dice of the whole batch.
  std::pair<Tensor, Tensor> losses(const Tensor& logits, const Tensor& truth) const {
    const Tensor p = sigmoid(logits);
    return {binary_cross_entropy_with_logits(logits, truth, {.pos_weight = pos_weight_}),
            1 - 2 * sum(p * truth) / (sum(p) + sum(truth) + 1e-4)};
  }

  double rate(int64_t step) const {
    const int64_t warmup = std::min(o_.warmup, o_.steps / 4);
    const double rise = warmup > 0 ? std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(warmup)) : 1;
    return o_.lr * rise * 0.5 *
           (1 + std::cos(std::numbers::pi * static_cast<double>(step) / static_cast<double>(o_.steps)));
  }

  const TrainOptions& o_;
  Ranks& ranks_;
  Model model_;
  optim::AdamW adam_;
  data::Loader<decltype(patches({}, {}))> loader_;
  Settings settings_;
  Tensor pos_weight_;
  training::Ema bce_{0.95}, dice_{0.95};
};

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

Trained train(const std::vector<Labelled>& volumes, const Labelled& held_out, const TrainOptions& o) {
  Ranks ranks;
  Training run(volumes, o, ranks);
  training::Checkpoint checkpoint(o.out + "/checkpoints", {.keep_last = 2});
  run.parts_of(checkpoint);
  std::optional<int64_t> resumed;
  if (o.resume) {
    resumed = checkpoint.resume();
    WEFT_CHECK(resumed, IoError, o.out, ": there is no checkpoint to go on from");
    WEFT_CHECK(*resumed <= o.steps, ValueError, o.out, ": has ", *resumed, " steps already, more than --steps ",
               o.steps);
  } else {
    WEFT_CHECK(!checkpoint.latest(), IoError, o.out, ": has a run already; go on with --resume or name another folder");
  }
  std::optional<training::CsvLog> log;
  if (ranks.writes()) log.emplace(o.out + "/log.csv", training::LogOptions{resumed});

  InterruptFlag flag;
  Trained result;
  int64_t done = resumed.value_or(0);
  const auto evaluate_and_save = [&] {  // on rank 0
    result.held_out = evaluate(run.model(), Stack(held_out.image, "held-out slices"), held_out.membrane, o.tiles);
    if (resumed && done == *resumed) return;  // it stands in the log, and in the files
    const Evaluation& e = result.held_out;
    log->scalar("held_out/dice", e.dice(), done);
    log->scalar("held_out/iou", e.iou(), done);
    log->scalar("held_out/accuracy", e.matrix.accuracy(), done);
    checkpoint.save(done, {.metric = e.dice()});
    io::write_image(e.picture, o.out + "/held-out.png");
    run.model().save(o.out + "/model.safetensors", o.command);
  };
  {
    io::Progress bar("train", o.steps, {.done_before = done});
    int64_t saved = -1;
    while (done < o.steps && !ranks.any(flag.raised()) && (o.stop_at == 0 || done < o.stop_at)) {
      const auto begin = std::chrono::steady_clock::now();
      const double cpu_begin = cpu_seconds();
      run.step(done, log ? &*log : nullptr);
      ++done;
      result.cpu_seconds += cpu_seconds() - cpu_begin;
      result.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      if (ranks.writes() && bar.shown()) bar.update(done, "loss " + str(run.bce() + run.dice()));
      if (done % o.every == 0) ranks.alone(evaluate_and_save), saved = done;
    }
    if (saved != done) ranks.alone(evaluate_and_save);
  }
  result.steps = done;
  result.bce = run.bce(), result.dice_loss = run.dice();
  result.finished = done >= o.steps;
  if (!ranks.writes()) return result;
  checkpoint.wait();
  training::ReportOptions report{.title = "Membranes in " + str(done) + " steps"};
  report.pictures.emplace_back("held-out slices | what is found | right (green), missing (blue), wrong (red)",
                               result.held_out.picture);
  report.texts = {{"Held-out slices", result.held_out.matrix.str()}, {"Command", o.command}};
  training::write_report(o.out + "/report.html", o.out + "/log.csv", report);
  return result;
}
