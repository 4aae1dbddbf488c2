#include "share.h"

#include <unistd.h>
#include <weft/weft.h>

#include <filesystem>
#include <iostream>
#include <vector>

#include "../common/share_folder.h"

namespace fs = std::filesystem;

std::string shipped(const std::string& path) {
  std::error_code none;
  const fs::path name = fs::path(path).filename();
  if (path.empty() || name.empty() || fs::exists(path, none)) return path;
  for (const fs::path& folder : {share_folder(), fs::path(".demo")}) {
    const fs::path file = folder / name;
    if (!fs::is_regular_file(file, none)) continue;
    if (path != name.string()) std::cerr << "style_transfer: taking " << file.string() << '\n';
    return file.string();
  }
  return path;
}

std::string vgg_weights() {
  const std::string name = "vgg16_relu3_3.safetensors", file = shipped(name);
  std::error_code none;
  if (fs::exists(file, none)) return file;
  const fs::path share = share_folder(), script = share / "assets.py";
  const std::string into = access(share.c_str(), W_OK) == 0 ? share.string() : ".demo";
  weft::raise<weft::IoError>("VGG16's weights, ", name, ", are neither in ", share.string(),
                             " nor in .demo; fetch them with `/usr/bin/python3 ", script.string(), " --weights ", into,
                             "`, or name others with --features");
}
