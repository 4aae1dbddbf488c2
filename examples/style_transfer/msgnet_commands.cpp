// The commands `train` and `apply`.
#include <charconv>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <set>

#include "../common/interrupt.h"
#include "../common/ranks.h"
#include "cli.h"
#include "msgnet_apply.h"
#include "msgnet_train.h"
#include "share.h"
#include "styles.h"

namespace {

weft::Dtype read_dtype(const std::string& name) {
  return name == "bf16" ? weft::Dtype::bf16 : name == "f16" ? weft::Dtype::f16 : weft::Dtype::f32;
}

// train

struct TrainArguments {
  TrainOptions train;
  std::vector<std::string> content, style, held_out;
  std::string features, features_input, device = "cpu", dtype = "f32", loss = "relative", first = "balanced";
  int64_t cell = 192, threads = 0;
  bool no_augment = false;
};

void run_train(TrainArguments& a) {
  Ranks::let_first_tell();
  TrainOptions& o = a.train;
  const std::vector<std::string> content = picture_files(a.content), style = picture_files(a.style),
                                 kept_back = picture_files(a.held_out);
  std::vector<std::string> read = content;
  for (const auto* files : {&style, &kept_back}) read.insert(read.end(), files->begin(), files->end());
  check_output(o.out, {".safetensors"});
  if (!o.sheet.empty()) check_output(o.sheet, kPictureEndings, read);
  if (!o.curve.empty()) check_output(o.curve, {}, read);
  if (a.threads > 0) weft::set_num_threads(static_cast<int>(a.threads));
  o.device = weft::Device(a.device);
  o.dtype = read_dtype(a.dtype);
  o.relative = a.loss == "relative";
  o.published = a.first == "published";
  o.augment = !a.no_augment;

  Vgg vgg(weft::io::load(a.features.empty() ? vgg_weights() : shipped(a.features)), a.features_input, o.device);
  Photos photos(content, o.size, o.augment);
  std::vector<Style> styles;
  std::set<std::string> names;
  for (const std::string& file : style) {
    WEFT_CHECK(names.insert(stem(file)).second, ValueError, "train: two styles are named ", stem(file));
    weft::Tensor picture = load_square(file, o.style_size, true);
    if (o.style_crop > 0 && o.style_crop < o.style_size) {
      const int64_t edge = (o.style_size - o.style_crop) / 2;
      picture = picture.narrow(2, edge, o.style_crop).narrow(3, edge, o.style_crop).contiguous();
    }
    styles.push_back({stem(file), picture});
  }
  std::vector<weft::Tensor> held_out;
  for (const std::string& file : kept_back) held_out.push_back(load_square(file, a.cell, false));

  Trained result = train(vgg, photos, held_out, styles, o);
  std::cout << result.steps << " of " << o.steps << " steps, " << result.seconds << " s";
  if (!result.losses.empty()) {
    const Losses &first = result.losses.front(), &last = result.losses.back();
    std::cout << ": loss " << first.total << " -> " << last.total << " (content " << last.content << ", style "
              << last.style << ")";
  }
  std::cout << '\n';
  if (!result.lattices.empty()) std::cout << "lattice (photos have 0.004):";
  for (size_t i = 0; i < result.lattices.size(); ++i)
    std::cout << (i ? ", " : " ") << styles[i].name << ' ' << result.lattices[i];
  std::cout << (result.lattices.empty() ? "" : "\n") << o.out << '\n';
  if (!result.finished) std::cout << "not finished: --resume goes on\n";
}

void add_train(CLI::App& root, const std::string& command_line) {
  CLI::App* app = root.add_subcommand("train", "train a network (MSG-Net) that paints in several styles");
  auto a = std::make_shared<TrainArguments>();
  TrainOptions& o = a->train;
  o.command = command_line;
  const auto count = [](int64_t least) { return CLI::Range(least, int64_t{100000000}); };
  app->add_option("--content", a->content, "photos to learn on: files and folders")->required();
  app->add_option("--style", a->style, "pictures whose styles it learns: files and folders")->required();
  app->add_option(
      "--features", a->features,
      "VGG16 weights with torchvision's names (safetensors); default: those that scripts/assets.py fetches");
  app->add_option("--features-input", a->features_input,
                  "how pictures are normalised for them; default: as the file says, else rgb-imagenet")
      ->check(CLI::IsMember({kBgrMean, kRgbImagenet}));
  app->add_option("--out", o.out, "the model, f16")->capture_default_str();
  app->add_option("--held-out", a->held_out, "photos for the contact sheet: files and folders");
  app->add_option("--contact-sheet", o.sheet, "also write the held-out photos in all styles: .png or .jpg");
  app->add_option("--cell", a->cell, "pixels of its cells, a multiple of 4")
      ->capture_default_str()
      ->check(multiple_of(4, 32, 4096));
  app->add_option("--curve", o.curve, "also write the loss curve (SVG)");
  app->add_option("--every", o.every, "steps between checkpoints, contact sheets and curves; 0: at the end only")
      ->capture_default_str()
      ->check(count(0));
  app->add_flag("--resume", o.resume, "go on from the newest checkpoint in OUT.checkpoints");
  app->add_option("--stop-at", o.stop_at, "end after this step, to be resumed")->check(count(1));
  app->add_option("--init", o.init, "weights to begin with: safetensors, 32 bit");
  app->add_option("--first", a->first, "first values and rate: balanced (docs/msgnet.md), or as published")
      ->capture_default_str()
      ->check(CLI::IsMember({"balanced", "published"}));
  app->add_option("--loss", a->loss, "relative to the targets' size, or as published")
      ->capture_default_str()
      ->check(CLI::IsMember({"relative", "published"}));
  app->add_option("--ngf", o.ngf, "width")->capture_default_str()->check(CLI::Range(1, 1024));
  app->add_option("--blocks", o.blocks, "bottlenecks between CoMatch and decoder")
      ->capture_default_str()
      ->check(CLI::Range(0, 64));
  app->add_option("--size", o.size, "side of the pieces of photos, a multiple of 4")
      ->capture_default_str()
      ->check(multiple_of(4, 16, 4096));
  app->add_option("--style-size", o.style_size, "side that style pictures are squashed to")
      ->capture_default_str()
      ->check(CLI::Range(16, 4096));
  app->add_option("--style-crop", o.style_crop, "then only the middle of that side is used; 0: all")
      ->capture_default_str()
      ->check(CLI::Range(0, 4096));
  app->add_option("--batch", o.batch)->capture_default_str()->check(CLI::Range(1, 4096));
  app->add_option("--steps", o.steps, "of Adam")->capture_default_str()->check(count(1));
  app->add_option("--reconstruct", o.reconstruct, "first steps that learn to give the photo back")
      ->capture_default_str()
      ->check(count(0));
  app->add_option("--lr", o.lr)->capture_default_str()->check(finite_number(false));
  app->add_option("--warmup", o.warmup, "steps in which the rate rises")->capture_default_str()->check(count(0));
  app->add_option("--ramp", o.ramp, "steps in which the style's weight rises")->capture_default_str()->check(count(0));
  app->add_option("--clip", o.clip, "limit of the gradient's norm; 0: none")
      ->capture_default_str()
      ->check(finite_number(true));
  app->add_option("--content-weight", o.content_weight)->capture_default_str()->check(finite_number(true));
  app->add_option("--style-weight", o.style_weight)->capture_default_str()->check(finite_number(true));
  app->add_option("--tv-weight", o.tv_weight, "of the differences of neighbours: smoother")
      ->capture_default_str()
      ->check(finite_number(true));
  app->add_flag("--no-augment", a->no_augment, "the photos in turn, as they are, in place of random pieces");
  app->add_option("--dtype", a->dtype, "of convolutions and products: f32, bf16, f16")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  app->add_option("--device", a->device, "cpu, cuda or cuda:N")->capture_default_str()->check(device_name());
  app->add_option("--threads", a->threads, "default: all cores")->check(CLI::Range(1, 1024));
  app->add_option("--workers", o.workers,
                  "threads that cut pieces of photos ahead of the training; any number gives the same")
      ->capture_default_str()
      ->check(CLI::Range(0, 64));
  app->add_option("--seed", o.seed, "of weights and pieces")->capture_default_str();
  app->callback([a] { run_train(*a); });
}

// apply

struct ApplyArguments {
  std::string model = "patterns.safetensors", content, style, out, device = "cpu", dtype = "f32";
  int64_t size = 0, style_size = 288, memory = 1024, threads = 0;
};

/// The Gram matrix of a style of the model by name or number (from 1), or of a picture.
weft::Tensor find_style(const StyleModel& model, const ApplyArguments& a) {
  const size_t n = model.names.size();
  for (size_t i = 0; i < n; ++i)
    if (model.names[i] == a.style) return model.grams[i];
  const char* end = a.style.data() + a.style.size();
  size_t number = 0;
  const bool is_number = std::from_chars(a.style.data(), end, number).ptr == end && !a.style.empty();
  if (is_number && number >= 1 && number <= n) return model.grams[number - 1];
  std::string known;
  for (size_t i = 0; i < n; ++i) known += (i ? ", " : "") + std::to_string(i + 1) + " " + model.names[i];
  const bool is_file = !is_number && !a.style.empty() && std::filesystem::is_regular_file(a.style);
  const weft::Tensor drawn = is_file ? weft::Tensor() : drawn_style(a.style, a.style_size);
  std::vector<std::string> names = model.names;
  for (const std::string& name : drawn_style_names()) names.push_back(name);
  WEFT_CHECK(is_file || drawn.defined(), ValueError, "the style '", a.style,
             "' is no picture file and none of the model's", n ? ": " : "; it has none", known, guess(a.style, names));
  weft::NoGrad guard;
  const weft::Tensor picture = is_file ? load_square(a.style, a.style_size, true) : weft::io::image_to_batch(drawn);
  return model.net.gram(flip(picture, {1}).to(model.net.ins.weight.device()));
}

struct Job {
  std::string from, to;
};

/// "frames/%04d.png" with a number in it; empty if there is no such field.
std::string with_number(const std::string& pattern, int64_t number) {
  const size_t percent = pattern.find('%');
  size_t end = percent == std::string::npos ? percent : pattern.find_first_not_of("0123456789", percent + 1);
  if (end == std::string::npos || pattern[end] != 'd') return "";
  int64_t width = 0;
  std::from_chars(pattern.data() + percent + 1, pattern.data() + end, width);
  std::string digits = std::to_string(number);
  if (static_cast<int64_t>(digits.size()) < std::min<int64_t>(width, 20))
    digits.insert(0, static_cast<size_t>(std::min<int64_t>(width, 20)) - digits.size(), '0');
  return pattern.substr(0, percent) + digits + pattern.substr(end + 1);
}

/// One picture to a file, a folder to a folder, numbered frames to numbered frames or a folder.
std::vector<Job> jobs(const ApplyArguments& a) {
  namespace fs = std::filesystem;
  std::error_code none;
  const bool folder = fs::is_directory(a.content, none);
  if (!folder && (fs::exists(a.content, none) || with_number(a.content, 0).empty())) return {{a.content, a.out}};
  std::vector<Job> list;
  const bool numbered = !with_number(a.out, 0).empty();
  const fs::path parent = fs::path(a.out).parent_path();
  WEFT_CHECK(!numbered || parent.empty() || fs::is_directory(parent, none), IoError, "'", a.out,
             "': there is no folder '", parent.string(), "'; create it, or name a folder alone, which is made");
  WEFT_CHECK(numbered || fs::is_directory(a.out, none) || fs::path(a.out).extension().empty(), IoError, "'", a.out,
             "': several pictures need a folder, or a name such as out-%04d.png");
  if (!numbered) fs::create_directories(a.out, none);
  auto to = [&](const std::string& from, int64_t number) {
    return numbered ? with_number(a.out, number) : (fs::path(a.out) / fs::path(from).filename()).string();
  };
  if (folder) {
    for (const std::string& from : picture_files({a.content}))
      list.push_back({from, to(from, static_cast<int64_t>(list.size()) + 1)});
    return list;
  }
  int64_t number = 0;  // the first frame is 0 or 1
  if (!fs::exists(with_number(a.content, 0), none)) number = 1;
  for (; fs::exists(with_number(a.content, number), none); ++number)
    list.push_back({with_number(a.content, number), to(with_number(a.content, number), number)});
  WEFT_CHECK(!list.empty(), IoError, "there is neither ", with_number(a.content, 0), " nor ",
             with_number(a.content, 1));
  return list;
}

void run_apply(ApplyArguments& a) {
  if (a.threads > 0) weft::set_num_threads(static_cast<int>(a.threads));
  StyleModel model = StyleModel::load(shipped(a.model), weft::Device(a.device));
  const weft::Tensor G = find_style(model, a);
  if (with_number(a.content, 0).empty()) a.content = shipped(a.content);
  const std::vector<Job> list = jobs(a);
  for (const Job& job : list) check_output(job.to, kPictureEndings, {job.from, a.style});
  InterruptFlag flag;
  weft::io::Progress bar("paint", static_cast<int64_t>(list.size()));
  const auto start = std::chrono::steady_clock::now();
  size_t done = 0;
  for (; done < list.size() && !flag.raised(); ++done) {
    weft::Tensor picture = weft::io::read_image(list[done].from);
    if (a.size > 0) {
      const int64_t h = picture.size(0), w = picture.size(1), longer = std::max(h, w);
      const auto scaled = [&](int64_t n) { return std::max<int64_t>(1, (2 * n * a.size + longer) / (2 * longer)); };
      tell_aspect(list[done].from, picture.shape(), scaled(h), scaled(w));
      picture = weft::io::resize_image(picture, scaled(h), scaled(w));
    }
    std::optional<weft::Autocast> autocast;
    if (a.dtype != "f32") autocast.emplace(read_dtype(a.dtype), weft::Device(a.device));
    weft::io::write_image(paint(model.net, G, picture, a.memory << 20), list[done].to);
    bar.update(static_cast<int64_t>(done) + 1);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::cout << done << (done == 1 ? " picture" : " pictures") << " in " << seconds << " s\n";
  if (done) std::cout << list[done - 1].to << '\n';
}

void add_apply(CLI::App& root) {
  CLI::App* app = root.add_subcommand("apply", "paint pictures with a trained network");
  auto a = std::make_shared<ApplyArguments>();
  app->add_option("--model", a->model, "what `train` wrote, or the weights of a published MSG-Net (safetensors)")
      ->capture_default_str();
  app->add_option("--content", a->content, "a picture, a folder, or numbered frames: frame-%04d.png")->required();
  app->add_option("--style", a->style, "a style of the model, by name or number, or a picture of another")->required();
  app->add_option("--out", a->out, "the result: .png or .jpg; for several a folder, or out-%04d.png")->required();
  app->add_option("--size", a->size, "longer side of the result; default: as the picture")->check(CLI::Range(8, 65536));
  app->add_option("--style-size", a->style_size, "side that a style picture is squashed to")
      ->capture_default_str()
      ->check(CLI::Range(16, 4096));
  app->add_option("--memory", a->memory, "MiB that the work may take; larger pictures are painted in tiles")
      ->capture_default_str()
      ->check(CLI::Range(16, 1 << 24));
  app->add_option("--dtype", a->dtype, "of convolutions and products: f32, bf16, f16")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  app->add_option("--device", a->device, "cpu, cuda or cuda:N")->capture_default_str()->check(device_name());
  app->add_option("--threads", a->threads, "default: all cores")->check(CLI::Range(1, 1024));
  app->callback([a] { run_apply(*a); });
}

}  // namespace

void add_msgnet_commands(CLI::App& app, const std::string& command_line) {
  add_train(app, command_line);
  add_apply(app);
}
