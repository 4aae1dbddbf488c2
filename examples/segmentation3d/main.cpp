// Finds the membranes of cells in stacks of electron microscope slices with a 3-D U-Net.
//   segmentation3d train --data em --out runs/em        em/image and em/label: folders of slices, or volumes
//   segmentation3d eval --data em --slices 24:30 --model runs/em/model.safetensors
//   segmentation3d predict --image em/image --out found
// Without data each of them draws its own volume of cells, and says so. A word of its own ends the program: 2 for wrong
// usage, 1 for what failed, 130 and 143 for what a signal ended early.
#include <cmath>
#include <filesystem>
#include <iostream>

#include "../common/interrupt.h"
#include "../common/ranks.h"
#include "../common/share_folder.h"
#include "cells.h"
#include "cli.h"
#include "drawing.h"
#include "train.h"

using namespace weft;
namespace fs = std::filesystem;

namespace {

const std::string kShippedModel = "membranes.safetensors";
constexpr uint64_t kUnseen = 1000;  // seeds of drawn volumes that no training has seen

struct Arguments {
  TrainOptions train;
  TileOptions tiles;
  std::string data, image, label, membrane = "<128", slices, train_slices, held_out, model, device = "cpu",
                                  dtype = "f32", out;
  std::vector<int64_t> patch = {8, 96, 96}, tile = {0, 0, 0}, overlap = {14, 56, 56}, size = {24, 256, 256};
  std::optional<double> mean, std;
  int64_t threads = 0, volumes = 4, pictures = 8, memory = 2048;
  uint64_t seed = 1;
  bool resume = false;
};

/// folder/NAME as a folder of slices, or the file NAME.xyz.
std::string part_of(const std::string& folder, const std::string& name) {
  WEFT_CHECK(fs::is_directory(folder), IoError, folder, ": is no folder with `image` and `label` in it");
  if (fs::exists(fs::path(folder) / name)) return (fs::path(folder) / name).string();
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with(name + ".")) return entry.path().string();
  raise<IoError>(folder, ": there is neither a folder nor a file '", name, "' in it");
}

/// The files that --data, --image and --label name; --data's are taken where the others say nothing.
void find_files(Arguments& a, bool labels) {
  WEFT_CHECK(a.data.empty() || a.image.empty() || a.label.empty(), ValueError,
             "--data is not needed beside --image and --label");
  WEFT_CHECK(a.data.size() + a.image.size() > 0 || a.label.empty(), ValueError, "--label needs --image beside it");
  if (a.data.empty()) return;
  if (a.image.empty()) a.image = part_of(a.data, "image");
  if (labels && a.label.empty()) a.label = part_of(a.data, "label");
}

/// The model that is named, or the one that is shipped: beside the program, in share/weft.
std::string model_file(const std::string& named) {
  if (!named.empty()) return named;
  std::error_code none;
  const fs::path file = share_folder() / kShippedModel;
  WEFT_CHECK(fs::exists(file, none), IoError, file.string(), ": the shipped model is not there; name one with --model");
  return file.string();
}

TileOptions tile_options(const Arguments& a) {
  TileOptions t;
  for (size_t i = 0; i < 3; ++i) t.tile[i] = a.tile[i], t.overlap[i] = a.overlap[i];
  t.memory = a.memory << 20;
  t.dtype = a.dtype == "bf16" ? Dtype::bf16 : Dtype::f32;
  t.device = Device(a.device);
  return t;
}

void say_drawn(const Shape& size, const std::string& what) {
  std::cout << "no data is named: drawing " << what << " of " << size[0] << " x " << size[1] << " x " << size[2]
            << " voxels (--data or --image takes yours)\n";
}

Labelled drawn(const Shape& size, uint64_t seed) {
  const Cells cells = draw_cells(size, seed);
  return {cells.image, cells.membrane};
}

