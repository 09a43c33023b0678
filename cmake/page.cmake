# Joins the files of tools/serve/page/ into the one page that heed serve has: the style and the scripts take the places of
# @STYLE@ and @SCRIPT@. Indentation and lines of comment are left out, a sixth of it; they stay in the sources.
function(heed_page target)
  set(folder ${CMAKE_SOURCE_DIR}/tools/serve/page)
  set(scripts common text attention chat completion translation pictures start)  # what others use at once comes first
  set(SCRIPT "")
  file(READ ${folder}/page.html page)
  file(READ ${folder}/page.css STYLE)
  set(files ${folder}/page.html ${folder}/page.css)
  foreach(script ${scripts})
    file(READ ${folder}/${script}.js text)
    string(APPEND SCRIPT "${text}")
    list(APPEND files ${folder}/${script}.js)
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${files})
  string(REPLACE "@STYLE@" "${STYLE}" page "${page}")
  string(REPLACE "@SCRIPT@" "${SCRIPT}" page "${page}")
  string(REGEX REPLACE "\n +" "\n" page "${page}")
  string(REGEX REPLACE "\n//[^\n]*" "" page "${page}")
  set(HEED_PAGE "(${page})")
  configure_file(${CMAKE_SOURCE_DIR}/cmake/page.cpp.in ${CMAKE_BINARY_DIR}/generated/page.cpp @ONLY)
  target_sources(${target} PRIVATE ${CMAKE_BINARY_DIR}/generated/page.cpp)
  # Rooms are included from the sources' folder.
  set_source_files_properties(${CMAKE_BINARY_DIR}/generated/page.cpp PROPERTIES
    INCLUDE_DIRECTORIES ${CMAKE_SOURCE_DIR} SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
