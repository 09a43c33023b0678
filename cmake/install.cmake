# cmake --install, and packages for Debian. What an installation needs beyond libraries and headers is made by the program:
# manual pages and completions, and the smaller of the models in models/.
include(CMakePackageConfigHelpers)

set(documents ${CMAKE_BINARY_DIR}/documents)
add_custom_command(OUTPUT ${documents}/man1/heed.1
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${documents}
  COMMAND heed documents ${documents}
  DEPENDS heed VERBATIM)
set(shipped "")
foreach(model dates digits-voice fashion-tokens shakespeare)  # 7 MB; all six would be 14
  file(GLOB files CONFIGURE_DEPENDS models/${model}/*)
  set(converted ${CMAKE_BINARY_DIR}/shipped/${model}.heed)
  add_custom_command(OUTPUT ${converted}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/shipped
    COMMAND sh -c "\"$1\" convert \"$2\" -o \"$3\" >\"$3.log\" 2>&1 || { cat \"$3.log\" >&2; exit 1; }" sh
      $<TARGET_FILE:heed> ${CMAKE_SOURCE_DIR}/models/${model} ${converted}
    DEPENDS heed ${files} VERBATIM)
  list(APPEND shipped ${converted})
endforeach()
add_custom_target(heed_installed ALL DEPENDS ${documents}/man1/heed.1 ${shipped})

# For those who run heed.
set(runtime COMPONENT runtime)
install(TARGETS heed RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} ${runtime})
install(TARGETS heed_shared EXPORT heedTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ${runtime}
  NAMELINK_COMPONENT development)
install(DIRECTORY ${documents}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} ${runtime})
install(FILES ${documents}/completions/heed DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions ${runtime})
install(FILES ${documents}/completions/_heed DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions ${runtime})
install(FILES ${documents}/completions/heed.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d ${runtime})
install(FILES ${shipped} DESTINATION ${CMAKE_INSTALL_DATADIR}/heed/models ${runtime})
install(DIRECTORY bindings/python/heed DESTINATION lib/python3/dist-packages ${runtime}
  FILES_MATCHING PATTERN "*.py" PATTERN "__pycache__" EXCLUDE)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} ${runtime})
configure_file(cmake/heed.service.in ${CMAKE_BINARY_DIR}/heed.service @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/heed.service DESTINATION lib/systemd/system ${runtime})
set(defaults ${CMAKE_INSTALL_SYSCONFDIR}/default)  # in the prefix, wherever that is in the end
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(defaults /etc/default)
endif()
install(FILES cmake/heed.default DESTINATION ${defaults} RENAME heed ${runtime})

# For those who build on it.
set(development COMPONENT development)
install(TARGETS heed_archive EXPORT heedTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} ${development})
install(DIRECTORY engine/include/heed DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} ${development})
install(FILES bindings/c/heed.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} ${development})
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR} ${development})
set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/heed)
install(EXPORT heedTargets NAMESPACE heed:: DESTINATION ${config_folder} ${development})
configure_package_config_file(cmake/heedConfig.cmake.in ${CMAKE_BINARY_DIR}/heedConfig.cmake
  INSTALL_DESTINATION ${config_folder})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/heedConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/heedConfig.cmake ${CMAKE_BINARY_DIR}/heedConfigVersion.cmake
  DESTINATION ${config_folder} ${development})
set(HEED_PKGCONFIG_LIBRARIES ${HEED_ARCHIVE_LIBRARIES} ${CMAKE_DL_LIBS})
list(TRANSFORM HEED_PKGCONFIG_LIBRARIES PREPEND -l)
list(JOIN HEED_PKGCONFIG_LIBRARIES " " HEED_PKGCONFIG_LIBRARIES)
string(REPLACE "LINKER:" "-Wl," HEED_PKGCONFIG_LINK_OPTIONS "${HEED_ARCHIVE_LINK_OPTIONS}")
file(RELATIVE_PATH HEED_PKGCONFIG_UP ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
foreach(file heed heed-c++)
  configure_file(cmake/${file}.pc.in ${CMAKE_BINARY_DIR}/${file}.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/${file}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig ${development})
endforeach()

# Two packages: heed, and heed-dev with what is needed to build on it.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME heed)
set(CPACK_PACKAGE_VENDOR heed)
set(CPACK_PACKAGE_CONTACT "heed's maintainers <heed@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME heed)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION science)
# The loader of Vulkan is opened at run time.
set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS libvulkan1)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_RECOMMENDS mesa-vulkan-drivers)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SUGGESTS "python3, python3-numpy, heed-dev")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "inference engine for attention models on Vulkan devices
Runs generative models of text, translation, pictures and sound on any device
that has Vulkan 1.1, CPUs with a driver for them too. This package has the
program, the shared library with its Python module, and small models.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME heed-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "heed (= ${PROJECT_VERSION}), libfmt-dev, libxxhash-dev, libonig-dev, libutf8proc-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "inference engine for attention models, to build on
Headers for C and C++, the static library, packages for CMake and pkg-config,
and examples.")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${CMAKE_BINARY_DIR}/conffiles ${CMAKE_SOURCE_DIR}/cmake/prerm)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/conffiles CONTENT "/etc/default/heed\n")
include(CPack)
