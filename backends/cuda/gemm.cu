// Products by cuBLASLt.
#include "weft/backends/cuda/gemm.cuh"

#include <cublasLt.h>

#include <unordered_map>
#include <utility>

#include "weft/backends/cuda/register.h"
#include "weft/backends/cuda/runtime.h"
#include "weft/core/backend.h"
#include "weft/core/kernels.h"

namespace weft::cuda {
namespace {

void check_lt(cublasStatus_t s, const char* what) {
  if (s == CUBLAS_STATUS_SUCCESS) [[likely]]
    return;
  check(cudaGetLastError(), what);  // the reason, where it is the card's
  raise<DeviceError>("cuda: ", what, ": ", cublasLtGetStatusString(s));
}

struct Algorithm {
  cublasLtMatmulAlgo_t algo;
  size_t workspace;
};
// A thread's own, per device: no locks on the way to a kernel. Never destroyed, as the driver may be gone first.
struct Library {
  cublasLtHandle_t handle = nullptr;
  std::unordered_map<LtKey, Candidates<Algorithm>, LtKeyHash> choices;
};
Library& library() {
  thread_local auto* all = new std::unordered_map<int, Library>;
  Library& l = (*all)[device()];
  if (!l.handle) {
    const DuringCapture allowed;
    check_lt(cublasLtCreate(&l.handle), "cublasLtCreate");
  }
  return l;
}

constexpr size_t kMostWorkspace = size_t{32} << 20;
constexpr size_t kMostChoices = 4096;
constexpr int kMostAlgorithms = 8;

cudaDataType_t type_of(Dtype d) {
  switch (d) {
    case Dtype::f64: return CUDA_R_64F;
    case Dtype::bf16: return CUDA_R_16BF;
    case Dtype::f16: return CUDA_R_16F;
    default: return CUDA_R_32F;
  }
}

cublasLtEpilogue_t epilogue_of(Epilogue e) {
  switch (e) {
    case Epilogue::bias: return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::relu: return CUBLASLT_EPILOGUE_RELU;
    case Epilogue::relu_bias: return CUBLASLT_EPILOGUE_RELU_BIAS;
    case Epilogue::gelu: return CUBLASLT_EPILOGUE_GELU;
    case Epilogue::gelu_bias: return CUBLASLT_EPILOGUE_GELU_BIAS;
    default: return CUBLASLT_EPILOGUE_DEFAULT;
  }
}

class LibraryLayout {
 public:
  LibraryLayout(const LtMatrix& m, Dtype dtype, int64_t batch) {
    check_lt(cublasLtMatrixLayoutInit(&layout_, type_of(dtype), static_cast<uint64_t>(m.rows),
                                      static_cast<uint64_t>(m.cols), m.ld),
             "cublasLtMatrixLayoutInit");
    const auto count = static_cast<int32_t>(batch);
    set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, count);
    set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, m.batch_stride);
  }
  cublasLtMatrixLayout_t get() { return &layout_; }

 private:
  template <class T> void set(cublasLtMatrixLayoutAttribute_t attribute, const T& value) {
    check_lt(cublasLtMatrixLayoutSetAttribute(&layout_, attribute, &value, sizeof value),
             "cublasLtMatrixLayoutSetAttribute");
  }
  cublasLtMatrixLayoutOpaque_t layout_;
};

