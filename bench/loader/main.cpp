// weft-bench-loader: JPEGs of a folder to batches of 32, resized, cropped, flipped and normalised. peer.py does the
// same in PyTorch.
#include <sys/resource.h>
#include <weft/weft.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <limits>
#include <thread>

namespace {

using namespace weft;

double cpu_seconds() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(u.ru_utime) + seconds(u.ru_stime);
}

struct Cost {
  double ms = 0, cpu_ms = 0;
};

/// The quickest of some epochs, after one that does not count, and their mean processor time.
Cost least(int epochs, const std::function<void()>& epoch) {
  Cost cost{.ms = std::numeric_limits<double>::infinity()};
  for (int i = 0; i <= epochs; ++i) {
    const double cpu = cpu_seconds();
    const auto begin = std::chrono::steady_clock::now();
    epoch();
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
    if (i == 0) continue;
    cost.ms = std::min(cost.ms, time.count());
    cost.cpu_ms += 1e3 * (cpu_seconds() - cpu) / epochs;
  }
  return cost;
}

/// Loader alone, training alone (of one batch, again and again) and both, an epoch each; and how much longer both take
/// than they must: the largest of the two and of their processor time over the cores.
template <class L> int together(L& loader, int64_t width, int epochs, int workers) {
  nn::Sequential net{nn::Conv2d(3, width, 7, {.stride = 4, .padding = 3}),
                     nn::BatchNorm2d(width),
                     nn::ReLU(),
                     nn::Conv2d(width, 2 * width, 3, {.stride = 2, .padding = 1}),
                     nn::BatchNorm2d(2 * width),
                     nn::ReLU(),
                     nn::Conv2d(2 * width, 2 * width, 3, {.padding = 1}),
                     nn::ReLU(),
                     nn::AdaptiveAvgPool2d(1),
                     nn::Flatten(),
                     nn::Linear(2 * width, 10)};
  optim::SGD opt(net.parameters(), {.lr = 1e-3, .momentum = 0.9});
  const auto step = [&](const Tensor& pictures, const Tensor& labels) {
    opt.zero_grad();
    cross_entropy(net(pictures), labels).backward();
    opt.step();
  };
  const auto first = loader.next();
  loader.stop();
  const Cost load = least(epochs, [&] {
    for (const auto& batch : loader) (void)batch;
  });
  const Cost train = least(epochs, [&] {
    for (int64_t i = 0; i < loader.size(); ++i) step(first->data, first->target);
  });
  const Cost both = least(epochs, [&] {
    for (const auto& batch : loader) step(batch.data, batch.target);
  });
  const double cores = std::min<double>(std::thread::hardware_concurrency(), workers + num_threads());
  const double must = std::max({load.ms, train.ms, (load.cpu_ms + train.cpu_ms) / cores});
  std::cout << str("{\"load_ms\": ", load.ms, ", \"train_ms\": ", train.ms, ", \"both_ms\": ", both.ms,
                   ", \"load_cpu_ms\": ", load.cpu_ms, ", \"train_cpu_ms\": ", train.cpu_ms,
                   ", \"over\": ", both.ms / must, "}\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times a loader of JPEGs; prints a line of JSON");
  std::string folder, plain;
  int workers = 2, epochs = 4;
  int64_t width = 0;
  bool reduced = false;
  app.add_option("pictures", folder, "a folder with a folder of .jpg files")->required();
  app.add_option("--workers", workers);
  app.add_option("--epochs", epochs);
  app.add_flag("--reduced", reduced, "decode at a reduced size where the picture shrinks by two or more");
  app.add_option("--train", width, "train on the batches too: a small network of so many channels");
  app.add_option("--plain", plain, "no chance: the first batch as .npy");
  CLI11_PARSE(app, argc, argv);

  const data::AnyTransform crop = plain.empty() ? data::AnyTransform(data::RandomCrop{{224}})
                                                : data::AnyTransform(data::CenterCrop{{224}});
  const data::Compose transform(data::Resize{{256}}, crop, data::RandomHorizontalFlip{plain.empty() ? 0.5 : 0.0},
                                data::ToFloat{}, data::Normalize{{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}});
  const data::ImageFolder files(folder, {.reduce_to = reduced ? 256 : 0});
  data::Loader loader(data::map(files, transform),
                      {.batch_size = 32, .shuffle = plain.empty(), .workers = workers, .seed = 0});
  if (!plain.empty()) {
    io::save_npy(loader.next()->data.contiguous(), plain);
    return 0;
  }
  if (width > 0) return together(loader, width, epochs, workers);
  const Cost cost = least(epochs, [&] {
    for (const auto& batch : loader) (void)batch;
  });
  const auto n = static_cast<double>(files.size());
  std::cout << str("{\"ms\": ", cost.ms / n, ", \"cpu_ms\": ", cost.cpu_ms / n, ", \"pictures\": ", files.size(),
                   "}\n");
}
