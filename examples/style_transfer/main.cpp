// Redraws a photo in the style of another picture.
//   style_transfer optimise --content astronaut.jpg --style waves --out out.png
//   style_transfer apply --content astronaut.jpg --style waves --out painted.jpg
// A word of its own ends the program: 2 for wrong usage, 1 for what failed, 130 and 143 for what a signal ended early.
#include <filesystem>
#include <iostream>

#include "../common/interrupt.h"
#include "cli.h"
#include "optimise.h"
#include "share.h"
#include "styles.h"

namespace {

struct Arguments {
  OptimiseOptions optimise;
  std::string content, style, features, features_input, device = "cpu", triptych, curve, folder = ".",
                                                        weights = "random.safetensors";
  int64_t size = 256, style_size = 0, threads = 0, styles_size = 512, scenes = 24;
  bool force = false;
  uint64_t seed = 1;
};

void add_optimise(CLI::App& app, Arguments& a) {
  OptimiseOptions& o = a.optimise;
  app.add_option("--content", a.content, "the photo: PNG or JPEG; astronaut.jpg is shipped")->required();
  app.add_option("--style", a.style, "the picture whose style it takes, or the name of one that `styles` draws")
      ->required();
  app.add_option("--out", o.out, "the result: .png or .jpg")->capture_default_str();
  app.add_option("--features", a.features,
                 "VGG16 weights with torchvision's names (safetensors), or `random`; default: those that "
                 "scripts/assets.py fetches");
  app.add_option("--features-input", a.features_input,
                 "how pictures are normalised for them; default: as the file says, else rgb-imagenet")
      ->check(CLI::IsMember({kBgrMean, kRgbImagenet}));
  app.add_option("--size", a.size, "longer side of the result")->capture_default_str()->check(CLI::Range(16, 16384));
  app.add_option("--style-size", a.style_size, "longer side of the style picture; default: as --size")
      ->check(CLI::Range(16, 16384));
  app.add_option("--steps", o.steps, "steps of Adam, evaluations of L-BFGS")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_option("--optimizer", o.optimizer, "adam or lbfgs")
      ->capture_default_str()
      ->check(CLI::IsMember({"adam", "lbfgs"}));
  app.add_option("--lr", o.lr, "learning rate; default: 5 with adam, 1 with lbfgs")->check(finite_number(false));
  app.add_option("--content-weight", o.content_weight)->capture_default_str()->check(finite_number(true));
  app.add_option("--style-weight", o.style_weight)->capture_default_str()->check(finite_number(true));
  app.add_option("--tv-weight", o.tv_weight, "of the differences of neighbours: smoother")
      ->capture_default_str()
      ->check(finite_number(true));
  app.add_option("--every", o.every, "also write the picture every N steps")->check(CLI::Range(0, 1000000));
  app.add_option("--triptych", a.triptych, "also write content | style | result");
  app.add_option("--curve", a.curve, "also write the loss curve (SVG)");
  app.add_option("--device", a.device, "cpu, cuda or cuda:N")->capture_default_str()->check(device_name());
  app.add_option("--threads", a.threads, "default: all cores")->check(CLI::Range(1, 1024));
  app.add_option("--seed", a.seed, "of random features")->capture_default_str();
}

/// A file, or a style that is drawn here and now.
weft::Tensor load_style(const Arguments& a) {
  const int64_t size = a.style_size ? a.style_size : a.size;
  const std::string file = shipped(a.style);
  if (std::error_code none; std::filesystem::exists(file, none)) return load_picture(file, size);
  const weft::Tensor drawn = drawn_style(a.style, std::max<int64_t>(8, size / 8 * 8));
  const std::vector<std::string> names = drawn_style_names();
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  WEFT_CHECK(drawn.defined(), IoError, "the style '", a.style, "' is no picture file and none that is drawn: ", known,
             guess(std::filesystem::path(a.style).stem().string(), names));
  return weft::io::image_to_batch(drawn);
}

void run_optimise(const Arguments& a) {
  // before hours of work, not after
  check_output(a.optimise.out, kPictureEndings, {a.content, a.style});
  if (!a.triptych.empty()) check_output(a.triptych, kPictureEndings, {a.content, a.style});
  if (!a.curve.empty()) check_output(a.curve, {}, {a.content, a.style});
  if (a.threads > 0) weft::set_num_threads(static_cast<int>(a.threads));
  weft::Device device(a.device);
  weft::Tensor content = load_picture(shipped(a.content), a.size), style = load_style(a);
  bool random = a.features == "random";
  const std::string features = random ? "" : a.features.empty() ? vgg_weights() : shipped(a.features);
  Vgg vgg(random ? Vgg::random(a.seed, kRgbImagenet) : weft::io::load(features), a.features_input, device);
  if (random) std::cout << "random features: they move colours and grain, not strokes\n";

  Optimised result = optimise(vgg, content.to(device), style.to(device), a.optimise);
  save_picture(result.picture, a.optimise.out);
  if (!a.triptych.empty()) save_side_by_side({content, style, result.picture}, a.triptych);
  if (!a.curve.empty()) save_curve(result.losses, a.curve);
  const Losses &first = result.losses.front(), &last = result.losses.back();
  std::cout << content.size(3) << " x " << content.size(2) << ", " << result.losses.size()
            << (InterruptFlag::exit_status() ? " of " + std::to_string(a.optimise.steps) : "") << " steps in "
            << result.seconds << " s: loss " << first.total << " -> " << last.total << " (content " << last.content
            << ", style " << last.style << ")\n"
            << a.optimise.out << '\n';
}

}  // namespace

