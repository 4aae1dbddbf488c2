// A plugin that refuses the ABI it is asked for.
#include <string>

extern "C" __attribute__((visibility("default"))) const char* weft_register(int abi) {
  static std::string why;
  why = "this plugin was built for another version of weft, not for ABI " + std::to_string(abi);
  return why.c_str();
}
