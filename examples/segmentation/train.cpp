#include "train.h"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "../common/interrupt.h"
#include "../common/ranks.h"
#include "../common/settings.h"
#include "pictures.h"

using namespace weft;
namespace fs = std::filesystem;

namespace {

/// Two groups: weights decay, norms and biases do not.
std::vector<optim::SGD::Group> parameter_groups(const EncNetLite& net, const TrainOptions& o) {
  std::vector<Tensor> decay, no_decay;
  for (const Tensor& p : net.parameters()) (p.rank() > 1 ? decay : no_decay).push_back(p);
  const optim::SGDOptions options{.lr = o.lr, .momentum = o.momentum, .weight_decay = o.weight_decay};
  optim::SGDOptions plain = options;
  plain.weight_decay = 0;
  return {{decay, options}, {no_decay, plain}};
}

/// [classes], mean 1: 1 / ln(1.1 + share of the pixels).
Tensor class_weights(const Pictures& pictures, const Classes& classes, bool skip) {
  std::vector<double> pixels(static_cast<size_t>(classes.size()));
  io::Progress bar("count classes", pictures.size());
  int64_t damaged = 0;
  for (int64_t i = 0; i < pictures.size(); ++i) {
    bar.update(i + 1);
    try {
      const Tensor mask = pictures.get(i).target.contiguous();
      for (const int64_t label : std::span(mask.data<int64_t>(), static_cast<size_t>(mask.numel())))
        if (label >= 0 && label < classes.size()) ++pixels[static_cast<size_t>(label)];
    } catch (const IoError&) {
      if (!skip || ++damaged == pictures.size()) throw;  // the loader tells of others
    }
  }
  double all = 0, sum = 0;
  for (const double n : pixels) all += n;
  WEFT_CHECK(all > 0, ValueError, "the masks for training have no pixel of any class");
  for (double& n : pixels) sum += n = 1 / std::log(1.1 + n / all);
  for (double& n : pixels) n *= static_cast<double>(classes.size()) / sum;
  return tensor(pixels, Dtype::f32);
}

/// The shape of the first picture that can be read. IoError where none can.
Shape first_readable(const Pictures& pictures, bool skip) {
  for (int64_t i = 0;; ++i) try {
      return pictures.get(i).data.shape();
    } catch (const IoError&) {
      if (!skip || i + 1 == pictures.size()) throw;
    }
}

/// What decides the bits of a run. (With another --steps it goes on by another schedule.)
Settings settings_of(const Source& source, const TrainOptions& o, const Pictures& pictures) {
  const BatchOptions& b = o.batches;
  uint64_t names = fingerprint("", 0);
  for (int64_t i = 0; i < pictures.size(); ++i) {
    const std::string name = fs::path(data::sample_name(pictures, i)).filename().string();
    names = fingerprint(name.data(), name.size() + 1, names);
  }
  Settings s;
  s.add("batch", o.batch).add("accumulate", o.accumulate).add("lr", o.lr).add("momentum", o.momentum);
  s.add("weight-decay", o.weight_decay).add("warmup", o.warmup).add("se-weight", o.se_weight);
  s.add("class weights", o.class_weights ? "yes" : "no")
      .add("codes", o.codes)
      .add("init", o.init.empty() ? "none" : o.init);
  s.add("crop", str(b.crop.height, " x ", b.crop.width)).add("scale", str(b.scale.low, " to ", b.scale.high));
  s.add("jitter", b.jitter).add("size", source.size_text()).add("seed", o.seed).add("dtype", o.on.dtype);
  s.add("classes", source.classes().size()).add("pictures", str(pictures.size(), " (list ", names % 10000, ")"));
  return s;
}

using BatchLoader = data::Loader<Pictures, MakeBatch>;

/// All that changes from step to step.
class Training {
 public:
  Training(const Source& source, const TrainOptions& o, Ranks& ranks)
      : o_(o),
        ranks_(ranks),
        classes_(source.classes()),
        pictures_(source.pictures("train")),
        net_(first_net(o, classes_.size(), ranks)),
        weights_(o.class_weights ? class_weights(pictures_, classes_, o.skip_damaged).to(o.on.device) : Tensor()),
        opt_(parameter_groups(net_, o)),
        schedule_(opt_, o.steps, std::min(o.warmup, o.steps / 4), o.power),
        settings_(settings_of(source, o, pictures_)),
        loader_(pictures_,
                ranks.shared(
                    {.batch_size = ranks.share(o.batch),
                     .shuffle = true,
                     .drop_last = true,
                     .workers = o.workers,
                     .seed = o.seed,
                     .pin_memory = o.on.device != Device(),
                     .on_error = o.skip_damaged ? data::OnError::skip : data::OnError::raise,
                     .on_skip = [](const std::string& e) { std::cerr << "segmentation: skipped: " << e << '\n'; }}),
                MakeBatch(batch_options())) {
    ranks_.train(net_);
    WEFT_CHECK(loader_.size() > 0, ValueError, pictures_.size(),
               pictures_.size() == 1 ? " picture is" : " pictures are", " less than a batch of ", o.batch,
               "; lower --batch");
  }

