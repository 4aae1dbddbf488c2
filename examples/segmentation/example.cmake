find_package(CLI11 REQUIRED)
target_link_libraries(segmentation PRIVATE CLI11::CLI11)
# Programs and networks of 5 MB: `cmake --install BUILD --component examples` installs them.
install(TARGETS segmentation RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT examples EXCLUDE_FROM_ALL)

# The trained network, which the program finds by itself in share/weft beside its bin folder.
set(_share "${PROJECT_BINARY_DIR}/share/weft")
file(MAKE_DIRECTORY "${_share}")
file(CREATE_LINK "${CMAKE_CURRENT_LIST_DIR}/models/segmentation.safetensors" "${_share}/segmentation.safetensors" SYMBOLIC)
install(FILES "${CMAKE_CURRENT_LIST_DIR}/models/segmentation.safetensors" DESTINATION "${CMAKE_INSTALL_DATADIR}/weft"
  COMPONENT examples EXCLUDE_FROM_ALL)

weft_test_parts(segmentation "segmentation parts" TESTS encnet_test.cpp segmentation_test.cpp
  PARTS encnet.cpp encnet_lite.cpp batches.cpp classes.cpp model_file.cpp scenes.cpp scene_things.cpp)
if(WEFT_IMAGE)
  weft_test_program(segmentation segmentation)
endif()