/// Which slices are learned from and which are held out: as named, or the last fifth is held out.
std::array<std::array<int64_t, 2>, 2> split(const Arguments& a, int64_t slices) {
  const int64_t cut = std::max<int64_t>(1, slices - std::max<int64_t>(1, slices / 5));
  std::array<std::array<int64_t, 2>, 2> parts = {{{0, cut}, {cut, slices}}};
  if (!a.train_slices.empty()) parts[0] = parse_range(a.train_slices);
  if (!a.held_out.empty()) parts[1] = parse_range(a.held_out);
  for (const auto& [first, end] : parts)
    WEFT_CHECK(first >= 0 && first < end && end <= slices, ValueError, a.image, ": has ", slices,
               " slices, not those of ", first, ":", end);
  WEFT_CHECK(parts[0][1] <= parts[1][0] || parts[1][1] <= parts[0][0], ValueError, "slices ", parts[0][0], ":",
             parts[0][1], " to learn from and ", parts[1][0], ":", parts[1][1], " held out overlap");
  return parts;
}

void run_train(Arguments& a, const std::string& command) {
  Ranks::let_first_tell();
  TrainOptions& o = a.train;
  find_files(a, true);
  std::vector<Labelled> volumes;
  Labelled held_out;
  if (a.image.empty()) {
    const Shape size = {a.size[0], a.size[1], a.size[2]};
    say_drawn(size, str(a.volumes, " volumes of cells, and one that is held out,"));
    for (int64_t i = 0; i < a.volumes; ++i) volumes.push_back(drawn(size, o.seed * 100 + static_cast<uint64_t>(i)));
    held_out = drawn({std::min<int64_t>(size[0], 8), size[1], size[2]}, kUnseen);
  } else {
    WEFT_CHECK(!a.label.empty(), ValueError, a.image, ": has no labels; name them with --label");
    const Tensor image = read_whole(a.image);
    const Tensor membrane = read_membranes(a.label, MembraneRule::parse(a.membrane), Stack(image, a.image));
    const auto [learn, keep] = split(a, image.size(0));
    const auto part = [&](const std::array<int64_t, 2>& s) {
      const int64_t n = s[1] - s[0];
      return Labelled{image.narrow(0, s[0], n), membrane.narrow(0, s[0], n)};
    };
    volumes.push_back(part(learn));
    held_out = part(keep);
  }
  const Tensor& first = volumes[0].image;
  const bool bytes = first.dtype() == Dtype::u8;
  if (!bytes) {
    const auto measured = std_mean(first.to(Dtype::f32));
    o.mean = measured.mean.item<double>(), o.std = measured.std.item<double>();
  }
  o.mean = a.mean.value_or(o.mean), o.std = a.std.value_or(o.std);
  WEFT_CHECK(std::isfinite(o.mean) && std::isfinite(o.std), ValueError, a.image, ": has values that are not finite");
  WEFT_CHECK(o.std > 0, ValueError, a.image, ": every voxel is ", o.mean);
  if (!bytes) std::cout << "grey values: mean " << o.mean << ", standard deviation " << o.std << '\n';
  for (size_t i = 0; i < 3; ++i) o.patch[i] = a.patch[i];
  o.tiles = tile_options(a);
  o.device = o.tiles.device;
  o.dtype = o.tiles.dtype;
  o.out = a.out;
  o.command = command;
  const Trained t = train(volumes, held_out, o);
  std::cout << t.steps << (t.finished ? "" : " of " + std::to_string(o.steps)) << " steps, these in " << t.seconds
            << " s (" << t.cpu_seconds << " s of processor time): bce " << t.bce << ", dice loss " << t.dice_loss
            << "\nheld out: " << t.held_out.str() << '\n'
            << o.out << "/model.safetensors, " << o.out << "/report.html\n";
  if (!t.finished) std::cout << "the same command with --resume goes on\n";
}

/// What eval and predict look at.
Stack open_image(Arguments& a, bool labels, Tensor* membrane) {
  find_files(a, labels);
  if (a.image.empty()) {
    const Shape size = {a.size[0], a.size[1], a.size[2]};
    say_drawn(size, "a volume of cells");
    const Labelled cells = drawn(size, kUnseen + a.seed);
    if (membrane) *membrane = cells.membrane;
    return Stack(cells.image, "drawn cells");
  }
  Stack stack = Stack::open(a.image);
  if (membrane) {
    WEFT_CHECK(!a.label.empty(), ValueError, a.image, ": has no labels; name them with --label");
    *membrane = read_membranes(a.label, MembraneRule::parse(a.membrane), stack);
  }
  if (a.slices.empty()) return stack;
  const auto [first, end] = parse_range(a.slices);
  stack = stack.slices(first, end);
  if (membrane) *membrane = membrane->narrow(0, first, end - first);
  return stack;
}

