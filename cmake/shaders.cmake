# Compiles shaders/*.comp to SPIR-V and packs every variant into one library, as tables of words.
#
# The first lines of a shader declare its variants:
#   // variant NAME: VALUE VALUE ...
# Every combination is compiled with -DNAME_VALUE for each of its values and gets the key STEM-VALUE-VALUE..., in the
# order of the lines. Combinations that a line
#   // without PATTERN: REASON
# matches are left out; its pattern is a regular expression for the list NAME_VALUE NAME_VALUE... A line
#   // needs EXTENSION
# names a GLSL extension that the compiler must know; where it does not, the SPIR-V of its variants is taken from
# shaders/compiled/KEY.spv, which tools/compile_kept_shaders.sh makes. A shader without them is left out, visibly, and the
# engine uses its fallback.
find_program(GLSLANG NAMES glslangValidator glslang REQUIRED)

# The same compiler as a library, where it is there and links: compile_shader.cpp takes a twentieth of the time. Which
# targets its package has differs between versions.
find_package(glslang CONFIG QUIET)
set(glslang_libraries "")
foreach(library glslang SPIRV glslang-default-resource-limits)
  if(TARGET glslang::${library})
    list(APPEND glslang_libraries glslang::${library})
  endif()
endforeach()
set(glslang_links HEED_GLSLANG_LINKS_${glslang_VERSION})
if(glslang_libraries AND NOT HEED_BUILT AND NOT DEFINED ${glslang_links})
  try_compile(${glslang_links} ${CMAKE_BINARY_DIR}/probe_glslang ${CMAKE_SOURCE_DIR}/cmake/compile_shader.cpp
    LINK_LIBRARIES ${glslang_libraries} CXX_STANDARD 20)
endif()
if(HEED_BUILT)
  # Shaders are that build's.
elseif(glslang_libraries AND ${${glslang_links}})
  add_executable(compile_shader ${CMAKE_SOURCE_DIR}/cmake/compile_shader.cpp)
  # Nearly all the work is the library's. Whatever it leaves behind is not what sanitizers are for.
  target_compile_options(compile_shader PRIVATE -O0 $<$<BOOL:${HEED_SANITIZE}>:-fno-sanitize=all>)
  target_link_options(compile_shader PRIVATE $<$<BOOL:${HEED_SANITIZE}>:-fno-sanitize=all>)
  target_link_libraries(compile_shader PRIVATE ${glslang_libraries})
else()
  message(STATUS "glslang's library is missing or does not link; ${GLSLANG} compiles each variant by itself")
endif()

# Whether this compiler knows a GLSL extension, in the cache variable GLSLANG_HAS_<extension>.
function(heed_check_glsl_extension extension)
  if(DEFINED GLSLANG_HAS_${extension})
    return()
  endif()
  set(probe ${CMAKE_BINARY_DIR}/probe_${extension}.comp)
  file(WRITE ${probe} "#version 450\n#extension ${extension} : require\nvoid main() {}\n")
  execute_process(COMMAND ${GLSLANG} -V --target-env vulkan1.1 -o ${probe}.spv ${probe}
    RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
  if(result EQUAL 0)
    set(known ON)
  else()
    set(known OFF)
  endif()
  set(GLSLANG_HAS_${extension} ${known} CACHE INTERNAL "")
endfunction()

# Writes the header of a variant from its SPIR-V in a file.
function(heed_kept_spirv spirv symbol header)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${spirv})
  file(READ ${spirv} words HEX)
  string(REGEX REPLACE "(..)(..)(..)(..)" "0x\\4\\3\\2\\1,\n" words "${words}")
  file(CONFIGURE OUTPUT ${header} @ONLY CONTENT "#pragma once\nconst uint32_t spirv_${symbol}[] = {\n${words}};\n")
endfunction()

