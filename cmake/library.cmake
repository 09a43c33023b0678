# The libraries that other programs link, made of the rooms' objects: libheed.a, with the C++ API and the C interface, and
# libheed.so, which shows the C interface alone.
file(GLOB binding_sources CONFIGURE_DEPENDS bindings/c/*.cpp)
add_library(heed_c STATIC ${binding_sources})
target_include_directories(heed_c PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/bindings/c)
target_compile_definitions(heed_c PRIVATE HEED_VERSION="${PROJECT_VERSION}")
target_compile_options(heed_c PRIVATE ${HEED_SELDOM_RUN})
target_link_libraries(heed_c PUBLIC heed_generate)
set_target_properties(heed_c PROPERTIES UNITY_BUILD OFF)  # each file has names of its own

set(objects "")
foreach(room graph file plan ops planner reference tokenizer chat grammar vulkan shaders runtime generate c)
  list(APPEND objects $<TARGET_OBJECTS:heed_${room}>)
endforeach()
add_library(heed_archive STATIC ${objects})
set_target_properties(heed_archive PROPERTIES OUTPUT_NAME heed EXPORT_NAME heed LINKER_LANGUAGE CXX)
target_compile_features(heed_archive INTERFACE cxx_std_20)
target_include_directories(heed_archive INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/engine/include>
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/bindings/c> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# By the names of their files: whoever links needs no more than these.
set(HEED_ARCHIVE_LIBRARIES xxhash onig utf8proc)
target_link_libraries(heed_archive INTERFACE fmt::fmt Threads::Threads ${HEED_ARCHIVE_LIBRARIES} ${CMAKE_DL_LIBS})
get_target_property(HEED_ARCHIVE_LINK_OPTIONS heed_tokenizer INTERFACE_LINK_OPTIONS)
target_link_options(heed_archive INTERFACE ${HEED_ARCHIVE_LINK_OPTIONS})

add_library(heed_shared SHARED ${objects})
set_target_properties(heed_shared PROPERTIES OUTPUT_NAME heed EXPORT_NAME c LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION} SOVERSION 0  # HEED_ABI_VERSION
  LINK_DEPENDS ${CMAKE_SOURCE_DIR}/bindings/c/libheed.map)
target_include_directories(heed_shared INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/bindings/c>
  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(heed_shared PRIVATE fmt::fmt Threads::Threads ${HEED_ARCHIVE_LIBRARIES} ${CMAKE_DL_LIBS})
target_link_options(heed_shared PRIVATE LINKER:--version-script,${CMAKE_SOURCE_DIR}/bindings/c/libheed.map
  LINKER:--no-undefined LINKER:--gc-sections)
