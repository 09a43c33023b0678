/* Continues a text, and stops at the end of a sentence: generate MODEL.heed PROMPT */
#include <heed.h>
#include <stdio.h>
#include <string.h>

static int32_t print(void* user, const char* text, size_t bytes) {
  (void)user;
  fwrite(text, 1, bytes, stdout);
  return strchr(text, '.') != NULL;
}

int main(int argc, char** argv) {
  if (argc != 3) return fprintf(stderr, "usage: %s MODEL.heed PROMPT\n", argv[0]), 2;
  heed_device* device = NULL;
  heed_text_model* model = NULL;
  const heed_generation* made = NULL;
  heed_sampling_options sampling;
  heed_generate_options options;
  heed_sampling_options_init(&sampling, sizeof sampling);
  heed_generate_options_init(&options, sizeof options);
  sampling.seed = 7;
  options.sampling = &sampling;
  options.on_text = print;
  heed_status status = heed_device_open(NULL, &device);
  if (status == HEED_OK) status = heed_text_model_open(device, argv[1], NULL, &model);
  if (status == HEED_OK) status = heed_generate(model, argv[2], strlen(argv[2]), &options, &made);
  if (status != HEED_OK) fprintf(stderr, "%s\n", heed_last_error());
  if (made != NULL) printf("\n[%zu tokens, %s]\n", made->token_count, made->stop_reason);
  heed_free(made);
  heed_close(model);
  heed_close(device);
  return status == HEED_OK ? 0 : 1;
}
