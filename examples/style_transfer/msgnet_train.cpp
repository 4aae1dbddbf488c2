#include "msgnet_train.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <numbers>

#include "../common/interrupt.h"
#include "../common/ranks.h"
#include "loss.h"
#include "msgnet_apply.h"

using namespace weft;

namespace {

Tensor reversed(const Tensor& x) { return flip(x, {1}); }  // RGB <-> BGR

/// The losses of all steps, a part of the checkpoint.
struct History {
  std::vector<Losses> rows;

  StateDict state_dict() const {
    std::vector<double> values;
    for (const Losses& l : rows) values.insert(values.end(), {l.total, l.content, l.style});
    StateDict dict;
    dict.insert("rows", tensor(values, Shape{static_cast<int64_t>(rows.size()), 3}));
    return dict;
  }
  void load_state_dict(const StateDict& dict) {
    const std::vector<double> values = dict.at("rows").to_vector<double>();
    rows.clear();
    for (size_t i = 0; i + 2 < values.size(); i += 3) rows.push_back({values[i], values[i + 1], values[i + 2]});
  }
};

using Pieces = data::Loader<data::Repeat<Photos>>;

/// Batches of pieces, all full; an epoch has each photo many times, for the workers start anew in each.
Pieces pieces(const Photos& photos, const TrainOptions& o, const Ranks& ranks) {
  const int64_t least = photos.size() * o.batch, times = o.batch * ((1000 + least - 1) / least);
  return Pieces(data::repeat(photos, times), ranks.shared({.batch_size = ranks.share(o.batch),
                                                           .shuffle = o.augment,
                                                           .workers = static_cast<int>(o.workers),
                                                           .seed = o.seed}));
}

/// All that a run is, between two steps.
class Training {
 public:
  Training(const Vgg& vgg, const Photos& photos, const std::vector<Style>& styles, const TrainOptions& o, Ranks& ranks)
      : vgg_(vgg), o_(o), ranks_(ranks), loader_(pieces(photos, o, ranks)), net_(first_net(styles, o)) {
    ranks_.train(net_);
    start_adam();
    for (const Style& s : styles) {
      names_.push_back(s.name);
      bgr_.push_back(reversed(s.picture).to(o.device));
      targets_.emplace_back(vgg, s.picture.to(o.device));
    }
  }

  int64_t done() const { return done_; }
  const std::vector<Losses>& losses() const { return history_.rows; }

  Losses step() {
    // Gradients have another size from here on: the old ones' squares would let the first steps be far too long
    if (done_ == o_.reconstruct && done_ > 0) start_adam();
    adam_->set_lr(rate(done_), 0);
    const auto k = static_cast<size_t>(done_) % bgr_.size();
    const Tensor x = next_batch().to(o_.device);
    adam_->zero_grad();
    Losses parts{};
    const bool reconstruct = done_ < o_.reconstruct;
    Tensor total;
    {
      std::optional<Autocast> autocast;
      if (o_.dtype != Dtype::f32) autocast.emplace(o_.dtype, o_.device);
      net_.set_target(net_.gram(bgr_[k]));
      const Tensor y = reversed(net_(reversed(x)));
      total = reconstruct ? mse_loss(y, x) / (127.5 * 127.5) : loss(x, y, targets_[k], parts);
    }
    parts = {ranks_.mean(total.item<double>()), ranks_.mean(parts.content), ranks_.mean(parts.style)};
    WEFT_CHECK(std::isfinite(parts.total), ValueError, "train: the loss is ", parts.total, " at step ", done_ + 1,
               "; lower --lr");
    total.backward();
    if (o_.clip > 0) optim::clip_grad_norm(net_.parameters(), o_.clip);
    adam_->step();
    ++done_;
    if (!reconstruct) history_.rows.push_back(parts);
    return parts;
  }

  /// The network as it is, with its styles.
  StyleModel model() {
    NoGrad guard;
    StyleModel m{net_, names_, {}};
    for (const Tensor& s : bgr_) m.grams.push_back(net_.gram(s));
    return m;
  }

