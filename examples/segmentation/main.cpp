// Learns to say of each pixel of a street photo what it belongs to.
//   segmentation train --out run                     on scenes that it draws
//   segmentation train --data camvid --out run       on a folder in CamVid's or Pascal VOC's layout
//   segmentation eval --model run/model.safetensors --data camvid
//   segmentation predict photo.jpg --out seen
// One line ends the program that cannot go on: 2 for wrong usage, 1 for what failed, 130 and 143 for a signal.
#include <filesystem>
#include <iostream>

#include "../common/command_line.h"
#include "../common/interrupt.h"
#include "../common/ranks.h"
#include "../common/shipped.h"
#include "pictures.h"
#include "predict.h"
#include "train.h"

using weft::ValueError;

namespace {

struct Arguments {
  SourceOptions source;
  TrainOptions train;
  PredictOptions predict;
  std::string model = "segmentation.safetensors", split = "val", device = "cpu", dtype = "f32", confusion, folder;
  std::vector<int64_t> crop = {112, 144}, size = {144, 192};
  std::vector<double> scale = {1, 1};
  int64_t threads = 0, scenes = 400, held_out = 40;
  uint64_t seed = 1;
  bool skip = false, force = false, no_class_weights = false;

  RunOn on() const { return {weft::Device(device), dtype == "bf16" ? weft::Dtype::bf16 : weft::Dtype::f32}; }
};

void add_data(CLI::App& app, Arguments& a) {
  app.add_option(
      "--data", a.source.data,
      "a folder in CamVid's layout (train, trainannot, val, valannot) or Pascal VOC's; default: scenes are drawn");
  app.add_option(
      "--classes", a.source.classes,
      "names of the classes: a file with a NAME or NAME R G B a line, or road,sky,car; default: the folder's "
      "classes.txt, else those of the layout");
  app.add_option("--ignore-index", a.source.ignore_index,
                 "label that does not count; default: 11 with CamVid's own classes, else 255")
      ->check(CLI::Range(0, 65535));
  app.add_option("--size", a.source.size, "scale pictures to this shorter side, or to height and width")
      ->expected(1, 2)
      ->check(CLI::Range(8, 8192));
  app.add_option("--scenes", a.source.scenes, "scenes to draw, without --data")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_option("--cache", a.source.cache, "MiB of decoded pictures that are kept in memory")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 24));
  app.add_flag("--skip-damaged", a.skip, "leave out pictures that cannot be read, instead of stopping");
}

void add_machine(CLI::App& app, Arguments& a) {
  app.add_option("--device", a.device, "cpu, cuda or cuda:N")->capture_default_str()->check(device_name());
  app.add_option("--dtype", a.dtype, "of convolutions and products: f32 or bf16")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--threads", a.threads, "default: all cores")->check(CLI::Range(1, 1024));
}

void add_train(CLI::App& app, Arguments& a) {
  TrainOptions& o = a.train;
  add_data(app, a);
  const auto count = [&](const char* name, int64_t& value, const char* what, int64_t least, int64_t most = 100000000) {
    app.add_option(name, value, what)->capture_default_str()->check(CLI::Range(least, most));
  };
  const auto number = [&](const char* name, double& value, const char* what) {
    app.add_option(name, value, what)->capture_default_str()->check(finite_number(true));
  };
  app.add_option("--out", o.out, "folder of the run")->capture_default_str();
  count("--steps", o.steps, "", 1);
  count("--batch", o.batch, "", 1, 65536);
  count("--accumulate", o.accumulate, "batches whose gradients make one step", 1, 65536);
  app.add_option("--lr", o.lr, "learning rate")->capture_default_str()->check(finite_number(false));
  count("--warmup", o.warmup,
        "steps in which the rate rises, at most a quarter of all; then it falls to 0 as (1 - t)^0.9", 0);
  number("--momentum", o.momentum, "of SGD");
  number("--weight-decay", o.weight_decay, "of weights; norms and biases have none");
  number("--se-weight", o.se_weight, "of the loss of which classes a picture has");
  app.add_flag("--no-class-weights", a.no_class_weights, "rare classes count as any");
  app.add_option("--crop", a.crop, "height and width of what is learned on; 0: whole pictures")
      ->capture_default_str()
      ->expected(1, 2)
      ->check(CLI::Range(0, 8192));
  app.add_option("--scale", a.scale, "pictures are scaled by a number between these two")
      ->capture_default_str()
      ->expected(2)
      ->check(CLI::Range(0.1, 10.0));
  number("--jitter", o.batches.jitter, "of brightness and colour");
  count("--codes", o.codes, "codewords of the Encoding layer", 1, 4096);
  app.add_option("--seed", o.seed, "of weights, order and scenes")->capture_default_str();
  app.add_option("--workers", o.workers, "threads that make batches; 0: none of their own")
      ->capture_default_str()
      ->check(CLI::Range(0, 256));
  app.add_flag("--checkpoint-activations", o.checkpoint_activations,
               "less memory: compute activations again in backward");
  app.add_option("--init", o.init, "a model to begin with");
  count("--every", o.every, "steps between checkpoints", 1);
  count("--eval-every", o.eval_every, "steps between evaluations; 0: at the end only", 0);
  count("--stop-at", o.stop_at, "end after this step as Ctrl-C does", 0);
  app.add_flag("--resume", o.resume, "go on with the run in --out, bit for bit");
  app.add_flag("--force", o.force, "begin again, where --out holds a run");
  app.add_flag("--f16", o.half, "write the model in half the space");
  add_machine(app, a);
}