Model load_model(const Arguments& a, const TileOptions& tiles) {
  Model model = Model::load(model_file(a.model), tiles.device);
  model.mean = a.mean.value_or(model.mean);
  model.std = a.std.value_or(model.std);
  return model;
}

/// A network that learned on bytes gets the volume's own mean and standard deviation where the volume is none of bytes,
/// from slices spread over it, unless the command names them.
void fit_grey_values(Model& model, const Stack& stack, const Arguments& a) {
  const TrainOptions bytes;
  if (stack.is_bytes() || a.mean || a.std || model.mean != bytes.mean || model.std != bytes.std) return;
  const int64_t n = stack.shape()[0], step = std::max<int64_t>(1, n / 16);
  std::vector<Tensor> slices;
  for (int64_t z = 0; z < n; z += step) slices.push_back(stack.read(z, 1));
  const auto measured = std_mean(cat(slices));
  model.mean = measured.mean.item<double>(), model.std = measured.std.item<double>();
  WEFT_CHECK(model.std > 0, ValueError, stack.name(), ": every voxel is ", model.mean);
  std::cout << "grey values: mean " << model.mean << ", standard deviation " << model.std
            << " (the volume's; the network learned on bytes)\n";
}

/// A bar of tiles, from the first on.
TileProgress tile_bar(const std::string& label) {
  return [label, bar = std::make_shared<std::optional<io::Progress>>()](int64_t done, int64_t total) {
    if (!*bar) bar->emplace(label, total);
    (*bar)->update(done);
  };
}

void run_eval(Arguments& a) {
  const TileOptions tiles = tile_options(a);
  Model model = load_model(a, tiles);
  Tensor membrane;
  const Stack stack = open_image(a, true, &membrane);
  fit_grey_values(model, stack, a);
  InterruptFlag flag;
  const Evaluation e = evaluate(
      model, stack, membrane, tiles, [&] { return !flag.raised(); }, tile_bar("eval"));
  if (flag.raised()) return void(std::cout << "stopped before the end\n");
  std::cout << e.matrix << e.str() << '\n';
  if (!a.out.empty()) {
    io::write_image(e.picture, a.out);
    std::cout << a.out << '\n';
  }
}

void run_predict(Arguments& a) {
  const TileOptions tiles = tile_options(a);
  Model model = load_model(a, tiles);
  const Stack stack = open_image(a, false, nullptr);
  fit_grey_values(model, stack, a);
  const int64_t slices = stack.shape()[0], pictures = a.pictures < 0 ? slices : std::min(a.pictures, slices);
  fs::create_directories(a.out);
  NpyWriter writer(a.out + "/membranes.npy", stack.shape());
  InterruptFlag flag;
  int64_t drawn = 0;
  training::Mean share;
  const bool whole = predict_volume(
      model, stack, tiles,
      [&](int64_t z, const Tensor& p) {
        writer.write(round(p * 255).to(Dtype::u8));
        share.update((p > 0.5).to(Dtype::f32));
        // spread evenly: picture i is of the slice in the middle of its part
        for (; drawn < pictures; ++drawn) {
          const int64_t s = (2 * drawn + 1) * slices / (2 * pictures);
          if (s >= z + p.size(0)) break;
          const Tensor grey = grey_picture(stack.read(s, 1).select(0, 0), model.mean, model.std);
          std::string number = std::to_string(stack.first() + s);
          number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
          io::write_image(draw_membranes(grey, p.select(0, s - z).contiguous()), a.out + "/slice-" + number + ".png");
        }
        return !flag.raised();
      },
      tile_bar("predict"));
  if (!whole) return void(std::cout << "stopped before the end: no membranes.npy was written\n");
  writer.finish();
  std::cout << slices << " slices, " << 100 * share.compute() << " % membrane\n"
            << a.out << "/membranes.npy (0 to 255: the probability), " << pictures << " pictures slice-*.png\n";
}

