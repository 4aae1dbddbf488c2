// weft-bench-loader: JPEGs of a folder to batches of 32, resized, cropped, flipped and normalised. peer.py does the
// same in PyTorch.
#include <sys/resource.h>
#include <weft/weft.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <limits>

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

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times a loader of JPEGs; prints a line of JSON");
  std::string folder, plain;
  int workers = 2, epochs = 4;
  bool reduced = false;
  app.add_option("pictures", folder, "a folder with a folder of .jpg files")->required();
  app.add_option("--workers", workers);
  app.add_option("--epochs", epochs);
  app.add_flag("--reduced", reduced, "decode at a reduced size where the picture shrinks by two or more");
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
  double cpu = 0, least = std::numeric_limits<double>::infinity();
  for (int epoch = 0; epoch <= epochs; ++epoch) {
    if (epoch == 1) cpu = cpu_seconds();
    const auto begin = std::chrono::steady_clock::now();
    int64_t n = 0;
    for (const auto& batch : loader) n += batch.data.size(0);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    if (epoch > 0) least = std::min(least, time.count());
  }
  const auto n = static_cast<double>(files.size());
  std::cout << str("{\"ms\": ", 1e3 * least / n, ", \"cpu_ms\": ", 1e3 * (cpu_seconds() - cpu) / (n * epochs),
                   ", \"pictures\": ", files.size(), "}\n");
}
