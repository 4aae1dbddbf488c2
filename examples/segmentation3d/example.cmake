find_package(CLI11 REQUIRED)
target_link_libraries(segmentation3d PRIVATE CLI11::CLI11)
# Programs and networks of 5 MB: `cmake --install BUILD --component examples` installs them.
install(TARGETS segmentation3d RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT examples EXCLUDE_FROM_ALL)

# The trained network, which the program finds in share/weft beside its bin folder: a link here, a file in an
# installation.
set(_share "${PROJECT_BINARY_DIR}/share/weft")
set(_model "${CMAKE_CURRENT_LIST_DIR}/models/membranes.safetensors")
file(MAKE_DIRECTORY "${_share}")
file(CREATE_LINK "${_model}" "${_share}/membranes.safetensors" SYMBOLIC)
install(FILES "${_model}" DESTINATION "${CMAKE_INSTALL_DATADIR}/weft"
  COMPONENT examples EXCLUDE_FROM_ALL OPTIONAL)

weft_test_parts(segmentation3d unet3d TESTS unet3d_test.cpp
  PARTS unet.cpp tiles.cpp stack.cpp cells.cpp drawing.cpp evaluate.cpp)
if(WEFT_IMAGE)
  weft_test_program(segmentation3d segmentation3d)
endif()