  void parts_of(training::Checkpoint& checkpoint) {
    checkpoint.add("net", net_).add("adam", *adam_).add("pieces", loader_).add("losses", history_).add("step", done_);
  }

 private:
  static MsgNet first_net(const std::vector<Style>& styles, const TrainOptions& o) {
    manual_seed(o.seed);
    MsgNet net(o.ngf, o.blocks);
    if (!o.init.empty()) {
      io::load(net, o.init);
    } else if (!o.published) {
      std::vector<Tensor> pictures;
      for (const Style& s : styles) pictures.push_back(reversed(s.picture));
      init_for_training(net, pictures);
    }
    net.to(o.device);
    return net;
  }

  Tensor next_batch() {
    std::optional<Tensor> batch = loader_.next();
    return batch ? *batch : loader_.next().value();  // behind the last one the next epoch begins
  }

  void start_adam() { adam_.emplace(net_.parameters(), optim::AdamOptions{.lr = o_.lr}); }

  /// Rises in the beginning, and again where the loss changes; then a cosine down to 1/50.
  double rate(int64_t step) const {
    if (o_.published) return o_.lr;
    const int64_t begin = step < o_.reconstruct ? 0 : o_.reconstruct;
    const double rise = std::min(1.0, static_cast<double>(step - begin + 1) / static_cast<double>(o_.warmup + 1));
    const double way = static_cast<double>(step) / static_cast<double>(o_.steps);
    return o_.lr * rise * (0.02 + 0.98 * 0.5 * (1 + std::cos(std::numbers::pi * std::min(way, 1.0))));
  }
  /// The style's weight rises too, so that the photo is not lost at once.
  double style_weight() const {
    if (o_.ramp == 0) return o_.style_weight;
    return o_.style_weight *
           std::min(1.0, static_cast<double>(done_ - o_.reconstruct + 1) / static_cast<double>(o_.ramp));
  }

  Tensor loss(const Tensor& x, const Tensor& y, const StyleTarget& target, Losses& parts) const {
    Tensor fx;
    {
      NoGrad guard;
      fx = vgg_(x, kContentTap).at(kContentTap);
    }
    const auto fy = vgg_(y);
    Tensor content = mse_loss(fy.at(kContentTap), fx), style;
    if (o_.relative) {
      content = content / mean(square(fx));
      style = target.relative_error(fy);
    } else {
      style = target.error(fy);
    }
    content = content * o_.content_weight;
    style = style * style_weight();
    parts.content = content.item<double>();
    parts.style = style.item<double>();
    Tensor total = content + style;
    return o_.tv_weight > 0 ? total + total_variation(y) * o_.tv_weight : total;
  }

  const Vgg& vgg_;
  const TrainOptions& o_;
  Ranks& ranks_;
  Pieces loader_;
  MsgNet net_;
  std::optional<optim::Adam> adam_;
  std::vector<std::string> names_;
  std::vector<Tensor> bgr_;
  std::vector<StyleTarget> targets_;
  int64_t done_ = 0;
  History history_;
};

/// At most 400 rows, each the mean of its neighbours.
std::vector<Losses> averaged(const std::vector<Losses>& rows) {
  const size_t width = (rows.size() + 399) / 400;
  std::vector<Losses> out;
  for (size_t i = 0; i < rows.size(); i += width) {
    Losses sum{};
    const size_t end = std::min(rows.size(), i + width);
    for (size_t j = i; j < end; ++j)
      sum.total += rows[j].total, sum.content += rows[j].content, sum.style += rows[j].style;
    const auto n = static_cast<double>(end - i);
    out.push_back({sum.total / n, sum.content / n, sum.style / n});
  }
  return out;
}

/// The mean of `lattice` over the photos, by style; none for photos that are too small.
std::vector<double> lattices(const StyleModel& model, const std::vector<Tensor>& photos) {
  std::vector<double> out;
  if (photos.empty() || photos.front().size(2) <= 64) return out;
  MsgNet net = model.net;
  for (const Tensor& G : model.grams) {
    double sum = 0;
    for (const Tensor& photo : photos) sum += lattice(paint(net, G, io::batch_to_image(photo), int64_t{1} << 30));
    out.push_back(sum / static_cast<double>(photos.size()));
  }
  return out;
}

}  // namespace

