#include "weft/nn/utils.h"

#include "weft/autograd/grad_mode.h"
#include "weft/autograd/ops/shape/shape.h"

namespace weft::nn {

Tensor parameters_to_vector(const std::vector<Tensor>& params) {
  WEFT_CHECK(!params.empty(), ValueError, "parameters_to_vector: the list of parameters is empty");
  std::vector<Tensor> flat;
  for (const Tensor& p : params) flat.push_back(p.flatten());
  return cat(flat);
}

void vector_to_parameters(const Tensor& vector, const std::vector<Tensor>& params) {
  int64_t n = 0, at = 0;
  for (const Tensor& p : params) n += p.numel();
  WEFT_CHECK(vector.shape() == Shape({n}), ShapeError, "vector_to_parameters: the vector has shape ", vector.shape(),
             ", the parameters have ", n, " elements");
  NoGrad guard;
  for (Tensor p : params) {
    p.copy_(vector.narrow(0, at, p.numel()).reshape(p.shape()));
    at += p.numel();
  }
}

}  // namespace weft::nn