void run_cells(const Arguments& a) {
  const Cells cells = draw_cells({a.size[0], a.size[1], a.size[2]}, a.seed);
  for (const char* part : {"image", "label"}) {
    const fs::path folder = fs::path(a.out) / part;
    WEFT_CHECK(!fs::exists(folder), IoError, folder.string(), ": is there already; name another --out");
    fs::create_directories(folder);
    const Tensor volume = std::string(part) == "image" ? cells.image : (1 - cells.membrane) * 255;
    for (int64_t z = 0; z < a.size[0]; ++z) {
      std::string number = std::to_string(z);
      number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
      io::write_image(volume.select(0, z).contiguous(), (folder / (number + ".png")).string());
    }
  }
  std::cout << a.size[0] << " slices: " << a.out << "/image and " << a.out << "/label (0 is membrane, 255 cell)\n";
}

void add_data(CLI::App& app, Arguments& a, bool labels) {
  app.add_option("--data", a.data, "folder with `image` and `label`: folders of slices, or files .npy .nii .tif .h5");
  app.add_option("--image", a.image,
                 "the volume: a folder of slices, .npy, NIfTI, multi-page TIFF, HDF5 (FILE:DATASET)");
  if (labels) {
    app.add_option("--label", a.label, "its labels, in the same kinds of file");
    app.add_option("--membrane", a.membrane, "which labels are membrane: <128, >0, =1")
        ->capture_default_str()
        ->check([](const std::string& text) -> std::string {
          try {
            MembraneRule::parse(text);
            return "";
          } catch (const Error& e) { return e.what(); }
        });
  }
  app.add_option("--size", a.size, "D H W of volumes that are drawn where none is named")
      ->expected(3)
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  app.add_option("--mean", a.mean, "grey value that becomes 0; default: the network's (125 for bytes), or the volume's")
      ->check(finite_number());
  app.add_option("--std", a.std, "difference of grey values that becomes 1")->check(finite_number(false));
}

void add_network(CLI::App& app, Arguments& a) {
  app.add_option("--device", a.device, "cpu, cuda or cuda:N")->capture_default_str()->check(device_name());
  app.add_option("--dtype", a.dtype, "f32 or bf16 (autocast)")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--threads", a.threads, "default: all cores")->check(CLI::Range(1, 1024));
  app.add_option("--memory", a.memory, "MiB for the network's activations; larger volumes go through it in tiles")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--tile", a.tile, "D H W of tiles; 0: as --memory allows, the default")
      ->expected(3)
      ->check(CLI::Range(0, 65536));
  app.add_option("--overlap", a.overlap, "of neighbouring tiles; from 14 56 56 on no border shows")
      ->expected(3)
      ->capture_default_str()
      ->check(CLI::Range(0, 65536));
}

void add_train(CLI::App& app, Arguments& a) {
  TrainOptions& o = a.train;
  const auto count = [](int64_t least) { return CLI::Range(least, int64_t{1} << 40); };
  add_data(app, a, true);
  add_network(app, a);
  app.add_option("--out", a.out, "folder of the run")->required();
  app.add_option("--train-slices", a.train_slices, "learned from; default: all but the last fifth")
      ->check(slice_range());
  app.add_option("--held-out", a.held_out, "evaluated on; default: the last fifth")->check(slice_range());
  app.add_option("--volumes", a.volumes, "drawn where no data is named")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  app.add_option("--patch", a.patch, "D H W")->expected(3)->capture_default_str()->check(CLI::Range(1, 4096));
  app.add_option("--width", o.width, "channels at full resolution")
      ->capture_default_str()
      ->check(multiple_of(4, 4, 256));
  app.add_option("--steps", o.steps, "of the optimiser")->capture_default_str()->check(count(1));
  app.add_option("--batch", o.batch, "patches")->capture_default_str()->check(CLI::Range(1, 1024));
  app.add_option("--accumulate", o.accumulate, "batches for one step")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  app.add_option("--lr", o.lr, "learning rate")->capture_default_str()->check(finite_number(false));
  app.add_option("--warmup", o.warmup, "steps in which the rate rises, at most a quarter of all")
      ->capture_default_str()
      ->check(count(0));
  app.add_option("--weight-decay", o.weight_decay)->capture_default_str()->check(finite_number(true));
  app.add_option("--pos-weight", o.pos_weight, "of membranes in the cross entropy")
      ->capture_default_str()
      ->check(finite_number(false));
  app.add_option("--dice-weight", o.dice_weight, "of the Dice loss beside it")
      ->capture_default_str()
      ->check(finite_number(true));
  app.add_flag("--balanced", o.balanced, "every second patch has a membrane at its middle");
  app.add_option("--seed", o.seed, "of weights and patches, and of volumes that are drawn")->capture_default_str();
  app.add_option("--workers", o.workers, "threads that cut patches")->capture_default_str()->check(CLI::Range(0, 64));
  app.add_flag("--checkpoint-activations", o.checkpoint_activations, "less memory, more time");
  app.add_option("--every", o.every, "steps between evaluations, which save")->capture_default_str()->check(count(1));
  app.add_option("--stop-at", o.stop_at, "end after this step, as Ctrl-C does")->check(count(1));
  app.add_flag("--resume", o.resume, "go on from the last checkpoint in --out");
}

