// The only part of the CUDA backend inside libweft: finds libweft_cuda.so beside libweft.so when CUDA is first asked
// for and lets it register itself. WEFT_CUDA_PLUGIN names another file, or 0 to do without.
#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "weft/backends/cuda/abi.h"
#include "weft/core/backend.h"

namespace weft {
namespace {

std::filesystem::path beside_libweft() {
  Dl_info here{};
  if (!dladdr(reinterpret_cast<void*>(&load_cuda_backend), &here) || !here.dli_fname) return cuda::kPluginName;
  return std::filesystem::path(here.dli_fname).parent_path() / cuda::kPluginName;
}

std::string load() {
  const char* named = std::getenv("WEFT_CUDA_PLUGIN");
  if (named && std::string_view(named) == "0") return "turned off by WEFT_CUDA_PLUGIN=0";
  const std::filesystem::path file = named ? std::filesystem::path(named) : beside_libweft();
  std::error_code none;
  if (!std::filesystem::exists(file, none))
    return "there is no " + file.string() + "; build weft with the CUDA toolkit (-DWEFT_CUDA=ON)";
  // Never closed: cuBLAS keeps threads. Local: its symbols are nobody's business.
  void* plugin = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!plugin) return std::string(dlerror()) + "; install the CUDA 13 libraries";
  auto enter = reinterpret_cast<cuda::Register>(dlsym(plugin, cuda::kRegisterName));
  if (!enter) return file.string() + " has no " + cuda::kRegisterName + "; it is no plugin of weft";
  const char* missing = enter(cuda::kAbi);
  return missing ? missing : "";
}

}  // namespace

const std::string& load_cuda_backend() {
  static const std::string why = load();
  return why;
}

}  // namespace weft
