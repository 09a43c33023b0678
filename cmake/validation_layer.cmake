# Sets `result` to the manifest of Vulkan's validation layer, looked for where the loader looks, or to NOTFOUND.
function(heed_find_validation_layer result)
  set(user_places)
  if(DEFINED ENV{HOME})
    list(APPEND user_places $ENV{HOME}/.config $ENV{HOME}/.local/share)
  endif()
  set(manifest manifest-NOTFOUND)
  find_file(manifest VkLayer_khronos_validation.json
    PATHS ENV VK_LAYER_PATH ENV VK_ADD_LAYER_PATH ENV XDG_CONFIG_HOME ENV XDG_CONFIG_DIRS ENV XDG_DATA_HOME
      ENV XDG_DATA_DIRS ${user_places} /etc /etc/xdg /usr/local/share /usr/share
    PATH_SUFFIXES vulkan/explicit_layer.d NO_CACHE NO_DEFAULT_PATH)
  set(${result} ${manifest} PARENT_SCOPE)
endfunction()
