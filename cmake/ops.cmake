# Generates the op table and the op case table from the file stems, so that adding an op edits no registry:
# engine/ops/foo.cpp defines `const heed::ops::Op op_foo` in namespace heed::ops, tests/op_cases/foo.cpp defines
# `std::vector<OpCase> cases_foo()` in namespace heed::op_cases.

# Sets `stems` to the stems of the files of a folder that say they belong in its table.
function(heed_tabled_stems stems folder)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cpp)
  set(found "")
  foreach(source ${sources})
    file(STRINGS ${source} marker REGEX "^// (op|cases) " LIMIT_COUNT 1)
    if(marker)
      get_filename_component(stem ${source} NAME_WE)
      list(APPEND found ${stem})
    endif()
  endforeach()
  set(${stems} ${found} PARENT_SCOPE)
endfunction()

function(heed_table target folder pattern_declare pattern_use output)
  heed_tabled_stems(stems ${folder})
  set(declarations "")
  set(rows "")
  foreach(stem ${stems})
    string(REPLACE "STEM" ${stem} declaration "${pattern_declare}")
    string(REPLACE "STEM" ${stem} row "${pattern_use}")
    string(APPEND declarations "${declaration};\n")
    string(APPEND rows "    ${row},\n")
  endforeach()
  set(HEED_DECLARATIONS "${declarations}")
  set(HEED_ROWS "${rows}")
  configure_file(${CMAKE_SOURCE_DIR}/cmake/${output}.in ${CMAKE_BINARY_DIR}/generated/${output} @ONLY)
  target_sources(${target} PRIVATE ${CMAKE_BINARY_DIR}/generated/${output})
endfunction()

function(heed_op_table target)
  heed_table(${target} engine/ops "extern const Op op_STEM" "&op_STEM" op_table.cpp)
endfunction()

function(heed_case_table target)
  heed_table(${target} tests/op_cases "std::vector<OpCase> cases_STEM()" "{\"STEM\", cases_STEM}" case_table.cpp)
endfunction()
