# Target weft_blas: OpenBLAS, the OpenMP build where Debian offers it: it shares the thread team with oneDNN and weft,
# while the pthread build's own pool fights for the cores.
find_path(WEFT_OPENBLAS_DIR NAMES libopenblas.so
  PATHS "/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-openmp" NO_DEFAULT_PATH)
add_library(weft_blas INTERFACE)
if(WEFT_OPENBLAS_DIR)
  find_path(WEFT_CBLAS_INCLUDE cblas.h
    PATHS "/usr/include/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-openmp" NO_DEFAULT_PATH REQUIRED)
  target_include_directories(weft_blas SYSTEM INTERFACE "${WEFT_CBLAS_INCLUDE}")
  target_link_libraries(weft_blas INTERFACE "$<BUILD_INTERFACE:${WEFT_OPENBLAS_DIR}/libopenblas.so>")
  # All flavours share one soname and Debian's alternatives prefer pthread: the run path must name the folder.
  list(APPEND WEFT_INSTALL_RPATH "${WEFT_OPENBLAS_DIR}")
  message(STATUS "BLAS: ${WEFT_OPENBLAS_DIR}/libopenblas.so")
else()
  set(BLA_VENDOR OpenBLAS)
  find_package(BLAS REQUIRED)
  find_path(WEFT_CBLAS_INCLUDE cblas.h PATH_SUFFIXES openblas openblas-openmp openblas-pthread REQUIRED)
  target_include_directories(weft_blas SYSTEM INTERFACE "${WEFT_CBLAS_INCLUDE}")
  target_link_libraries(weft_blas INTERFACE ${BLAS_LIBRARIES})
  message(STATUS "BLAS: ${BLAS_LIBRARIES} (not Debian's OpenMP build; f64 may be slower)")
endif()