  void parts_of(training::Checkpoint& checkpoint) {
    checkpoint.add("settings", settings_).add("model", net_).add("optimizer", opt_).add("schedule", schedule_);
    checkpoint.add("generator", default_generator()).add("loader", loader_);
    checkpoint.add("loss", loss_).add("ce", ce_).add("se", se_);
  }

  /// Step number `number`, from 0 on; its loss.
  double step(int64_t number) {
    ranks_.seed_step(o_.seed, number);
    opt_.zero_grad();
    double total = 0;
    for (int64_t i = 0; i < o_.accumulate; ++i) {
      const Batch batch = next_batch();
      const Tensor target = batch.target.to(o_.on.device);
      Segmented out;
      {
        std::optional<Autocast> autocast;
        if (o_.on.dtype != Dtype::f32) autocast.emplace(o_.on.dtype, o_.on.device);
        out = net_(batch.image.to(o_.on.device));
      }
      const Tensor ce = cross_entropy(out.scores.to(Dtype::f32), target,
                                      {.weight = weights_, .ignore_index = classes_.ignore_index});
      const Tensor se = binary_cross_entropy_with_logits(out.presence.to(Dtype::f32), batch.presence.to(o_.on.device));
      const Tensor loss = (ce + se * o_.se_weight) / static_cast<double>(o_.accumulate);
      loss.backward();
      total += loss.item<double>();
      ce_.update(ce.item<double>());
      se_.update(se.item<double>());
    }
    opt_.step();
    schedule_.step();
    total = ranks_.mean(total);
    loss_.update(total);
    return total;
  }

  /// Writes the means since the last call.
  void log_means(training::Log& log, int64_t step) {
    for (auto& [name, mean] :
         {std::pair{"train/loss", &loss_}, {"train/cross entropy", &ce_}, {"train/presence", &se_}}) {
      log.scalar(name, mean->compute(), step);
      mean->reset();
    }
    log.scalar("lr", opt_.lr(), step);
  }

  EncNetLite& net() { return net_; }
  const Classes& classes() const { return classes_; }
  int64_t shorter_side() const {
    const Shape shape = first_readable(pictures_, o_.skip_damaged);
    return std::min(shape[1], shape[2]);
  }
  std::string words() const { return settings_.words(); }

 private:
  BatchOptions batch_options() const {
    BatchOptions b = o_.batches;
    b.classes = classes_.size();
    b.ignore_index = classes_.ignore_index;
    return b;
  }
  static EncNetLite first_net(const TrainOptions& o, int64_t classes, const Ranks& ranks) {
    manual_seed(o.seed);
    EncNetLite net({.classes = classes, .codes = o.codes, .group = ranks.group()});
    if (!o.init.empty()) start_from(net, o.init);
    net.to(o.on.device);
    net.checkpoint_activations(o.checkpoint_activations);
    return net;
  }
  Batch next_batch() {
    auto batch = loader_.next();
    if (!batch) batch = loader_.next();  // the next epoch
    WEFT_CHECK(batch, IoError, "no picture of a whole epoch can be read");
    return std::move(*batch);
  }

