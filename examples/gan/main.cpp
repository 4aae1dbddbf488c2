// gan: two networks in a game. The generator turns noise into points; the critic tells them from real ones.
//
// Data:    made by the program: eight Gaussians with standard deviation 0.1 on a circle of radius 2.
// Run:     gan
// Prints:  the losses and a map of the generated points, then as its last line
//          8 of 8 Gaussians are met, 0.9 of the points are near one
#include <weft/weft.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
using namespace weft;

constexpr double kRadius = 2, kDeviation = 0.1;
constexpr int64_t kNoise = 8;

/// The centres of the Gaussians: [8, 2].
Tensor centres() {
  Tensor angle = arange(8) * (2 * std::acos(-1.0) / 8);
  return stack({cos(angle), sin(angle)}, 1) * kRadius;
}

/// Real points: [N, 2].
Tensor real_points(int64_t count) {
  return index_select(centres(), 0, randint(0, 8, {count})) + randn({count, 2}) * kDeviation;
}

nn::Sequential network(int64_t in, int64_t out) {
  const int64_t width = 96;
  return nn::Sequential(nn::Linear(in, width), nn::LeakyReLU(0.2), nn::Linear(width, width), nn::LeakyReLU(0.2),
                        nn::Linear(width, out));
}

int main() try {
  manual_seed(4);
  nn::Sequential generator = network(kNoise, 2), critic = network(2, 1);
  optim::Adam generator_opt(generator.parameters(), {.lr = 1e-3, .betas = {0.5, 0.99}});
  optim::Adam critic_opt(critic.parameters(), {.lr = 1e-3, .betas = {0.5, 0.99}});
  // The running mean of the weights draws steadier points than the weights of any one step.
  optim::ExponentialMovingAverage average(generator.parameters(), {.decay = 0.995, .warmup = true});

  const int steps = 4000;
  const int64_t batch = 128;
  for (int step = 1; step <= steps; ++step) {
    // The critic's turn: real points up, generated ones down. detach() keeps the generator out of its gradients.
    Tensor real = real_points(batch).set_requires_grad(), fake = generator(randn({batch, kNoise})).detach();
    Tensor score = critic(real);
    Tensor critic_loss = mean(softplus(-score)) + mean(softplus(critic(fake)));
    // The squared slope of the critic at real points is kept small (Mescheder et al. 2018): a gradient in a loss, which
    // create_graph makes differentiable.
    Tensor slope = grad(sum(score), {real}, {.create_graph = true})[0];
    Tensor penalty = mean(sum(square(slope), 1)) * 0.05;
    critic_opt.zero_grad();
    (critic_loss + penalty).backward();
    critic_opt.step();

    // The generator's turn: its points should score like real ones.
    Tensor generator_loss = mean(softplus(-critic(generator(randn({batch, kNoise})))));
    generator_opt.zero_grad();
    generator_loss.backward();
    generator_opt.step();
    average.update();

    if (step % 500 == 0)
      std::printf("step %4d  critic %.3f  generator %.3f\n", step, critic_loss.item<double>(),
                  generator_loss.item<double>());
  }

  NoGrad guard;
  const auto scope = average.average_parameters();  // the generator has the averages while this lives
  Tensor points = generator(randn({2000, kNoise}));

  // A map of the plane from -2.5 to 2.5.
  std::vector<std::string> rows(20, std::string(40, ' '));
  const std::vector<float> xy = points.to_vector<float>();
  for (size_t i = 0; i < xy.size(); i += 2) {
    const int column = static_cast<int>((xy[i] + 2.5) * 8), row = static_cast<int>((2.5 - xy[i + 1]) * 4);
    if (column >= 0 && column < 40 && row >= 0 && row < 20) rows[row][column] = '*';
  }
  for (const std::string& row : rows) std::printf("  |%s|\n", row.c_str());

  // A point is near a Gaussian within four deviations; a Gaussian is met by 2 % of the points.
  auto [distance, nearest] = min(cdist(points, centres()), 1);
  Tensor near = lt(distance, 4 * kDeviation);
  Tensor hits = sum(one_hot(nearest, 8) * near.unsqueeze(1), 0);
  const int64_t met = sum(ge(hits, 40)).item<int64_t>();
  std::printf("%d of 8 Gaussians are met, %.2f of the points are near one\n", static_cast<int>(met),
              mean(near.to(Dtype::f32)).item<double>());
} catch (const Error& e) {
  std::fprintf(stderr, "gan: %s\n", e.what());
  return 1;
}