void run_train(Arguments& a) {
  Ranks::let_first_tell();
  TrainOptions& o = a.train;
  o.on = a.on();
  o.skip_damaged = a.skip;
  o.class_weights = !a.no_class_weights;
  o.batches.crop = {a.crop[0], a.crop.size() > 1 ? a.crop[1] : a.crop[0]};
  WEFT_CHECK((o.batches.crop.height == 0) == (o.batches.crop.width == 0), ValueError, "--crop ", a.crop[0], " ",
             a.crop.back(), ": both are 0 or none");
  WEFT_CHECK(a.scale[0] <= a.scale[1], ValueError, "--scale ", a.scale[0], " ", a.scale[1],
             ": the smaller one comes first");
  o.batches.scale = {a.scale[0], a.scale[1]};
  o.init = shipped(o.init);
  const Source source(a.source);
  std::cout << source.str() << '\n';
  const TrainResult result = train(source, o);
  if (result.finished)
    std::cout << result.steps << " steps, " << result.seconds << " s: " << result.scores << '\n'
              << o.out << "/report.html\n"
              << o.out << "/model.safetensors\n";
  else std::cout << "stopped after " << result.steps << " of " << o.steps << " steps; --resume goes on\n";
}

/// Which classes a model and a data set have must be the same.
void check_classes(const Model& model, const Classes& classes, const Arguments& a) {
  WEFT_CHECK(model.classes.names == classes.names, ValueError, a.model, ": knows ", model.classes.size(), " classes (",
             model.classes.names.front(), ", ...), and the data has ", classes.size(), " (", classes.names.front(),
             ", ...)");
}

void run_eval(Arguments& a) {
  a.model = shipped(a.model);
  Model model = load_model(a.model, weft::Device(a.device));
  const Source source(a.source);
  std::cout << source.str() << '\n';
  check_classes(model, source.classes(), a);
  const auto matrix = evaluate(model.net, source.classes(), source.pictures(a.split), a.on(), a.skip);
  std::cout << matrix << summary(matrix) << '\n';
  weft::io::write_image(confusion_picture(matrix, source.classes()), a.confusion);
  std::cout << a.confusion << '\n';
}

void run_predict(Arguments& a) {
  Model model = load_model(shipped(a.model), weft::Device(a.device));
  a.predict.on = a.on();
  for (const std::string& file : predict(model, a.predict)) std::cout << file << '\n';
}

}  // namespace

int main(int argc, char** argv) try {
  Arguments a;
  CLI::App app("Says of each pixel of a street photo what it belongs to, with a network that learns it here.",
               "segmentation");
  app.require_subcommand(1);
  CLI::App* train = app.add_subcommand("train", "learn, and leave the run in a folder");
  add_train(*train, a);
  CLI::App* eval = app.add_subcommand("eval", "the scores of each class, and a picture of which are confused");
  add_data(*eval, a);
  eval->add_option("--model", a.model, "what `train` wrote; the shipped one knows the drawn scenes")
      ->capture_default_str();
  eval->add_option("--split", a.split, "train, val or test")->capture_default_str();
  eval->add_option("--confusion", a.confusion, "the picture: .png or .jpg")
      ->default_val("confusion.png")
      ->check(picture_to_write());
  add_machine(*eval, a);
  CLI::App* predict = app.add_subcommand("predict", "photos with what the network sees in them");
  predict->add_option("photos", a.predict.photos, "PNG or JPEG files, or folders of them")->required();
  predict->add_option("--model", a.model, "what `train` wrote; the shipped one knows the drawn scenes")
      ->capture_default_str();
  predict->add_option("--out", a.predict.out, "folder of the results")->capture_default_str();
  predict
      ->add_option("--size", a.predict.side,
                   "shorter side of what the network sees; 0: as the photo; default: as it has learned")
      ->check(CLI::Range(0, 65536));
  add_machine(*predict, a);
  CLI::App* scenes = app.add_subcommand("scenes", "draw street scenes and their masks, in CamVid's layout");
  scenes->add_option("--out", a.folder, "folder")->required();
  scenes->add_option("--train", a.scenes, "how many to learn on")->capture_default_str()->check(CLI::Range(1, 99999));
  scenes->add_option("--val", a.held_out, "how many to test on")->capture_default_str()->check(CLI::Range(1, 99999));
  scenes->add_option("--size", a.size, "height and width")
      ->capture_default_str()
      ->expected(2)
      ->check(CLI::Range(24, 4096));
  scenes->add_option("--seed", a.seed, "of the first scene")->capture_default_str();
  scenes->add_flag("--force", a.force, "overwrite what is there");
  if (const int wrong = parse(app, "segmentation", argc, argv)) return wrong;

  a.train.command = "segmentation";  // a run that goes on leaves the file that it would have left without a break
  for (int i = 1; i < argc; ++i)
    if (const std::string word = argv[i]; word != "--resume" && word != "--force") a.train.command += " " + word;
  if (a.threads > 0) weft::set_num_threads(static_cast<int>(a.threads));
  if (*train) run_train(a);
  if (*eval) run_eval(a);
  if (*predict) run_predict(a);
  if (*scenes) write_scenes(a.folder, a.scenes, a.held_out, a.size[0], a.size[1], a.seed, a.force);
  return InterruptFlag::exit_status();
} catch (const std::exception& e) {
  std::cerr << "segmentation: " << e.what() << '\n';
  return 1;
}
