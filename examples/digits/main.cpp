// digits: a small convolutional network learns to read digits, and goes on where it was stopped.
//
// Data:    drawn by the program, a 5 x 7 font in 16 x 16 pixels of noise; or a folder with MNIST's files.
// Run:     digits [FOLDER] [--resume] [--stop STEP]
// Writes:  digits-run/, the checkpoints. A run that was stopped, killed or interrupted goes on with --resume, and ends
//          with the same numbers as one that was not.
// Prints:  loss and accuracy after every epoch and the scores of each digit, then as its last line
//          accuracy on new pictures: 0.98
#include <weft/weft.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
using namespace weft;

constexpr const char* kFolder = "digits-run";

/// Each digit is seven rows of five pixels, '#' is ink.
const char* const kFont[10] = {".###.#...##..###.#.###..##...#.###.", "..#...##....#....#....#....#...###.",
                               ".###.#...#....#...#...#...#...#####", ".###.#...#....#..##.....##...#.###.",
                               "...#...##..#.#.#..#.#####...#....#.", "######....####.....#....##...#.###.",
                               ".###.#....#....####.#...##...#.###.", "#####....#...#...#...#....#....#...",
                               ".###.#...##...#.###.#...##...#.###.", ".###.#...##...#.####....#....#.###."};

/// `count` digits, u8 [1, 16, 16] and a class each: place, brightness and noise are random.
data::TensorDataset draw(int64_t count) {
  constexpr int64_t kSize = 16;
  Generator& random = default_generator();
  const Tensor label = randint(0, 10, {count});
  const std::vector<int64_t> digits = label.to_vector<int64_t>();
  Tensor image = zeros({count, 1, kSize, kSize});
  float* pixels = image.mut_data<float>();
  for (int64_t n = 0; n < count; ++n) {
    const auto top = static_cast<int64_t>(random.below(kSize - 7 + 1)),
               left = static_cast<int64_t>(random.below(kSize - 5 + 1));
    const auto ink = static_cast<float>(0.5 + 0.5 * random.uniform());
    for (int64_t i = 0; i < 35; ++i)
      if (kFont[digits[static_cast<size_t>(n)]][i] == '#')
        pixels[(n * kSize + top + i / 5) * kSize + left + i % 5] = ink;
  }
  return data::TensorDataset((clamp(image + randn(image.shape()) * 0.2, 0, 1) * 255).to(Dtype::u8), label);
}

/// Three convolutions; the greatest value of each channel, wherever it stands, goes to a linear layer.
/// [N, 1, H, W] -> [N, 10].
struct Net : nn::Module {
  nn::Conv2d conv1 = add("conv1", nn::Conv2d(1, 16, {.kernel_size = 3, .padding = 1, .bias = false}));
  nn::BatchNorm2d norm1 = add("norm1", nn::BatchNorm2d(16));
  nn::Conv2d conv2 = add("conv2", nn::Conv2d(16, 32, {.kernel_size = 3, .padding = 1, .bias = false}));
  nn::BatchNorm2d norm2 = add("norm2", nn::BatchNorm2d(32));
  nn::Conv2d conv3 = add("conv3", nn::Conv2d(32, 64, {.kernel_size = 3, .padding = 1}));
  nn::Dropout drop = add("drop", nn::Dropout(0.1));
  nn::Linear out = add("out", nn::Linear(64, 10));

  Tensor operator()(const Tensor& x) {
    Tensor h = max_pool2d(relu(norm1(conv1(x))), {.kernel_size = 2});
    h = max_pool2d(relu(norm2(conv2(h))), {.kernel_size = 2});
    return out(drop(amax(relu(conv3(h)), {2, 3})));
  }
};

int main(int argc, char** argv) try {
  std::string folder;
  bool resume = false;
  int64_t stop = 0;  // after this step, as if the machine were lost; 0: never
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--resume") resume = true;
    else if (word == "--stop" && i + 1 < argc) stop = std::atoll(argv[++i]);
    else folder = word;
  }

  manual_seed(7);
  const data::TensorDataset known = folder.empty() ? draw(4000) : data::MNIST(folder);
  const data::TensorDataset unknown = folder.empty() ? draw(1000) : data::MNIST(folder, false);
  const data::Compose augment(data::ToFloat(), data::GaussianNoise{.sigma = 0.05});
  data::Loader loader(data::map(known, augment), {.batch_size = 50, .shuffle = true, .workers = 1, .seed = 7});
  data::Loader test(data::map(unknown, data::Compose(data::ToFloat())), {.batch_size = 250});

  Net model;
  const int64_t epochs = 6;
  optim::AdamW opt(model.parameters());
  optim::OneCycleLR schedule(opt, {.max_lr = 5e-3, .total_steps = epochs * loader.size()});
  training::Mean loss_mean;  // of the epoch
  training::ConfusionMatrix matrix(10);

  if (!resume) std::filesystem::remove_all(kFolder);
  training::Checkpoint checkpoint(kFolder);
  checkpoint.add("model", model).add("opt", opt).add("schedule", schedule);
  checkpoint.add("loader", loader).add("loss", loss_mean).add("matrix", matrix);
  checkpoint.add("generator", default_generator());
  int64_t step = checkpoint.resume().value_or(0);
  if (step > 0) std::printf("from step %d\n", static_cast<int>(step));

  while (loader.epoch() < epochs) {
    for (const auto& batch : loader) {
      Tensor loss = cross_entropy(model(batch.data), batch.target);
      opt.zero_grad();
      loss.backward();
      opt.step();
      schedule.step();
      loss_mean.update(loss.detach());
      if (++step % 25 == 0) checkpoint.save(step);
      if (step == stop) return 0;
    }

    model.eval();  // norms use their running statistics, dropout does nothing
    matrix.reset();
    for (const auto& batch : test) {
      NoGrad guard;
      matrix.update(model(batch.data), batch.target);
    }
    model.train();
    std::printf("epoch %d  loss %.3f  accuracy %.3f\n", static_cast<int>(loader.epoch()), loss_mean.compute(),
                matrix.accuracy());
    loss_mean.reset();
    checkpoint.save(step, {.metric = matrix.accuracy()});
  }
  checkpoint.wait();
  std::printf("%s\naccuracy on new pictures: %.3f\n", matrix.str().c_str(), matrix.accuracy());
} catch (const std::exception& e) {
  std::fprintf(stderr, "digits: %s\n", e.what());
  return 1;
}