std::string checkpoints_of(const std::string& out) {
  return std::filesystem::path(out).replace_extension(".checkpoints").string();
}

void save_contact_sheet(const StyleModel& model, const std::vector<Tensor>& photos, const std::vector<Tensor>& styles,
                        const std::string& path) {
  NoGrad guard;
  constexpr int64_t kGap = 6;
  const int64_t side = photos.front().size(2);
  auto cell = [&](const Tensor& picture) { return io::resize_image(io::batch_to_image(picture), side, side); };
  std::vector<Tensor> rows;
  auto add_row = [&](const std::vector<Tensor>& cells) {
    std::vector<Tensor> row;
    for (const Tensor& c : cells) {
      if (!row.empty()) row.push_back(full({side, kGap, 3}, 255, Dtype::u8));
      row.push_back(c);
    }
    Tensor joined = cat(row, 1);
    if (!rows.empty()) rows.push_back(full({kGap, joined.size(1), 3}, 255, Dtype::u8));
    rows.push_back(joined);
  };
  std::vector<Tensor> head = {full({side, side, 3}, 255, Dtype::u8)};
  for (const Tensor& s : styles) head.push_back(cell(s));
  add_row(head);
  MsgNet net = model.net;
  for (const Tensor& photo : photos) {
    std::vector<Tensor> cells = {cell(photo)};
    for (const Tensor& G : model.grams) {
      net.set_target(G);
      cells.push_back(cell(reversed(net(reversed(photo.to(G.device())))).to(Device())));
    }
    add_row(cells);
  }
  io::write_image(cat(rows, 0), path);
}

Trained train(const Vgg& vgg, const Photos& photos, const std::vector<Tensor>& held_out,
              const std::vector<Style>& styles, const TrainOptions& o) {
  Ranks ranks;
  Training training(vgg, photos, styles, o, ranks);
  const std::string folder = checkpoints_of(o.out);
  training::Checkpoint checkpoint(folder, {.keep_last = 2});
  training.parts_of(checkpoint);
  if (o.resume) WEFT_CHECK(checkpoint.resume(), IoError, folder, ": holds no checkpoint; leave out --resume to begin");
  else WEFT_CHECK(!checkpoint.latest(), ValueError, folder, ": holds checkpoints; --resume goes on, or remove them");
  std::vector<Tensor> style_pictures;
  for (const Style& s : styles) style_pictures.push_back(s.picture);

  InterruptFlag flag;
  io::Progress bar("train", o.steps, {.done_before = training.done()});
  const auto start = std::chrono::steady_clock::now();
  auto save = [&] {
    checkpoint.save(training.done());
    const StyleModel model = training.model();
    save_style_model(model, o.out, o.command);
    if (!o.sheet.empty() && !held_out.empty()) save_contact_sheet(model, held_out, style_pictures, o.sheet);
    if (!o.curve.empty() && !training.losses().empty()) save_curve(averaged(training.losses()), o.curve);
  };
  double shown = NAN;  // a mean, since styles take turns
  while (training.done() < o.steps && !ranks.any(flag.raised()) && (o.stop_at == 0 || training.done() < o.stop_at)) {
    const double loss = training.step().total;
    shown = std::isnan(shown) || training.done() == o.reconstruct + 1 ? loss : 0.95 * shown + 0.05 * loss;
    if (ranks.writes() && bar.shown()) bar.update(training.done(), "loss " + str(shown));
    if (o.every > 0 && training.done() % o.every == 0 && training.done() < o.steps) ranks.alone(save);
  }
  ranks.alone(save);
  if (ranks.writes()) checkpoint.wait();
  return {.steps = training.done(),
          .losses = training.losses(),
          .lattices = lattices(training.model(), held_out),
          .seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          .finished = training.done() >= o.steps};
}
