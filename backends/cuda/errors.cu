// What the runtime's errors become.
#include <cxxabi.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>

#include "weft/backends/cuda/runtime.h"
#include "weft/core/error.h"

namespace weft::cuda {
namespace {

/// After one of these every further call in the process fails.
bool context_lost(cudaError_t e) {
  switch (e) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorContextIsDestroyed:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorTensorMemoryLeak:
    case cudaErrorMpsClientTerminated:
    case cudaErrorExternalDevice: return true;
    default: return false;
  }
}

[[noreturn]] void fail(cudaError_t e, const std::string& what) {
  (void)ok(e);
  if (e >= cudaErrorStreamCaptureUnsupported && e <= cudaErrorStreamCaptureWrongThread)
    raise<NotSupported>("cuda: a graph cannot hold ", what, ": ", cudaGetErrorString(e));
  if (!context_lost(e)) raise<DeviceError>("cuda: ", what, ": ", cudaGetErrorString(e));
  static std::atomic<bool> told{false};
  if (told.exchange(true)) raise<DeviceError>("cuda: ", what, ": the context was lost before; start the process again");
  raise<DeviceError>("cuda: ", what, ": ", cudaGetErrorString(e), " in a kernel that was started before; the context ",
                     "is lost, start the process again (with CUDA_LAUNCH_BLOCKING=1 the error names the kernel)");
}

std::string name_of(const void* kernel) {
  const char* symbol = nullptr;
  if (!ok(cudaFuncGetName(&symbol, kernel)) || !symbol) return "kernel";
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(symbol, nullptr, nullptr, &status),
                                                         std::free);
  return status == 0 ? name.get() : symbol;
}

}  // namespace

void check(int e, const char* what) {
  if (e != cudaSuccess) [[unlikely]]
    fail(static_cast<cudaError_t>(e), what);
}

void check_launch(int e, const void* kernel) {
  if (e != cudaSuccess) [[unlikely]]
    fail(static_cast<cudaError_t>(e), "launch of " + name_of(kernel));
}

void refuse_capture(cudaStream_t s, const char* what) {
  if (capture_of(s))
    raise<NotSupported>("cuda: a graph cannot hold ", what,
                        ", and the stream is being captured; do it before or after");
}
void refuse_capture(const char* what) { refuse_capture(static_cast<cudaStream_t>(stream()), what); }

}  // namespace weft::cuda
