// custom_layer: a layer of one's own, with parameters, a buffer, printing, saving and cloning.
//
// Data:    made by the program: two half moons of points in the plane, one for each class.
// Run:     custom_layer
// Prints:  the model, its state and its accuracy, then as its last line
//          accuracy of the loaded model: 0.99
#include <weft/weft.h>

#include <filesystem>
#include <iostream>
using namespace weft;

/// Radial basis functions: y_k = exp(-|x' - centre_k|^2 exp(log_sharpness_k)), x' = x / scale.
/// x: [N, features] -> [N, count]. State: centre [count, features], log_sharpness [count], scale [features].
class Radial : public nn::Module {
 public:
  /// The text in parentheses is what printing shows. Members are registered where they are declared.
  Radial(int64_t features, int64_t count)
      : Module("Radial", str(features, ", ", count)),
        centre(param("centre", randn({count, features}))),
        log_sharpness(param("log_sharpness", zeros({count}))),
        scale(buffer("scale", ones({features}))) {}

  Tensor operator()(const Tensor& x) const {
    WEFT_CHECK(x.rank() == 2 && x.size(1) == scale.size(0), ShapeError, "Radial: input ", x.shape(), " must be [N, ",
               scale.size(0), "]");
    Tensor from_centre = (x / scale).unsqueeze(1) - centre;  // [N, 1, features] - [count, features]
    return exp(-from_centre.square().sum(2) * exp(log_sharpness));
  }
  /// Takes the scale from data: [N, features]. A buffer is saved with the parameters, but no optimiser changes it.
  void fit_scale(const Tensor& x) {
    NoGrad guard;
    scale.copy_(weft::std(x, 0));
  }

  nn::Parameter centre, log_sharpness;
  nn::Buffer scale;
};

/// A module of layers; `add` registers a child under its name.
struct Classifier : nn::Module {
  Radial radial = add("radial", Radial(2, 32));
  nn::Linear out = add("out", nn::Linear(32, 2));
  Tensor operator()(const Tensor& x) { return out(radial(x)); }
};

struct Points {
  Tensor x, label;  // [N, 2], [N]
};
Points moons(int64_t count) {
  Tensor label = randint(0, 2, {count}), angle = rand({count}) * 3.14159265;
  Tensor side = label * 2 - 1;  // -1 for the upper moon, 1 for the lower one
  Tensor x = stack({cos(angle) * -side + label, sin(angle) * -side + label * 0.5}, 1);
  return {x + randn(x.shape()) * 0.12, label};
}

double accuracy(Classifier& model, const Points& p) {
  NoGrad guard;
  return (model(p.x).argmax(1) == p.label).to(Dtype::f32).mean().item<double>();
}

void train(Classifier& model, const Points& p, int steps) {
  optim::AdamW opt(model.parameters(), {.lr = 2e-2});
  for (int step = 0; step < steps; ++step) {
    Tensor loss = cross_entropy(model(p.x), p.label);
    opt.zero_grad();
    loss.backward();
    opt.step();
  }
}

int main() try {
  manual_seed(5);
  const Points training = moons(500), test = moons(1000);

  Classifier model;
  model.radial.fit_scale(training.x);
  std::cout << model << '\n';
  for (const auto& [name, tensor] : model.state_dict()) std::cout << name << ' ' << tensor.shape() << '\n';

  // A copy is a second handle of the same parameters. A clone has parameters of its own.
  Classifier same = model, before = nn::clone(model);
  train(model, training, 300);
  std::cout << "accuracy of the clone, untrained: " << accuracy(before, test) << '\n';
  std::cout << "accuracy of the model and of its copy: " << accuracy(model, test) << ", " << accuracy(same, test)
            << '\n';

  // Saved by name. A new model takes the parameters and the buffer from the file.
  const auto path = (std::filesystem::temp_directory_path() / "weft_custom_layer.safetensors").string();
  io::save(model, path);
  Classifier loaded;
  io::load(loaded, path);
  std::filesystem::remove(path);
  std::cout << "accuracy of the loaded model: " << accuracy(loaded, test) << '\n';
} catch (const Error& e) {
  std::cerr << "custom_layer: " << e.what() << '\n';
  return 1;
}