/// What is wrong with sizes that are three numbers; empty if nothing is.
std::string wrong_sizes(const Arguments& a) {
  const auto multiple = [](const char* name, const std::vector<int64_t>& size) {
    return size[1] % 4 == 0 && size[2] % 4 == 0
               ? ""
               : str(name, ": H and W are multiples of 4, not ", size[1], " and ", size[2]);
  };
  const std::string patch = multiple("--patch", a.patch);
  return patch.empty() ? multiple("--tile", a.tile) : patch;
}

}  // namespace

int main(int argc, char** argv) try {
  Arguments a;
  CLI::App app("Finds the membranes of cells in electron microscope volumes with a 3-D U-Net.", "segmentation3d");
  app.require_subcommand(1);
  CLI::App* train = app.add_subcommand("train", "train the network on a volume and its labels");
  add_train(*train, a);
  CLI::App* eval = app.add_subcommand("eval", "measure a trained network on a volume and its labels");
  CLI::App* predict = app.add_subcommand("predict", "write the membranes of a volume, and pictures of its slices");
  for (CLI::App* command : {eval, predict}) {
    add_data(*command, a, command == eval);
    add_network(*command, a);
    command->add_option("--model", a.model, "what train wrote; default: " + kShippedModel + ", which is shipped");
    command->add_option("--slices", a.slices, "those alone, FIRST to END - 1")->check(slice_range());
    command->add_option("--seed", a.seed, "of a volume that is drawn")->capture_default_str();
  }
  eval->add_option("--out", a.out, "also write a picture: slices, what is found, what is right; .png or .jpg")
      ->check(picture_to_write());
  predict->add_option("--out", a.out, "folder")->required();
  predict->add_option("--pictures", a.pictures, "slices that are drawn, spread evenly; -1: all")
      ->capture_default_str()
      ->check(CLI::Range(-1, 1 << 20));
  CLI::App* cells = app.add_subcommand("cells", "draw a volume of cells and its labels, as folders of slices");
  cells->add_option("--out", a.out, "folder")->required();
  cells->add_option("--size", a.size, "D H W")->expected(3)->capture_default_str()->check(CLI::Range(1, 4096));
  cells->add_option("--seed", a.seed)->capture_default_str();
  if (const int wrong = parse(app, "segmentation3d", argc, argv)) return wrong;
  if (const std::string wrong = wrong_sizes(a); !wrong.empty()) {
    std::cerr << "segmentation3d: " << wrong << '\n';
    return 2;
  }

  if (a.threads > 0) set_num_threads(static_cast<int>(a.threads));
  std::string command = "segmentation3d";
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  if (*train) run_train(a, command);
  if (*eval) run_eval(a);
  if (*predict) run_predict(a);
  if (*cells) run_cells(a);
  return InterruptFlag::exit_status();
} catch (const std::exception& e) {
  std::cerr << "segmentation3d: " << e.what() << '\n';
  return 1;
}
