# Compiler and linker settings shared by every target of the project, through the interface target weft_flags.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
if(CMAKE_CXX_FLAGS_RELEASE STREQUAL "-O3 -DNDEBUG")
  set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")   # only the kernels under backends/cpu/simd gain from -O3
endif()

if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(WEFT_CCACHE ccache)
  if(WEFT_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${WEFT_CCACHE}")
  endif()
endif()

add_library(weft_flags INTERFACE)
# Contraction would make the same functor give other bits in another object, or on another device.
target_compile_options(weft_flags INTERFACE -Wall -Wextra -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(weft_flags INTERFACE -Wno-restrict)   # GCC PR105651: false alarms on std::string
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # Designated initialisers leave the other options at their defaults on purpose.
  target_compile_options(weft_flags INTERFACE -Wno-missing-field-initializers -Wno-pass-failed
    -Wno-unused-lambda-capture)   # false alarms where a template lambda uses a capture in a dependent call
else()
  target_compile_options(weft_flags INTERFACE -Wno-missing-field-initializers)
endif()
if(WEFT_WERROR)
  target_compile_options(weft_flags INTERFACE -Werror)
endif()
if(WEFT_SANITIZE)
  list(JOIN WEFT_SANITIZE "," _san)
  target_compile_options(weft_flags INTERFACE
    -fsanitize=${_san} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(weft_flags INTERFACE -fsanitize=${_san})
endif()
if(WEFT_COVERAGE)
  target_compile_options(weft_flags INTERFACE --coverage -O0 -g)
  target_link_options(weft_flags INTERFACE --coverage)
endif()

find_program(WEFT_MOLD mold)
if(WEFT_MOLD)
  include(CheckLinkerFlag)
  check_linker_flag(CXX -fuse-ld=mold WEFT_LINKS_WITH_MOLD)
  if(WEFT_LINKS_WITH_MOLD)
    target_link_options(weft_flags INTERFACE -fuse-ld=mold)
  endif()
endif()

# weft_add_sources([folder...] [SMALL]): adds the .cpp files of this folder and of the named subfolders to the library.
# Globbed with CONFIGURE_DEPENDS, so that a new file needs no edit here. SMALL is for folders that call kernels and have
# no loops over elements of their own: compiled for size, a third smaller.
function(weft_add_sources)
  cmake_parse_arguments(PARSE_ARGV 0 arg "SMALL" "" "")
  set(_sources "")
  foreach(sub IN ITEMS . ${arg_UNPARSED_ARGUMENTS})
    file(GLOB _found CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${sub}/*.cpp")
    list(APPEND _sources ${_found})
  endforeach()
  if(NOT arg_SMALL)
    target_sources(weft PRIVATE ${_sources})
    return()
  endif()
  get_filename_component(_name "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
  weft_add_part(weft_${_name} ${_sources})
  target_compile_options(weft_${_name} PRIVATE $<$<CONFIG:Release,RelWithDebInfo>:-Os>)
endfunction()

# weft_add_part(name [source...]): objects of the library that have includes and definitions of their own, so that
# no other folder even sees a third-party header. LINK names what they and the library need.
function(weft_add_part name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINK;DEFINE")
  if(NOT arg_UNPARSED_ARGUMENTS)
    return()
  endif()
  add_library(${name} OBJECT ${arg_UNPARSED_ARGUMENTS})
  target_compile_definitions(${name} PRIVATE WEFT_BUILDING ${arg_DEFINE})
  target_include_directories(${name} PRIVATE "${WEFT_INCLUDE_DIR}")
  target_link_libraries(${name} PRIVATE weft_flags OpenMP::OpenMP_CXX ${arg_LINK})
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${WEFT_UNITY} UNITY_BUILD_BATCH_SIZE 8)
  target_sources(weft PRIVATE $<TARGET_OBJECTS:${name}>)
  target_link_libraries(weft PRIVATE ${arg_LINK})
endfunction()

# weft_add_program(name source...): one executable of the build tree's bin folder.
function(weft_add_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE weft weft_flags OpenMP::OpenMP_CXX Threads::Threads)
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "${WEFT_INSTALL_RPATH}"
    UNITY_BUILD ${WEFT_UNITY} UNITY_BUILD_BATCH_SIZE 4)
endfunction()
