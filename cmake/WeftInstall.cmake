# install(): headers in the shape of the include spelling, the library, oneDNN beside it, programs, and a package
# config so that find_package(weft) works. An installation can be moved.
include(CMakePackageConfigHelpers)
set_target_properties(weft PROPERTIES INSTALL_RPATH "${WEFT_INSTALL_RPATH}")
install(TARGETS weft EXPORT weft-targets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY ${WEFT_HEADER_FOLDERS} DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/weft"
  FILES_MATCHING PATTERN "*.h")
install(FILES weft.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/weft" OPTIONAL)
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATAROOTDIR}/doc/weft" OPTIONAL)
if(WEFT_BUNDLED_DNNL)
  install(PROGRAMS "${WEFT_BUNDLED_DNNL}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" RENAME libdnnl.so.3)
endif()

set(_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/weft")
install(EXPORT weft-targets NAMESPACE weft:: DESTINATION "${_package_dir}")
configure_package_config_file(cmake/weft-config.cmake.in "${PROJECT_BINARY_DIR}/weft-config.cmake"
  INSTALL_DESTINATION "${_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/weft-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/weft-config.cmake" "${PROJECT_BINARY_DIR}/weft-config-version.cmake"
  DESTINATION "${_package_dir}")