int main(int argc, char** argv) try {
  Arguments a;
  CLI::App app(
      "Redraws a photo in the style of another picture: by optimising its pixels (Gatys, Ecker and Bethge 2016), or "
      "with a network trained for several styles (Zhang and Dana 2017).");
  app.require_subcommand(1);
  CLI::App* optimise = app.add_subcommand("optimise", "redraw a photo by optimising its pixels");
  add_optimise(*optimise, a);
  std::string command_line = "style_transfer";
  for (int i = 1; i < argc; ++i) command_line += std::string(" ") + argv[i];
  add_msgnet_commands(app, command_line);
  CLI::App* styles = app.add_subcommand("styles",
                                        "draw the style pictures: woven, mosaic, waves, marble, shards, dots");
  styles->add_option("--out", a.folder, "folder")->capture_default_str();
  styles->add_option("--size", a.styles_size, "pixels of a side")->capture_default_str()->check(CLI::Range(16, 8192));
  CLI::App* scenes = app.add_subcommand("scenes", "draw landscapes and still lifes to learn on");
  scenes->add_option("--out", a.folder, "folder")->capture_default_str();
  scenes->add_option("--size", a.styles_size, "pixels of a side")->capture_default_str()->check(CLI::Range(16, 8192));
  scenes->add_option("--count", a.scenes)->capture_default_str()->check(CLI::Range(1, 999));
  for (CLI::App* draws : {styles, scenes}) draws->add_flag("--force", a.force, "overwrite what is there");
  CLI::App* features = app.add_subcommand("random-features",
                                          "write random weights, for tests where VGG16 is not at hand");
  features->add_option("--out", a.weights)->capture_default_str();
  features->add_option("--seed", a.seed)->capture_default_str();
  features->add_option("--features-input", a.features_input)->required()->check(CLI::IsMember({kBgrMean, kRgbImagenet}));
  if (const int wrong = parse(app, "style_transfer", argc, argv)) return wrong;

  if (*optimise) run_optimise(a);
  if (*styles) draw_styles(a.folder, a.styles_size, a.force);
  if (*scenes) draw_scenes(a.folder, a.scenes, a.styles_size, a.force);
  if (*features) weft::io::save(Vgg::random(a.seed, a.features_input), a.weights);
  return InterruptFlag::exit_status();
} catch (const std::exception& e) {
  std::cerr << "style_transfer: " << e.what() << '\n';
  return 1;
}
