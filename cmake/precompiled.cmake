# Parsing the headers of libraries, and compiling what they define, is two thirds of a build without optimisation. Clang does
# it once for a build folder: -fpch-codegen leaves their code to an object of its own, which every program is linked with.

# Headers that need nothing but the standard library and libfmt when they are linked.
set(HEED_PRECOMPILED_HEADERS algorithm array charconv chrono cmath cstdint filesystem fstream functional limits map memory
  mutex optional random set span sstream string string_view unordered_map variant vector CLI/CLI.hpp fmt/format.h fmt/ranges.h
  nlohmann/json.hpp)

function(heed_targets_in result folder)
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  get_property(folders DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
  foreach(inner ${folders})
    heed_targets_in(inner_targets ${inner})
    list(APPEND targets ${inner_targets})
  endforeach()
  set(${result} ${targets} PARENT_SCOPE)
endfunction()

# For all targets of the build; call it when there are all. Where the compiler cannot, the build is slower and nothing else.
# Done while configuring, so that a program can be linked to see whether it works.
function(heed_precompile_libraries)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    return()
  endif()
  set(folder ${CMAKE_BINARY_DIR}/precompiled)
  set(includes ${HEED_PRECOMPILED_HEADERS})
  list(TRANSFORM includes REPLACE "(.+)" "#include <\\1>\n")
  list(JOIN includes "" includes)
  file(CONFIGURE OUTPUT ${folder}/libraries.h CONTENT "${includes}")
  file(CONFIGURE OUTPUT ${folder}/program.cpp CONTENT "int main() { return fmt::format(\"{}\", nlohmann::json::object().dump()).empty(); }\n")
  # As everything is compiled.
  get_directory_property(options COMPILE_OPTIONS)
  get_directory_property(definitions COMPILE_DEFINITIONS)
  list(TRANSFORM definitions PREPEND -D)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
  separate_arguments(flags UNIX_COMMAND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${type}}")
  # Some targets are compiled with -O0 whatever the others are, and clang takes no headers of another level.
  if("${flags}" MATCHES "(^|;)-O[^0]")
    return()
  endif()
  set(compile ${CMAKE_CXX_COMPILER} ${flags} ${options} ${definitions} -DFMT_SHARED -std=c++20 -fpch-instantiate-templates)
  # All functions are in the object, those too that nobody calls and that call what is nowhere; no sanitizer's list may keep them.
  set(link ${folder}/libraries.o -Wl,--gc-sections)
  # Made again when the flags change, or a header does.
  set(pch ${folder}/libraries.pch)
  execute_process(COMMAND ${compile} -include-pch ${pch} -fsyntax-only ${folder}/program.cpp RESULT_VARIABLE stale
    OUTPUT_QUIET ERROR_QUIET)
  if(stale OR NOT "${HEED_PRECOMPILED_BY}" STREQUAL "${compile}" OR NOT EXISTS ${folder}/libraries.o)
    message(STATUS "Precompiling the headers of libraries")
    execute_process(
      COMMAND ${compile} -fpch-codegen -x c++-header ${folder}/libraries.h -o ${pch}
      RESULT_VARIABLE failed OUTPUT_VARIABLE why ERROR_VARIABLE why)
    if(NOT failed)
      execute_process(COMMAND ${compile} -fno-sanitize=all -ffunction-sections -fdata-sections -c ${pch} -o ${folder}/libraries.o
        RESULT_VARIABLE failed OUTPUT_VARIABLE why ERROR_VARIABLE why)
    endif()
    if(NOT failed)
      execute_process(COMMAND ${compile} -include-pch ${pch} ${folder}/program.cpp ${link} -lfmt -o ${folder}/program
        RESULT_VARIABLE failed OUTPUT_VARIABLE why ERROR_VARIABLE why)
    endif()
    if(failed)
      message(STATUS "Headers are not precompiled: ${why}")
      return()
    endif()
    set(HEED_PRECOMPILED_BY "${compile}" CACHE INTERNAL "")
  endif()
  heed_targets_in(targets ${CMAKE_SOURCE_DIR})
  foreach(target ${targets})
    get_target_property(kind ${target} TYPE)
    if(NOT kind MATCHES "^(STATIC_LIBRARY|EXECUTABLE)$" OR target STREQUAL "compile_shader")
      continue()
    endif()
    target_compile_options(${target} PRIVATE "SHELL:-include-pch ${pch}")
    if(kind STREQUAL "EXECUTABLE")
      target_link_libraries(${target} PRIVATE ${link})
    endif()
  endforeach()
endfunction()
