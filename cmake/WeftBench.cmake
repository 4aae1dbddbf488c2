# bench/*.cpp -> weft-bench; bench/libtorch/*.cpp -> weft-bench-torch, only where PyTorch is there (-DWEFT_TORCH=...).
file(GLOB _bench CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/*.cpp")
if(_bench)
  find_package(CLI11 REQUIRED)
  weft_add_program(weft-bench ${_bench} "${PROJECT_SOURCE_DIR}/examples/style_transfer/msgnet.cpp")
  target_link_libraries(weft-bench PRIVATE CLI11::CLI11)
  install(TARGETS weft-bench RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

file(GLOB _torch_bench CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/libtorch/*.cpp")
if(_torch_bench AND WEFT_TORCH)
  add_executable(weft-bench-torch ${_torch_bench})
  target_include_directories(weft-bench-torch SYSTEM PRIVATE
    "${WEFT_TORCH}/include" "${WEFT_TORCH}/include/torch/csrc/api/include")
  # The GPU libraries behind libtorch are found by its own run path at start, not by this link.
  target_link_options(weft-bench-torch PRIVATE -Wl,--no-as-needed -Wl,--allow-shlib-undefined)
  target_link_libraries(weft-bench-torch PRIVATE
    "${WEFT_TORCH}/lib/libtorch.so" "${WEFT_TORCH}/lib/libtorch_cpu.so" "${WEFT_TORCH}/lib/libc10.so")
  set_target_properties(weft-bench-torch PROPERTIES BUILD_RPATH "${WEFT_TORCH}/lib")
endif()

if(WEFT_IMAGE)
  weft_add_program(weft-bench-loader "${PROJECT_SOURCE_DIR}/bench/loader/main.cpp")
  target_link_libraries(weft-bench-loader PRIVATE CLI11::CLI11)
endif()
weft_add_program(weft-bench-ranks "${PROJECT_SOURCE_DIR}/bench/ranks/main.cpp")