// False if the library has no algorithm for it. The bias is aligned to kWidestLoad.
bool by_library(const Gemm& g, const LtProblem& p) {
  const bool wide = g.dtype == Dtype::f64, tf32 = g.dtype == Dtype::f32 && tf32_allowed();
  Library& l = library();
  cublasLtMatmulDescOpaque_t desc;
  const auto set = [&desc](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
    check_lt(cublasLtMatmulDescSetAttribute(&desc, attribute, &value, sizeof value), "cublasLtMatmulDescSetAttribute");
  };
  check_lt(cublasLtMatmulDescInit(&desc,
                                  wide   ? CUBLAS_COMPUTE_64F
                                  : tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                         : CUBLAS_COMPUTE_32F,
                                  wide ? CUDA_R_64F : CUDA_R_32F),
           "cublasLtMatmulDescInit");
  const auto op = [](const LtMatrix& m) { return m.transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  set(CUBLASLT_MATMUL_DESC_TRANSA, op(p.a));
  set(CUBLASLT_MATMUL_DESC_TRANSB, op(p.b));
  set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(g.epilogue));
  if (has_bias(g.epilogue)) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, g.bias);
  LibraryLayout a(p.a, g.dtype, g.batch), b(p.b, g.dtype, g.batch), d(p.d, g.out_dtype, g.batch);
  const LtKey key = lt_key(g, p, tf32);
  auto at = l.choices.find(key);
  if (at == l.choices.end()) {
    if (l.choices.size() >= kMostChoices) l.choices.clear();  // shapes that never come back must not pile up
    cublasLtMatmulPreferenceOpaque_t preference;
    check_lt(cublasLtMatmulPreferenceInit(&preference), "cublasLtMatmulPreferenceInit");
    const auto prefer = [&preference](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      check_lt(cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &value, sizeof value),
               "cublasLtMatmulPreferenceSetAttribute");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostWorkspace);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, lt_alignment(g.b));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, lt_alignment(g.a));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, lt_alignment(g.out));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, lt_alignment(g.out));
    // Parts of a long sum meet in f32, not in d.
    if (g.out_dtype == Dtype::bf16 || g.out_dtype == Dtype::f16)
      prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    cublasLtMatmulHeuristicResult_t result[kMostAlgorithms];
    int found = 0;
    const cublasStatus_t s = cublasLtMatmulAlgoGetHeuristic(l.handle, &desc, a.get(), b.get(), d.get(), d.get(),
                                                            &preference, kMostAlgorithms, result, &found);
    Candidates<Algorithm> candidates;
    if (s == CUBLAS_STATUS_SUCCESS) {
      for (int i = 0; i < found; ++i)
        if (result[i].state == CUBLAS_STATUS_SUCCESS) candidates.add({result[i].algo, result[i].workspaceSize});
    } else if (s != CUBLAS_STATUS_NOT_SUPPORTED && s != CUBLAS_STATUS_INVALID_VALUE) {
      check_lt(s, "cublasLtMatmulAlgoGetHeuristic");
    }
    at = l.choices.emplace(key, std::move(candidates)).first;
  }

  const float alpha32 = static_cast<float>(g.alpha), beta32 = static_cast<float>(g.beta);
  const void* alpha = wide ? static_cast<const void*>(&g.alpha) : &alpha32;
  const void* beta = wide ? static_cast<const void*>(&g.beta) : &beta32;
  return at->second.run([&](const Algorithm& choice) {
    const Scratch workspace(choice.workspace);
    const cublasStatus_t s = cublasLtMatmul(l.handle, &desc, alpha, g.b, a.get(), g.a, b.get(), beta, g.out, d.get(),
                                            g.out, d.get(), &choice.algo, workspace.as(), choice.workspace,
                                            static_cast<cudaStream_t>(stream()));
    if (s == CUBLAS_STATUS_NOT_SUPPORTED) {  // the heuristics do not know all
      (void)cudaGetLastError();
      return false;
    }
    check_lt(s, "cublasLtMatmul");
    return true;
  });
}

}  // namespace

void gemm(const Gemm& given) {
  if (given.batch * given.m * given.n == 0) return;
  if (!is_floating(given.dtype) || given.k == 0) return gemm_own(given);
  constexpr int64_t kMostBatch = 65535;  // what a grid has in its last axis
  if (given.batch > kMostBatch) {
    const auto item = static_cast<int64_t>(itemsize(given.dtype)),
               out_item = static_cast<int64_t>(itemsize(given.out_dtype));
    for (int64_t first = 0; first < given.batch; first += kMostBatch) {
      Gemm part = given;
      part.batch = given.batch - first < kMostBatch ? given.batch - first : kMostBatch;
      part.a = static_cast<const char*>(given.a) + first * given.a_batch * item;
      part.b = static_cast<const char*>(given.b) + first * given.b_batch * item;
      part.out = static_cast<char*>(given.out) + first * given.out_batch * out_item;
      gemm(part);
    }
    return;
  }
  Gemm g = given;
  Scratch a, b, bias;
  bool copy_a = false, copy_b = false;
  LtProblem p = lt_problem(g, copy_a, copy_b);
  if (copy_a) g.a = compact_operand(g.a, g.dtype, g.batch, g.m, g.k, g.a_batch, g.a_row, g.a_col, a, move);
  if (copy_b) g.b = compact_operand(g.b, g.dtype, g.batch, g.k, g.n, g.b_batch, g.b_row, g.b_col, b, move);
  if (copy_a || copy_b) p = lt_problem(g, copy_a, copy_b);
  g.bias = aligned_bias(g, bias);
  if (by_library(g, p)) return;
  if (g.epilogue != Epilogue::none) {
    Gemm plain = g;
    plain.epilogue = Epilogue::none;
    if (by_library(plain, p)) return finish(g);
  }
  gemm_own(g);
}

void register_gemm() { kernels::matmul.set(DeviceType::cuda, matmul, kNumericDtypes); }

}  // namespace weft::cuda
