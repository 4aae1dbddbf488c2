# Target weft_onednn: the pinned wheels unpacked in .deps, or the system's library.
set(WEFT_DEPS_DIR "${PROJECT_SOURCE_DIR}/.deps")
set(WEFT_BUNDLED_DNNL "")
if(WEFT_SYSTEM_ONEDNN)
  find_package(dnnl 3 REQUIRED CONFIG)        # refuses Debian's 2.6
else()
  if(WEFT_FETCH_DEPS)
    # Quick when nothing is to do; one stamp per pinned set.
    execute_process(COMMAND bash "${PROJECT_SOURCE_DIR}/scripts/onednn.sh" "${WEFT_DEPS_DIR}" RESULT_VARIABLE _rc)
    if(_rc)
      message(FATAL_ERROR "scripts/onednn.sh failed: see its message above. "
        "-DWEFT_ONEDNN=OFF builds without oneDNN (slower), -DWEFT_SYSTEM_ONEDNN=ON takes the system's.")
    endif()
  endif()
  find_package(dnnl 3 REQUIRED CONFIG PATHS "${WEFT_DEPS_DIR}/onednn" NO_DEFAULT_PATH)
endif()
if(NOT DNNL_CPU_THREADING_RUNTIME STREQUAL "OMP")
  message(FATAL_ERROR "oneDNN threads with ${DNNL_CPU_THREADING_RUNTIME}; weft needs a build with the OpenMP runtime")
endif()
foreach(config IN ITEMS DEBUG RELWITHDEBINFO MINSIZEREL)
  set_target_properties(DNNL::dnnl PROPERTIES MAP_IMPORTED_CONFIG_${config} Release)
endforeach()
get_target_property(_location DNNL::dnnl IMPORTED_LOCATION_RELEASE)
if(NOT WEFT_SYSTEM_ONEDNN)
  set(WEFT_BUNDLED_DNNL "${_location}")       # travels with an installation
endif()
# A link by plain path keeps the imported target's name out of the installed package.
get_target_property(_include DNNL::dnnl INTERFACE_INCLUDE_DIRECTORIES)
add_library(weft_onednn INTERFACE)
target_include_directories(weft_onednn SYSTEM INTERFACE "${_include}")
target_link_libraries(weft_onednn INTERFACE "$<BUILD_INTERFACE:${_location}>")
message(STATUS "oneDNN ${dnnl_VERSION}: ${_location}")
