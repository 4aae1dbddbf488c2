// Each CASE must not compile: the message says what to write.
#include <optional>

#include "weft/autograd/ops/linalg/matmul.h"
#include "weft/nn/containers.h"
#include "weft/nn/dropout.h"
#include "weft/nn/linear.h"

using namespace weft;

struct Plain : nn::Module {
  nn::Linear fc{2, 2};
#if CASE == 0
  void fine(const Tensor& x) {
    const Tensor& w = fc.weight;
    auto handle = fc.weight;
    std::vector<nn::Parameter> list{fc.weight, fc.bias};
    std::vector<Tensor> plain{fc.weight.tensor(), x};
    (void)linear(x, w, fc.bias);
    (void)handle.shape();
    nn::Dropout drop(0.5);
    double before = drop.p;
    drop.p = before;
  }
#elif CASE == 1
  Tensor scale = param("scale", Tensor());
#elif CASE == 2
  std::vector<Tensor> list{fc.weight, fc.bias};
#elif CASE == 3
  std::optional<Tensor> maybe = fc.weight;
#elif CASE == 4
  void local() { Tensor w = buffer("w", Tensor()); }
#elif CASE == 5
  Tensor late;
  void assign() { late = param("late", Tensor()); }
#elif CASE == 6
  Tensor result() { return fc.weight; }
#elif CASE == 7
  void reset() { fc.weight = Tensor(); }
#elif CASE == 8
  nn::Dropout drop{0.5};
  void quiet() { auto before = drop.p; }
#elif CASE == 9
  void lost(nn::Sequential net) { net[0] = nn::Dropout(0.5); }
#elif CASE == 10
  Tensor rows(const Tensor& x) { return x[{0, 2}]; }
#endif
};