  const TrainOptions& o_;
  Ranks& ranks_;
  Classes classes_;
  Pictures pictures_;
  EncNetLite net_;
  Tensor weights_;
  optim::SGD opt_;
  optim::WarmupPolyLR schedule_;
  Settings settings_;
  BatchLoader loader_;
  training::Mean loss_, ce_, se_;
};

/// What the run leaves behind besides its log.
void write_results(Training& training, const Pictures& held_out, const training::ConfusionMatrix& matrix,
                   const TrainOptions& o) {
  const fs::path out(o.out);
  const Tensor samples = examples_sheet(training.net(), training.classes(), held_out, 4, o.on, o.skip_damaged);
  const Tensor confusion = confusion_picture(matrix, training.classes());
  io::write_image(samples, (out / "samples.png").string());
  io::write_image(confusion, (out / "confusion.png").string());
  training::ReportOptions report{.title = "Segmentation: " + o.out};
  report.texts = {{"Held-out pictures", matrix.str() + "mIoU " + str(matrix.mean_iou())},
                  {"Settings", training.words()}};
  report.pictures = {{"photo, truth, prediction", samples},
                     {"confusion: truth down, prediction across, in %", confusion}};
  training::write_report((out / "report.html").string(), (out / "log.csv").string(), report);
}

}  // namespace

TrainResult train(const Source& source, const TrainOptions& o) {
  const fs::path out(o.out), checkpoints = out / "checkpoints";
  std::error_code none;
  const bool there = fs::exists(checkpoints, none) && !fs::is_empty(checkpoints, none);
  WEFT_CHECK(o.resume || o.force || !there, IoError, o.out,
             ": holds a run already; --resume goes on with it, --force begins again");
  WEFT_CHECK(!o.resume || there, IoError, o.out, ": holds no run to go on with; leave out --resume");
  Ranks ranks;
  ranks.alone([&] {
    if (!o.resume && there) fs::remove_all(checkpoints);
  });
  Training training(source, o, ranks);
  const Pictures held_out = source.pictures("val");
  first_readable(held_out, o.skip_damaged);  // rather now than after the training
  training::Checkpoint checkpoint(checkpoints.string(), {.keep_last = 2});
  training.parts_of(checkpoint);
  const std::optional<int64_t> resumed = o.resume ? checkpoint.resume() : std::nullopt;
  int64_t done = resumed.value_or(0);
  WEFT_CHECK(done <= o.steps, ValueError, o.out, ": has ", done, " steps already, more than --steps ", o.steps);
  if (resumed) std::cout << "going on at step " << done << '\n';
  training::Log log;
  if (ranks.writes()) {
    log.add(training::CsvLog((out / "log.csv").string(), {resumed}));
    log.add(training::TensorBoardLog(o.out, {resumed}));
  }

  const auto start = std::chrono::steady_clock::now();
  std::optional<training::ConfusionMatrix> matrix;
  int64_t measured = -1;      // the step whose weights `matrix` is of
  const auto measure = [&] {  // on rank 0
    matrix = evaluate(training.net(), training.classes(), held_out, o.on, o.skip_damaged);
    measured = done;
    if (resumed && done == *resumed) return;  // it stands in the log
    log.scalar("val/mIoU", matrix->mean_iou(), done);
    log.scalar("val/pixel accuracy", matrix->accuracy(), done);
  };
  const auto save = [&] {
    checkpoint.save(done, {.metric = measured == done ? std::optional(matrix->mean_iou()) : std::nullopt});
  };
  InterruptFlag flag;
  {
    io::Progress bar("train", o.steps, {.done_before = done});
    training::Ema shown(0.95);
    while (done < o.steps && !ranks.any(flag.raised()) && (o.stop_at == 0 || done < o.stop_at)) {
      const double loss = training.step(done);
      ++done;
      WEFT_CHECK(std::isfinite(loss), ValueError, "train: the loss is ", loss, " at step ", done, "; lower --lr");
      shown.update(loss);
      if (ranks.writes() && bar.shown()) bar.update(done, "loss " + str(shown.compute()));
      if (done % 10 == 0 || done == o.steps) training.log_means(log, done);
      if (done < o.steps && o.eval_every > 0 && done % o.eval_every == 0) ranks.alone(measure);
      if (done < o.steps && done % o.every == 0) ranks.alone(save);
    }
    if (ranks.writes()) bar.update(done, "loss " + str(shown.compute()));
  }
  TrainResult result;
  result.steps = done;
  result.finished = done >= o.steps;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ranks.alone([&] {
    if (result.finished) {
      measure();
      result.scores = summary(*matrix);
    }
    if (!resumed || done > *resumed) save();
    checkpoint.wait();
    if (!result.finished) return;
    std::cout << *matrix;
    save_model({training.net(), training.classes(), training.shorter_side()}, (out / "model.safetensors").string(),
               o.half, o.command);
    write_results(training, held_out, *matrix, o);
  });
  return result;
}
