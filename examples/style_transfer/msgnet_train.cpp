#include "msgnet_train.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <numbers>

#include "interrupt.h"
#include "loss.h"

using namespace weft;

namespace {

Tensor reversed(const Tensor& x) { return flip(x, {1}); }  // RGB <-> BGR

/// All that a run is, between two steps.
class Training {
 public:
  Training(const Vgg& vgg, const Photos& photos, const std::vector<Style>& styles, const TrainOptions& o)
      : vgg_(vgg), photos_(photos), o_(o), generator_(o.seed), net_(first_net(styles, o)) {
    start_adam();
    for (const Style& s : styles) {
      names_.push_back(s.name);
      bgr_.push_back(reversed(s.picture).to(o.device));
      targets_.emplace_back(vgg, s.picture.to(o.device));
    }
  }

  int64_t done() const { return done_; }
  const std::vector<Losses>& losses() const { return losses_; }

  Losses step() {
    // Gradients have another size from here on: the old ones' squares would let the first steps be far too long
    if (done_ == o_.reconstruct && done_ > 0) start_adam();
    adam_->set_lr(rate(done_), 0);
    const auto k = static_cast<size_t>(done_) % bgr_.size();
    const Tensor x = (o_.augment ? photos_.random_batch(o_.batch, o_.size, generator_)
                                 : photos_.batch_in_turn(o_.batch, o_.size, done_))
                         .to(o_.device);
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
    parts.total = total.item<double>();
    WEFT_CHECK(std::isfinite(parts.total), ValueError, "train: the loss is ", parts.total, " at step ", done_ + 1,
               "; lower --lr");
    total.backward();
    if (o_.clip > 0) optim::clip_grad_norm(net_.parameters(), o_.clip);
    adam_->step();
    ++done_;
    if (!reconstruct) losses_.push_back(parts);
    return parts;
  }

  /// The network as it is, with its styles.
  StyleModel model() {
    NoGrad guard;
    StyleModel m{net_, names_, {}};
    for (const Tensor& s : bgr_) m.grams.push_back(net_.gram(s));
    return m;
  }

  void save(const std::string& path) const {
    StateDict file;
    file.merge(net_.state_dict(), "net");
    file.merge(adam_->state_dict(), "adam");
    std::vector<double> rows;
    for (const Losses& l : losses_) rows.insert(rows.end(), {l.total, l.content, l.style});
    file.insert("losses", tensor(rows, Shape{static_cast<int64_t>(losses_.size()), 3}));
    const Generator::State g = generator_.state();
    file.metadata["step"] = std::to_string(done_);
    file.metadata["generator"] = std::to_string(g.seed) + " " + std::to_string(g.offset);
    io::save(file, path);
  }

  void load(const std::string& path) {
    const StateDict file = io::load(path);
    auto text = [&](const std::string& key) {
      auto it = file.metadata.find(key);
      WEFT_CHECK(it != file.metadata.end(), ValueError, path, ": is no checkpoint: it has no '", key, "'");
      return it->second;
    };
    const std::string step = text("step"), generator = text("generator");
    try {
      net_.load_state_dict(file.child("net"));
      adam_->load_state_dict(file.child("adam"));
      size_t end = 0;
      done_ = std::stoll(step);
      Generator::State g;
      g.seed = std::stoull(generator, &end);
      g.offset = std::stoull(generator.substr(end));
      generator_.set_state(g);
    } catch (const std::exception& e) { raise<ValueError>(path, ": does not fit this training: ", e.what()); }
    const std::vector<double> rows = file.at("losses").to_vector<double>();
    for (size_t i = 0; i + 2 < rows.size(); i += 3) losses_.push_back({rows[i], rows[i + 1], rows[i + 2]});
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
  const Photos& photos_;
  const TrainOptions& o_;
  Generator generator_;
  MsgNet net_;
  std::optional<optim::Adam> adam_;
  std::vector<std::string> names_;
  std::vector<Tensor> bgr_;
  std::vector<StyleTarget> targets_;
  int64_t done_ = 0;
  std::vector<Losses> losses_;
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

}  // namespace

std::string checkpoint_of(const std::string& out) {
  std::filesystem::path p(out);
  return p.parent_path() / (p.stem().string() + ".checkpoint" + p.extension().string());
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
  Training training(vgg, photos, styles, o);
  const std::string checkpoint = checkpoint_of(o.out);
  if (o.resume) training.load(checkpoint);
  std::vector<Tensor> style_pictures;
  for (const Style& s : styles) style_pictures.push_back(s.picture);

  InterruptFlag flag;
  io::Progress bar("train", o.steps);
  const auto start = std::chrono::steady_clock::now();
  auto save = [&] {
    training.save(checkpoint);
    const StyleModel model = training.model();
    save_style_model(model, o.out, o.command);
    if (!o.sheet.empty() && !held_out.empty()) save_contact_sheet(model, held_out, style_pictures, o.sheet);
    if (!o.curve.empty() && !training.losses().empty()) save_curve(averaged(training.losses()), o.curve);
  };
  double shown = NAN;  // a mean, since styles take turns
  while (training.done() < o.steps && !flag.raised() && (o.stop_at == 0 || training.done() < o.stop_at)) {
    const double loss = training.step().total;
    shown = std::isnan(shown) || training.done() == o.reconstruct + 1 ? loss : 0.95 * shown + 0.05 * loss;
    if (bar.shown()) bar.update(training.done(), "loss " + str(shown));
    if (o.every > 0 && training.done() % o.every == 0 && training.done() < o.steps) save();
  }
  save();
  return {.steps = training.done(),
          .losses = training.losses(),
          .seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          .finished = training.done() >= o.steps};
}
