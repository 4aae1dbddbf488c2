# Every switch of the build, in one place.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(_x86 ON)
  set(_isas base v3 v4)
else()
  set(_x86 OFF)              # the pinned oneDNN wheels are x86-64 only
  set(_isas base)
endif()

option(WEFT_ONEDNN "Use oneDNN for convolution and matmul" ${_x86})
option(WEFT_SYSTEM_ONEDNN "Take the system's oneDNN >= 3 (OpenMP runtime) instead of the pinned wheels" OFF)
option(WEFT_FETCH_DEPS "Fetch the pinned oneDNN wheels at configure time when they are missing" ON)
option(WEFT_BLAS "Use OpenBLAS for f64" ON)
set(WEFT_CUDA AUTO CACHE STRING "The CUDA plugin: AUTO (where the toolkit is found), ON or OFF")
set(WEFT_CUDA_ARCHITECTURES "80;90;100;120" CACHE STRING
  "Cards that the CUDA plugin has machine code for (native: this machine's); later ones compile its PTX when they load it")
option(WEFT_IMAGE "PNG and JPEG through libpng and libjpeg" ON)
set(WEFT_HDF5 AUTO CACHE STRING "The HDF5 plugin: AUTO (where libhdf5 is found), ON or OFF")
set(WEFT_NCCL AUTO CACHE STRING "The NCCL plugin: AUTO (where NCCL is found), ON or OFF")
set(WEFT_MPI AUTO CACHE STRING "The MPI plugins: AUTO (where Open MPI or MPICH is found), ON or OFF")
option(WEFT_TIFF "Volumes in TIFF files through libtiff" ON)
# Inside of another project (add_subdirectory) only the library.
option(WEFT_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(WEFT_BENCH "Build weft-bench" ${PROJECT_IS_TOP_LEVEL})
option(WEFT_EXAMPLES "Build the examples" ${PROJECT_IS_TOP_LEVEL})
option(WEFT_FUZZ "Build the libFuzzer programs (clang only)" OFF)
option(WEFT_UNITY "Unity build of the library: several times less header parsing" ON)
option(WEFT_WERROR "Warnings are errors" OFF)
option(WEFT_COVERAGE "Instrument for gcov" OFF)
set(WEFT_SANITIZE "" CACHE STRING "Sanitizers, for example address;undefined or thread")
set(WEFT_ISAS "${_isas}" CACHE STRING "Instruction sets the hot kernels are compiled for: base, v3, v4")
set(WEFT_TEST_OPT "-O1" CACHE STRING "Optimisation level of the test programs (compile time matters more than speed)")
set(WEFT_TORCH "" CACHE PATH "PyTorch's folder (the one that holds include/ and lib/): builds the C++ frontend benchmark")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, RelWithDebInfo or Debug" FORCE)
endif()

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# The build tree and the install tree can be moved: programs look beside themselves first.
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
set(WEFT_INSTALL_RPATH "$ORIGIN" "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