function(heed_shader_library target)
  file(GLOB shaders CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/shaders/*.comp)
  file(GLOB includes CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/shaders/include/*.glsl
    ${CMAKE_SOURCE_DIR}/shaders/include/constants/*.h)
  set(output ${CMAKE_BINARY_DIR}/shaders)
  file(MAKE_DIRECTORY ${output})
  set(headers "")
  set(table_includes "")
  set(table_rows "")
  foreach(shader ${shaders})
    get_filename_component(stem ${shader} NAME_WE)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${shader})
    file(STRINGS ${shader} needs REGEX "^// needs ")
    set(compilable ON)
    foreach(line ${needs})
      string(REGEX REPLACE "^// needs +" "" extension "${line}")
      heed_check_glsl_extension(${extension})
      if(NOT GLSLANG_HAS_${extension})
        set(compilable OFF)
        set(unknown ${extension})
      endif()
    endforeach()
    file(GLOB kept CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/shaders/compiled/${stem}-*.spv)
    if(NOT compilable AND NOT kept)
      message(STATUS "shader ${stem}: left out, ${GLSLANG} does not know ${unknown}")
      continue()
    endif()
    # Expand the variants: a list of "key|defines" that grows by each axis.
    set(variants "${stem}|")
    file(STRINGS ${shader} axes REGEX "^// variant ")
    foreach(axis ${axes})
      string(REGEX MATCH "^// variant ([A-Z0-9_]+): *(.*)$" matched "${axis}")
      set(axis_name ${CMAKE_MATCH_1})
      string(REPLACE " " ";" values "${CMAKE_MATCH_2}")
      set(expanded "")
      foreach(variant ${variants})
        string(REGEX MATCH "^([^|]*)\\|(.*)$" matched "${variant}")
        set(key ${CMAKE_MATCH_1})
        set(defines "${CMAKE_MATCH_2}")
        foreach(value ${values})
          list(APPEND expanded "${key}-${value}|${defines} -D${axis_name}_${value}")
        endforeach()
      endforeach()
      set(variants ${expanded})
    endforeach()
    file(STRINGS ${shader} exclusions REGEX "^// without ")
    foreach(line ${exclusions})
      string(REGEX REPLACE "^// without ([^:]*):.*$" "\\1" pattern "${line}")
      string(REPLACE " " " -D" pattern "${pattern}")
      list(FILTER variants EXCLUDE REGEX "${pattern}")
    endforeach()
    set(of_shader "")    # headers
    set(descriptions "")  # for compile_shader
    foreach(variant ${variants})
      string(REGEX MATCH "^([^|]*)\\|(.*)$" matched "${variant}")
      set(key ${CMAKE_MATCH_1})
      separate_arguments(defines UNIX_COMMAND "${CMAKE_MATCH_2}")
      string(MAKE_C_IDENTIFIER "${key}" symbol)
      set(header ${output}/${key}.h)
      list(APPEND of_shader ${header})
      list(TRANSFORM defines REPLACE "^-D" ":" OUTPUT_VARIABLE description)
      list(JOIN description "" description)
      list(APPEND descriptions "${key}:${symbol}${description}")
      # What an extension needs was asked of the program.
      if(NOT compilable)
        heed_kept_spirv(${CMAKE_SOURCE_DIR}/shaders/compiled/${key}.spv ${symbol} ${header})
      elseif(needs OR NOT TARGET compile_shader)
        add_custom_command(OUTPUT ${header}
          COMMAND ${GLSLANG} -V -g0 --quiet --target-env vulkan1.1 -I${CMAKE_SOURCE_DIR}/shaders/include ${defines}
                  --vn spirv_${symbol} -o ${header} ${shader}
          DEPENDS ${shader} ${includes} VERBATIM)
      endif()
      string(APPEND table_includes "#include \"${key}.h\"\n")
      string(APPEND table_rows "    {\"${key}\", spirv_${symbol}},\n")
    endforeach()
    if(NOT needs AND TARGET compile_shader)
      add_custom_command(OUTPUT ${of_shader}
        COMMAND compile_shader ${shader} ${CMAKE_SOURCE_DIR}/shaders/include ${output} ${descriptions}
        DEPENDS compile_shader ${shader} ${includes} COMMENT "Compiling shaders/${stem}.comp" VERBATIM)
    endif()
    list(APPEND headers ${of_shader})
  endforeach()
  file(CONFIGURE OUTPUT ${output}/shader_table.cpp @ONLY CONTENT [[
// Generated from shaders/*.comp by cmake/shaders.cmake.
#include "shader_table.h"

#include <cstdint>

@table_includes@
namespace heed {
namespace {
const ShaderModuleCode kModules[] = {
@table_rows@};
}  // namespace
std::span<const ShaderModuleCode> shader_modules() { return kModules; }
}  // namespace heed
]])
  file(CONFIGURE OUTPUT ${output}/shader_table.h @ONLY CONTENT [[
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace heed {

/// The SPIR-V of one variant of one shader; `key` is STEM-VALUE-VALUE... as cmake/shaders.cmake says.
struct ShaderModuleCode {
  std::string_view key;
  std::span<const std::uint32_t> words;
};

/// All that were compiled, in no particular order.
std::span<const ShaderModuleCode> shader_modules();

}  // namespace heed
]])
  if(HEED_BUILT)
    add_library(${target} STATIC IMPORTED)
    set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${HEED_BUILT}/lib${target}.a)
    target_include_directories(${target} INTERFACE ${output})
  else()
    add_library(${target} STATIC ${output}/shader_table.cpp ${headers})
    target_include_directories(${target} PUBLIC ${output})
  endif()
endfunction()
