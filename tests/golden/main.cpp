// golden_driver FOLDER...: runs golden vectors and says what failed and what was not run. With --strict a case of a
// function, module, kind or argument that the driver does not know fails the run.
#include <cstring>
#include <iostream>

#include "golden/folder.h"
#include "support/lent_device.h"
#include "weft/core/error.h"

int main(int argc, char** argv) {
  golden::Options options;
  std::vector<std::string> folders;
  std::string device = "cpu";
  bool strict = false;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--filter") && i + 1 < argc) options.filter = argv[++i];
    else if (!std::strcmp(argv[i], "--device") && i + 1 < argc) device = argv[++i];
    else if (!std::strcmp(argv[i], "--verbose")) options.verbose = true;
    else if (!std::strcmp(argv[i], "--strict")) strict = true;
    else if (!std::strncmp(argv[i], "--", 2)) folders.clear(), i = argc;
    else folders.emplace_back(argv[i]);
  }
  if (folders.empty()) {
    std::cerr << "usage: golden_driver [--device cpu|cuda] [--filter TEXT] [--strict] [--verbose] FOLDER...\n";
    return 2;
  }
  try {
    if (device == "custom") support::lend_cpu();  // the CPU under another name
    golden::device() = weft::Device(device);
  } catch (const weft::Error& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
  golden::Report report;
  for (const std::string& folder : folders) {
    try {
      golden::Folder(folder).run(options, report);
    } catch (const std::exception& e) {
      ++report.failed;
      std::cout << "FAIL " << folder << ": " << e.what() << '\n';
    }
  }
  for (const auto& [reason, count] : report.skip_reasons) std::cout << "skipped " << count << ": " << reason << '\n';
  std::cout << report.passed << " passed, " << report.failed << " failed, " << report.skipped << " skipped"
            << std::endl;
  if (report.passed + report.failed + report.skipped == 0) std::cerr << "golden_driver: no case was found\n";
  if (strict && report.unknown) {
    std::cout << "golden_driver: " << report.unknown << " cases are not known, which --strict does not allow\n";
    return 1;
  }
  return report.failed || report.passed + report.skipped == 0 ? 1 : 0;
}
