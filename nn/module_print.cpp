// How a module is named and printed.
#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <ostream>
#include <string_view>
#include <typeinfo>

#include "weft/nn/module.h"

namespace weft::nn {

namespace {

std::string demangled(const std::type_info& type) {
  int status = 0;
  std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), std::free);
  return status == 0 ? text.get() : type.name();
}

bool of_the_library(const std::type_info& type) {
  const std::string_view mangled = type.name();  // of weft::nn::... and weft::unit_scaled::...
  return mangled.starts_with("N4weft2nn") || mangled.starts_with("N4weft11unit_scaled");
}

/// Whether a class has a layer or a container of the library among its bases.
bool extends_a_layer(const std::type_info& type) {
  auto is_layer = [](const std::type_info& base) {
    if (base == typeid(Module)) return false;
    return of_the_library(base) || extends_a_layer(base);
  };
  if (const auto* one = dynamic_cast<const abi::__si_class_type_info*>(&type)) return is_layer(*one->__base_type);
  if (const auto* many = dynamic_cast<const abi::__vmi_class_type_info*>(&type))
    return std::any_of(many->__base_info, many->__base_info + many->__base_count,
                       [&](const abi::__base_class_type_info& base) { return is_layer(*base.__base_type); });
  return false;
}

/// What a module of this class is called. `name` is the library's, or one that the class gives to itself
/// (`Module("Shift")`).
std::string name_of(const std::type_info& type, const std::string& name) {
  if (type == typeid(Module)) return name;
  if (!name.empty() && (of_the_library(type) || !extends_a_layer(type))) return name;
  const std::string full = demangled(type);
  const size_t args = full.find('<'), colons = full.rfind("::", args);
  return colons == std::string::npos ? full : full.substr(colons + 2);
}

}  // namespace

std::string Module::name() const {
  if (!state_->own_name.empty()) return state_->own_name;
  const std::string found = name_of(typeid(*this), state_->name);
  return found.empty() ? "Module" : found;
}

void Module::name_from(const std::type_info& type) const {
  if (!state_->own_name.empty()) return;
  const std::string found = name_of(type, state_->name);
  if (found != state_->name) (of_the_library(type) ? state_->name : state_->own_name) = found;
}

// Printing

namespace {

/// Later lines of a nested text move two columns to the right.
std::string indented(const std::string& text) {
  std::string out;
  for (char c : text) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

std::string text_of(const Module& m) {
  const Module::State& s = m.state();
  std::vector<std::string> lines;
  for (size_t i = 0; i < s.children.size();) {
    std::string body = text_of(s.children[i].module);
    size_t end = i + 1;
    if (s.list_repr)
      while (end < s.children.size() && text_of(s.children[end].module) == body) ++end;
    std::string label = s.children[i].name;
    if (end - i > 1) {
      label += "-" + s.children[end - 1].name;
      body = std::to_string(end - i) + " x " + body;
    }
    lines.push_back("(" + label + "): " + indented(body));
    i = end;
  }
  std::string out = m.name() + "(";
  const std::string extra = s.options_text ? s.extra + s.options_text() : s.extra;
  if (lines.empty() && extra.find('\n') == std::string::npos) return out + extra + ")";
  if (!extra.empty()) out += "\n  " + indented(extra);
  for (const std::string& line : lines) out += "\n  " + line;
  return out + "\n)";
}

}  // namespace

std::ostream& Module::print(std::ostream& os) const { return os << text_of(*this); }

}  // namespace weft::nn
