// unit_scaled: a convolutional network learns in f32, in bf16 and in simulated fp8, with the same settings.
//
// Data:    drawn by the program: gratings of one of eight directions, with any width and phase, in noise.
// Run:     unit_scaled [curves.svg]
// Prints:  the three losses every 50 steps, and draws their curves where a file is named. No loss is scaled, for unit
//          scaling keeps values and gradients near 1, in the middle of any format. It prints as its last line
//          largest of the last losses: 0.25
#include <weft/weft.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iomanip>
#include <numbers>
#include <optional>
#include <string>
using namespace weft;

constexpr int64_t kClasses = 8, kSize = 16, kBatch = 64, kSteps = 600, kEvery = 10;

struct Batch {
  Tensor image, label;  // [N, 1, 16, 16] of variance 1, [N]
};
Batch draw() {
  Tensor label = randint(0, kClasses, {kBatch});
  Tensor angle = (label.to(Dtype::f32) * (std::numbers::pi / kClasses)).reshape({-1, 1, 1, 1});
  Tensor place = arange(kSize).to(Dtype::f32), x = place.reshape({1, 1, 1, -1}), y = place.reshape({1, 1, -1, 1});
  Tensor phase = rand({kBatch, 1, 1, 1}) * (2 * std::numbers::pi), wave = rand({kBatch, 1, 1, 1}) * 0.6 + 0.5;
  Tensor grating = cos((x * cos(angle) + y * sin(angle)) * wave + phase);
  return {(grating + randn(grating.shape())) * (1 / std::sqrt(1.5)), label};
}

/// [N, 1, 16, 16] -> [N, 8]. The layers are PyTorch's by name and arguments; their scales are in the ops.
struct Net : nn::Module {
  unit_scaled::Conv2d conv1 = add("conv1", unit_scaled::Conv2d(1, 32, {.kernel_size = 5, .stride = 2, .padding = 2}));
  unit_scaled::Conv2d conv2 = add("conv2", unit_scaled::Conv2d(32, 64, {.kernel_size = 3, .stride = 2, .padding = 1}));
  unit_scaled::Linear linear = add("linear", unit_scaled::Linear(64 * 4 * 4, 128));
  unit_scaled::LinearReadout out = add("out", unit_scaled::LinearReadout(128, kClasses));

  Tensor operator()(const Tensor& x) {
    Tensor h = unit_scaled::gelu(conv2(unit_scaled::gelu(conv1(x))));
    return out(unit_scaled::gelu(linear(h.flatten(1))));
  }
};

enum class Format { f32, bf16, fp8 };
constexpr std::array<const char*, 3> kNames = {"f32", "bf16", "fp8"}, kColours = {"#1f6fb4", "#e08020", "#2a9040"};

/// Losses, each the mean of kEvery steps. All formats begin with the same weights and see the same pictures.
std::vector<double> train(Format format) {
  manual_seed(3);
  Net net;
  unit_scaled::Adam opt(net.parameters(), {.lr = 0.02});
  optim::CosineAnnealingLR schedule(opt, kSteps);
  std::vector<double> losses;
  training::Mean mean;
  for (int64_t step = 1; step <= kSteps; ++step) {
    manual_seed(static_cast<uint64_t>(1000 + step));  // stochastic rounding draws from the same generator
    const Batch batch = draw();
    opt.zero_grad();
    {
      std::optional<Autocast> autocast;
      std::optional<SimulateFormat> simulated;
      if (format == Format::bf16) autocast.emplace(Dtype::bf16);
      if (format == Format::fp8) simulated.emplace(FPFormat(4, 3), FPFormat(5, 2));  // as simulate_fp8()
      Tensor loss = unit_scaled::cross_entropy(net(batch.image), batch.label);
      loss.backward();
      mean.update(loss.detach());
    }
    opt.step();
    schedule.step();
    if (step % kEvery == 0) losses.push_back(mean.compute()), mean.reset();
  }
  return losses;
}

/// A panel for each format, all on one scale.
void write_svg(const std::string& path, const std::array<std::vector<double>, 3>& losses) {
  constexpr double kLeft = 40, kPanel = 190, kGap = 15, kTop = 30, kHeight = 180, kMost = 2.4;
  std::ofstream svg(path);
  svg << "<svg xmlns='http://www.w3.org/2000/svg' width='655' height='250' font-family='sans-serif' font-size='12'>\n"
      << "<rect width='655' height='250' fill='white'/>\n";
  const auto y = [&](double loss) { return kTop + kHeight * (1 - loss / kMost); };
  for (double at = 0; at < kMost + 0.1; at += 0.4)
    svg << "<path d='M40 " << y(at) << "H640' stroke='#ddd'/><text x='12' y='" << y(at) + 4 << "'>" << at
        << "</text>\n";
  for (size_t k = 0; k < 3; ++k) {
    const double left = kLeft + (kPanel + kGap) * static_cast<double>(k);
    const double width = kPanel / static_cast<double>(losses[k].size());
    svg << std::setprecision(3) << "<text x='" << left + 110 << "' y='20'>" << kNames[k] << ": " << losses[k].back()
        << std::setprecision(6) << "</text>\n<polyline fill='none' stroke-width='1.5' stroke='" << kColours[k]
        << "' points='";
    for (size_t i = 0; i < losses[k].size(); ++i)
      svg << left + width * (static_cast<double>(i) + 0.5) << ',' << y(losses[k][i]) << ' ';
    svg << "'/>\n";
  }
  svg << "<text x='270' y='240'>loss over " << kSteps << " steps</text>\n</svg>\n";
  WEFT_CHECK(svg.flush(), IoError, path, ": cannot be written");
}

int main(int argc, char** argv) try {
  const std::array<std::vector<double>, 3> losses = {train(Format::f32), train(Format::bf16), train(Format::fp8)};
  std::printf("step    f32   bf16    fp8\n");
  for (size_t i = 4; i < losses[0].size(); i += 5)
    std::printf("%4d  %.3f  %.3f  %.3f\n", static_cast<int>((i + 1) * kEvery), losses[0][i], losses[1][i],
                losses[2][i]);
  if (argc > 1) write_svg(argv[1], losses);
  std::printf("largest of the last losses: %.3f\n", std::max({losses[0].back(), losses[1].back(), losses[2].back()}));
} catch (const Error& e) {
  std::fprintf(stderr, "unit_scaled: %s\n", e.what());
  return 1;
}
