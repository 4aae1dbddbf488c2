// Activation layers.
#include "golden/modules.h"
#include "weft/nn/activation.h"

namespace golden {
namespace {

using namespace weft;

template <class M> void plain(Modules& m, const char* name) {
  m.add(name, [](const Args& a) {
    (void)a.boolean("inplace", false);  // changes no number
    return layer(M());
  });
}

/// An activation with arguments; PyTorch's `inplace` changes no number.
template <class F> void with(Modules& m, const char* name, F make) {
  m.add(name, [make](const Args& a) {
    (void)a.boolean("inplace", false);
    return layer(make(a));
  });
}

Approximate approximate(const Args& a) {
  const std::string word = a.word("approximate", "none");
  if (word != "none" && word != "tanh") throw ValueError("GELU: unknown approximate " + word);
  return word == "tanh" ? Approximate::tanh : Approximate::none;
}

}  // namespace

void add_activation_modules(Modules& m) {
  plain<nn::ReLU>(m, "nn.ReLU");
  plain<nn::ReLU6>(m, "nn.ReLU6");
  plain<nn::SELU>(m, "nn.SELU");
  plain<nn::SiLU>(m, "nn.SiLU");
  plain<nn::Mish>(m, "nn.Mish");
  plain<nn::Sigmoid>(m, "nn.Sigmoid");
  plain<nn::LogSigmoid>(m, "nn.LogSigmoid");
  plain<nn::Hardsigmoid>(m, "nn.Hardsigmoid");
  plain<nn::Hardswish>(m, "nn.Hardswish");
  plain<nn::Tanh>(m, "nn.Tanh");
  plain<nn::Softsign>(m, "nn.Softsign");
  plain<nn::Tanhshrink>(m, "nn.Tanhshrink");
  plain<nn::Softmax2d>(m, "nn.Softmax2d");
  with(m, "nn.LeakyReLU", [](const Args& a) { return nn::LeakyReLU(a.number("negative_slope", 0.01)); });
  with(m, "nn.PReLU", [](const Args& a) { return nn::PReLU(a.integer("num_parameters", 1), a.number("init", 0.25)); });
  with(m, "nn.ELU", [](const Args& a) { return nn::ELU(a.number("alpha", 1)); });
  with(m, "nn.GELU", [](const Args& a) { return nn::GELU(approximate(a)); });
  with(m, "nn.Hardtanh", [](const Args& a) { return nn::Hardtanh(a.number("min_val", -1), a.number("max_val", 1)); });
  with(m, "nn.Softplus", [](const Args& a) { return nn::Softplus(a.number("beta", 1), a.number("threshold", 20)); });
  with(m, "nn.Softmax", [](const Args& a) { return nn::Softmax(a.integer("dim")); });
  with(m, "nn.Softmin", [](const Args& a) { return nn::Softmin(a.integer("dim")); });
  with(m, "nn.CELU", [](const Args& a) { return nn::CELU(a.number("alpha", 1)); });
  with(m, "nn.GLU", [](const Args& a) { return nn::GLU(a.integer("dim", -1)); });
  with(m, "nn.Softshrink", [](const Args& a) { return nn::Softshrink(a.number("lambd", 0.5)); });
  with(m, "nn.Hardshrink", [](const Args& a) { return nn::Hardshrink(a.number("lambd", 0.5)); });
  with(m, "nn.Threshold", [](const Args& a) { return nn::Threshold(a.number("threshold", 0), a.number("value", 0)); });
  with(m, "nn.RReLU", [](const Args& a) { return nn::RReLU(a.number("lower", 1.0 / 8), a.number("upper", 1.0 / 3)); });
  with(m, "nn.LogSoftmax", [](const Args& a) { return nn::LogSoftmax(a.integer("dim")); });
}

}  // namespace golden
