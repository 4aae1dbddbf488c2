# install(): headers in the shape of the include spelling, the library, oneDNN beside it, programs, guides, and what find_package(weft)
# and pkg-config need. An installation can be moved.
include(CMakePackageConfigHelpers)
# Before 1.0 a minor version may change what programs were built against: the name that they look for has both numbers.
set_target_properties(weft PROPERTIES INSTALL_RPATH "${WEFT_INSTALL_RPATH}" VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
install(TARGETS weft EXPORT weft-targets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(CODE "set(SOURCE \"${PROJECT_SOURCE_DIR}\")
set(DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}/weft\")
include(\"${PROJECT_SOURCE_DIR}/cmake/InstallHeaders.cmake\")")
install(FILES LICENSE README.md CHANGELOG.md DESTINATION "${CMAKE_INSTALL_DOCDIR}" OPTIONAL)
install(DIRECTORY docs DESTINATION "${CMAKE_INSTALL_DOCDIR}" FILES_MATCHING PATTERN "*.md" PATTERN "*.jpg" PATTERN "*.png" PATTERN "api" EXCLUDE)
install(DIRECTORY examples DESTINATION "${CMAKE_INSTALL_DOCDIR}"
  FILES_MATCHING PATTERN "main.cpp" PATTERN "style_transfer" EXCLUDE)
install(PROGRAMS scripts/export_torch.py DESTINATION "${CMAKE_INSTALL_DATADIR}/weft")
if(WEFT_BUNDLED_DNNL)
  install(PROGRAMS "${WEFT_BUNDLED_DNNL}" DESTINATION "${CMAKE_INSTALL_LIBDIR}" RENAME libdnnl.so.3)
endif()

set(_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/weft")
install(EXPORT weft-targets NAMESPACE weft:: DESTINATION "${_package_dir}")
configure_package_config_file(cmake/weft-config.cmake.in "${PROJECT_BINARY_DIR}/weft-config.cmake"
  INSTALL_DESTINATION "${_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/weft-config-version.cmake" COMPATIBILITY SameMinorVersion)
# CMake prints this text behind the file that it did not take.
file(APPEND "${PROJECT_BINARY_DIR}/weft-config-version.cmake" [[

if(NOT PACKAGE_VERSION_COMPATIBLE AND NOT PACKAGE_VERSION_UNSUITABLE AND PACKAGE_FIND_VERSION)
  set(PACKAGE_VERSION "${PACKAGE_VERSION} (before 1.0 the first two numbers must be those asked for, and the third not below it)")
endif()
]])
install(FILES "${PROJECT_BINARY_DIR}/weft-config.cmake" "${PROJECT_BINARY_DIR}/weft-config-version.cmake"
  DESTINATION "${_package_dir}")

# From the file's own place to the top of the installation, however deep the library folder is.
set(_pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH WEFT_PC_UP "/prefix/${_pc_dir}" "/prefix")
string(REGEX REPLACE "/$" "" WEFT_PC_UP "${WEFT_PC_UP}")
configure_file(cmake/weft.pc.in "${PROJECT_BINARY_DIR}/weft.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/weft.pc" DESTINATION "${_pc_dir}")
