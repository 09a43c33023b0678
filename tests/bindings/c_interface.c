/* The C interface from C: what it makes, and what it refuses. usage: c_interface FOLDER-OF-MODELS */
#include <heed.h>
#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures = 0;

#define CHECK(CONDITION)                                                                                           \
  do {                                                                                                             \
    if (!(CONDITION)) {                                                                                            \
      fprintf(stderr, "%s:%d: %s is not so; last error: %s\n", __FILE__, __LINE__, #CONDITION, heed_last_error()); \
      ++failures;                                                                                                  \
    }                                                                                                              \
  } while (0)
#define REFUSES(STATUS, CALL, WORDS)                   \
  do {                                                 \
    CHECK((CALL) == (STATUS));                         \
    CHECK(strstr(heed_last_error(), (WORDS)) != NULL); \
  } while (0)

static char* model_path(const char* folder, const char* name) {
  char* path = malloc(strlen(folder) + strlen(name) + 2);
  if (path == NULL) abort();
  sprintf(path, "%s/%s", folder, name);
  return path;
}

static heed_generate_options greedy(heed_sampling_options* sampling) {
  heed_generate_options options;
  CHECK(heed_sampling_options_init(sampling, sizeof *sampling) == HEED_OK);
  CHECK(heed_generate_options_init(&options, sizeof options) == HEED_OK);
  sampling->temperature = 0.0;
  options.sampling = sampling;
  options.max_tokens = 24;
  return options;
}

struct seen {
  heed_text_model* model;
  heed_device* device;
  char text[256];
  int calls;
  int stop_after;
};

static int32_t take(void* user, const char* text, size_t bytes) {
  struct seen* seen = user;
  CHECK(strlen(text) == bytes);
  strncat(seen->text, text, sizeof seen->text - strlen(seen->text) - 1);
  return ++seen->calls == seen->stop_after;
}

/* Calls on the same device are refused, closing is not. */
static int32_t reenter(void* user, const char* text, size_t bytes) {
  struct seen* seen = user;
  const heed_tokens* tokens = NULL;
  if (seen->calls++ > 0) return 0;
  REFUSES(HEED_INVALID_ARGUMENT, heed_tokenize(seen->model, text, bytes, 0, &tokens), "within a callback");
  CHECK(tokens == NULL);
  CHECK(heed_close(seen->model) == HEED_OK);
  return 0;
}

static int32_t always(void* user) {
  (void)user;
  return 1;
}

/* Unless all tokens came in one submission, as they may on a fast device. */
static int is_cancelled(const heed_generation* made, size_t all) {
  return made->token_count == all || strcmp(made->stop_reason, "cancelled") == 0;
}

static void test_devices(heed_device* device) {
  const heed_device_list* list = NULL;
  CHECK(heed_list_devices(&list) == HEED_OK);
  CHECK(list != NULL && list->count >= 1 && list->size == sizeof *list);
  if (list == NULL) return;
  CHECK(list->devices[0]->index == 0 && list->devices[0]->size == sizeof(heed_device_info));
  const heed_device_info* info = NULL;
  CHECK(heed_device_describe(device, &info) == HEED_OK);
  CHECK(info != NULL && strcmp(info->name, list->devices[0]->name) == 0);
  CHECK(heed_free(list) == HEED_OK);
  REFUSES(HEED_INVALID_ARGUMENT, heed_free(list), "given back already");
  CHECK(heed_free(info) == HEED_OK);
  CHECK(heed_free(NULL) == HEED_OK);
  heed_device* none = device;
  REFUSES(HEED_ERROR, heed_device_open("no such device", &none), "no such device");
  CHECK(none == NULL);
}

static void test_handles(heed_device* device, const char* model_file) {
  const heed_device_info* info = NULL;
  heed_text_model* model = NULL;
  int local = 0;
  REFUSES(HEED_INVALID_ARGUMENT, heed_device_describe(NULL, &info), "the device is NULL");
  REFUSES(HEED_INVALID_ARGUMENT, heed_device_describe((heed_device*)(void*)&local, &info), "the handle is no device");
  REFUSES(HEED_INVALID_ARGUMENT, heed_device_describe(device, NULL), "is NULL");
  REFUSES(HEED_INVALID_ARGUMENT, heed_close(&local), "never was one");
  REFUSES(HEED_INVALID_ARGUMENT, heed_free(&local), "no result of heed");
  REFUSES(HEED_INVALID_ARGUMENT, heed_text_model_open(device, NULL, NULL, &model), "the file's name is NULL");
  REFUSES(HEED_ERROR, heed_text_model_open(device, "no-such.heed", NULL, &model), "no-such.heed");
  CHECK(model == NULL);
  heed_translation_model* wrong = NULL;
  REFUSES(HEED_ERROR, heed_translation_model_open(device, model_file, &wrong), "text-generation");
  CHECK(heed_text_model_open(device, model_file, NULL, &model) == HEED_OK);
  REFUSES(HEED_INVALID_ARGUMENT, heed_device_describe((heed_device*)(void*)model, &info), "the handle is no device");
  CHECK(heed_close(model) == HEED_OK);
  REFUSES(HEED_INVALID_ARGUMENT, heed_close(model), "closed already");
  const heed_text_model_info* about = NULL;
  REFUSES(HEED_INVALID_ARGUMENT, heed_text_model_describe(model, &about), "the text model is closed");
  CHECK(heed_close(NULL) == HEED_OK);
}

static void test_sizes(heed_text_model* model) {
  const heed_generation* made = NULL;
  heed_generate_options options;
  memset(&options, 0, sizeof options);
  REFUSES(HEED_INVALID_ARGUMENT, heed_generate(model, "a", 1, &options, &made),
          "call heed_generate_options_init first");
  options.size = 8;
  REFUSES(HEED_INVALID_ARGUMENT, heed_generate(model, "a", 1, &options, &made), "size is 8");
  REFUSES(HEED_INVALID_ARGUMENT, heed_generate_options_init(&options, 3), "size is 3");
  REFUSES(HEED_INVALID_ARGUMENT, heed_generate_options_init(NULL, sizeof options), "NULL");
  /* A program that was built with the heed.h of tomorrow: all is well as long as it uses nothing new. */
  struct {
    heed_generate_options known;
    uint64_t unknown;
  } larger;
  CHECK(heed_generate_options_init(&larger.known, sizeof larger) == HEED_OK);
  CHECK(larger.known.size == sizeof larger && larger.known.max_tokens == 128 && larger.unknown == 0);
  larger.known.max_tokens = 2;
  CHECK(heed_generate(model, "a", 1, &larger.known, &made) == HEED_OK);
  CHECK(made != NULL && made->token_count == 2);
  CHECK(heed_free(made) == HEED_OK);
  larger.unknown = 1;
  REFUSES(HEED_INVALID_ARGUMENT, heed_generate(model, "a", 1, &larger.known, &made), "does not know");
  CHECK(made == NULL);
  heed_sampling_options sampling;
  CHECK(heed_sampling_options_init(&sampling, sizeof sampling) == HEED_OK);
  sampling.temperature = -1.0;
  larger.unknown = 0;
  larger.known.sampling = &sampling;
  REFUSES(HEED_ERROR, heed_generate(model, "a", 1, &larger.known, &made), "temperature");
}

static void test_text(heed_device* device, const char* file) {
  heed_text_model* model = NULL;
  heed_text_model_options opening;
  CHECK(heed_text_model_options_init(&opening, sizeof opening) == HEED_OK);
  opening.cache = "f64";
  REFUSES(HEED_ERROR, heed_text_model_open(device, file, &opening, &model), "'f64'");
  opening.cache = "f32";
  opening.context = 64;
  CHECK(heed_text_model_open(device, file, &opening, &model) == HEED_OK);
  const heed_text_model_info* info = NULL;
  CHECK(heed_text_model_describe(model, &info) == HEED_OK);
  if (info == NULL) return;
  CHECK(info->context == 64 && info->has_tokenizer == 1 && info->has_chat == 0 && info->vocabulary == 65);

  const heed_tokens* tokens = NULL;
  CHECK(heed_tokenize(model, "ROMEO:", 6, 0, &tokens) == HEED_OK);
  CHECK(tokens != NULL && tokens->count == 6);
  const heed_text* text = NULL;
  CHECK(heed_detokenize(model, tokens->ids, tokens->count, &text) == HEED_OK);
  CHECK(text != NULL && strcmp(text->text, "ROMEO:") == 0 && text->bytes == 6);
  CHECK(heed_free(text) == HEED_OK);
  REFUSES(HEED_INVALID_ARGUMENT, heed_tokenize(model, NULL, 3, 0, &tokens), "the text is NULL");
  CHECK(tokens == NULL);
  CHECK(heed_tokenize(model, "ROMEO:", 6, 0, &tokens) == HEED_OK);

  /* The same text from a prompt, from tokens, in pieces, and by the logits. */
  heed_sampling_options sampling;
  heed_generate_options options = greedy(&sampling);
  const heed_generation* whole = NULL;
  const heed_generation* again = NULL;
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &whole) == HEED_OK);
  CHECK(whole != NULL && whole->token_count == 24 && strcmp(whole->stop_reason, "max_tokens") == 0);
  if (whole == NULL) return;
  struct seen seen = {model, device, "", 0, 0};
  options.on_text = take;
  options.user = &seen;
  CHECK(heed_generate_from_tokens(model, tokens->ids, tokens->count, &options, &again) == HEED_OK);
  CHECK(again != NULL && strcmp(again->text, whole->text) == 0 && strcmp(seen.text, whole->text) == 0);
  CHECK(heed_free(again) == HEED_OK);
  float* logits = malloc(6 * 65 * sizeof(float));
  CHECK(logits != NULL && heed_logits(model, tokens->ids, 6, logits, 6 * 65) == HEED_OK);
  int32_t best = 0;
  for (int32_t i = 1; i < 65; ++i) best = logits[5 * 65 + i] > logits[5 * 65 + best] ? i : best;
  CHECK(best == whole->tokens[0]);
  REFUSES(HEED_INVALID_ARGUMENT, heed_logits(model, tokens->ids, 6, logits, 6 * 65 - 1), "room for 389");
  free(logits);
  int32_t unknown = 65;
  REFUSES(HEED_ERROR, heed_generate_from_tokens(model, &unknown, 1, &options, &again), "65");

  /* A callback stops it: what was made by then is a beginning of the whole. */
  struct seen few = {model, device, "", 0, 3};
  options.user = &few;
  options.max_tokens = 50;
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &again) == HEED_OK);
  CHECK(again != NULL && is_cancelled(again, 50));
  CHECK(few.calls == 3 && again->token_count >= 3);
  CHECK(strncmp(again->text, few.text, strlen(few.text)) == 0 && strncmp(whole->text, few.text, strlen(few.text)) == 0);
  CHECK(heed_free(again) == HEED_OK);
  options.on_text = NULL;
  options.cancelled = always;
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &again) == HEED_OK);
  CHECK(again != NULL && is_cancelled(again, 50));
  CHECK(heed_free(again) == HEED_OK);
  const char* stops[] = {"The"};
  options.cancelled = NULL;
  options.stop = stops;
  options.stop_count = 1;
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &again) == HEED_OK);
  CHECK(again != NULL && strcmp(again->stop_reason, "stop_text") == 0 && strcmp(again->text, "\n") == 0);
  CHECK(heed_free(again) == HEED_OK);
  REFUSES(HEED_ERROR, heed_chat(model, "[]", NULL, NULL, &again), "chat template");
  test_sizes(model);

  /* Closed within its own callback it goes on to the end of the call. */
  options = greedy(&sampling);
  struct seen closing = {model, device, "", 0, 0};
  options.on_text = reenter;
  options.user = &closing;
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &again) == HEED_OK);
  CHECK(again != NULL && strcmp(again->text, whole->text) == 0);
  REFUSES(HEED_INVALID_ARGUMENT, heed_generate(model, "ROMEO:", 6, NULL, &again), "closed");
  CHECK(heed_free(tokens) == HEED_OK && heed_free(info) == HEED_OK && heed_free(whole) == HEED_OK);
}

/* Programs that were built with the heed.h before these options were there. */
static void test_smaller(heed_text_model* model) {
  heed_sampling_options sampling;
  heed_generate_options options;
  memset(&sampling, 0xFF, sizeof sampling);
  memset(&options, 0xFF, sizeof options);
  CHECK(heed_sampling_options_init(&sampling, offsetof(heed_sampling_options, presence_penalty)) == HEED_OK);
  CHECK(heed_generate_options_init(&options, offsetof(heed_generate_options, logprobs)) == HEED_OK);
  options.sampling = &sampling;
  options.max_tokens = 3;
  const heed_generation* made = NULL;
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &made) == HEED_OK);
  CHECK(made != NULL && made->token_count == 3 && made->logprobs == NULL && made->best_tokens == NULL);
  CHECK(heed_free(made) == HEED_OK);
}

static void test_penalties(heed_text_model* model) {
  heed_sampling_options sampling;
  heed_generate_options options = greedy(&sampling);
  const heed_generation* whole = NULL;
  const heed_generation* made = NULL;
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &whole) == HEED_OK);
  if (whole == NULL) return;
#define WITH(MEMBER, VALUE)                                                              \
  options = greedy(&sampling);                                                           \
  sampling.MEMBER = (VALUE);                                                             \
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &made) == HEED_OK);                  \
  CHECK(made != NULL && made->token_count == 24);                                        \
  CHECK(made != NULL && memcmp(made->tokens, whole->tokens, 24 * sizeof(int32_t)) != 0); \
  CHECK(heed_free(made) == HEED_OK)
  WITH(presence_penalty, 100.0);
  WITH(frequency_penalty, 100.0);
  WITH(no_repeat_ngram, 1);
  const int32_t first = whole->tokens[0];
  const double bias = -100.0;
  options = greedy(&sampling);
  sampling.logit_bias_tokens = &first;
  sampling.logit_biases = &bias;
  sampling.logit_bias_count = 1;
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &made) == HEED_OK);
  if (made == NULL) return;
  CHECK(made->token_count == 24);
  for (size_t i = 0; i < made->token_count; ++i) CHECK(made->tokens[i] != first);
  CHECK(heed_free(made) == HEED_OK);
  const int32_t twice[] = {1, 1};
  const double biases[] = {1.0, 2.0};
  sampling.logit_bias_tokens = twice;
  sampling.logit_biases = biases;
  sampling.logit_bias_count = 2;
  REFUSES(HEED_INVALID_ARGUMENT, heed_generate(model, "a", 1, &options, &made), "token 1 is given twice");
  sampling.logit_biases = NULL;
  REFUSES(HEED_INVALID_ARGUMENT, heed_generate(model, "a", 1, &options, &made), "logit_biases is NULL");
  /* Each arrives where it belongs: its bad value is refused by its name. */
#define REFUSES_OPTION(MEMBER, VALUE, WORDS) \
  options = greedy(&sampling);               \
  sampling.MEMBER = (VALUE);                 \
  REFUSES(HEED_ERROR, heed_generate(model, "a", 1, &options, &made), WORDS)
  REFUSES_OPTION(presence_penalty, 101.0, "presence penalty is 101");
  REFUSES_OPTION(frequency_penalty, 102.0, "frequency penalty is 102");
  REFUSES_OPTION(typical_p, 1.5, "typical-p is 1.5");
  REFUSES_OPTION(xtc_probability, 1.25, "XTC probability is 1.25");
  REFUSES_OPTION(xtc_threshold, -1.0, "XTC threshold is -1");
  REFUSES_OPTION(dry_multiplier, -2.0, "DRY multiplier is -2");
  REFUSES_OPTION(dry_base, 0.5, "DRY base is 0.5");
  REFUSES_OPTION(dry_allowed_length, 0, "DRY allowed length is 0");
  REFUSES_OPTION(dry_window, -2, "DRY window is -2");
  REFUSES_OPTION(no_repeat_ngram, 65, "no-repeat n-gram is 65");
  const int32_t unknown = 65;
  options = greedy(&sampling);
  sampling.dry_multiplier = 1.0;
  sampling.dry_breakers = &unknown;
  sampling.dry_breaker_count = 1;
  REFUSES(HEED_ERROR, heed_generate(model, "a", 1, &options, &made), "DRY breaker names token 65");
  CHECK(heed_free(whole) == HEED_OK);
}

static void test_constraints(heed_text_model* model) {
  heed_sampling_options sampling;
  heed_generate_options options = greedy(&sampling);
  const heed_generation* made = NULL;
  options.grammar = "root ::= \"verily\" | \"nay\"";
  REFUSES(HEED_ERROR, heed_generate(model, "ROMEO:", 6, &options, &made), "no end token");
  const int32_t line_end = 0; /* of a model that has no other */
  options.end_tokens = &line_end;
  options.end_token_count = 1;
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &made) == HEED_OK);
  CHECK(made != NULL && (strcmp(made->text, "verily") == 0 || strcmp(made->text, "nay") == 0));
  CHECK(heed_free(made) == HEED_OK);
  options.json_schema = "{\"type\": \"boolean\"}";
  REFUSES(HEED_INVALID_ARGUMENT, heed_generate(model, "a", 1, &options, &made), "expected one of them");
  options.grammar = NULL;
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &made) == HEED_OK);
  CHECK(made != NULL && (strcmp(made->text, "true") == 0 || strcmp(made->text, "false") == 0));
  CHECK(heed_free(made) == HEED_OK);
  options.json_schema = "{\"type\": \"number of all\"}";
  REFUSES(HEED_ERROR, heed_generate(model, "a", 1, &options, &made), "#/type");
  options.json_schema = NULL;
  options.grammar = "root ::= missing";
  REFUSES(HEED_ERROR, heed_generate(model, "a", 1, &options, &made), "missing");
}

static void test_logprobs(heed_text_model* model) {
  heed_sampling_options sampling;
  heed_generate_options options = greedy(&sampling);
  const heed_generation* made = NULL;
  options.logprobs = 3;
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &made) == HEED_OK);
  if (made == NULL || made->logprobs == NULL) {
    CHECK(made != NULL && made->logprobs != NULL);
    return;
  }
  CHECK(made->best_count == 3 && made->token_count == 24);
  for (size_t i = 0; i < made->token_count; ++i) {
    CHECK(made->logprobs[i] <= 0.0F && isfinite(made->logprobs[i]));
    /* Greedy: what came is the best. */
    CHECK(made->best_tokens[3 * i] == made->tokens[i] && made->best_logprobs[3 * i] == made->logprobs[i]);
    CHECK(made->best_logprobs[3 * i] >= made->best_logprobs[3 * i + 1]);
    CHECK(made->best_logprobs[3 * i + 1] >= made->best_logprobs[3 * i + 2]);
  }
  /* By the logits of the prompt. */
  float logits[6 * 65];
  CHECK(heed_logits(model, made->prompt_tokens, 6, logits, 6 * 65) == HEED_OK);
  double sum = 0.0;
  for (int i = 0; i < 65; ++i) sum += exp(logits[5 * 65 + i]);
  for (int i = 0; i < 3; ++i) {
    CHECK(fabs(logits[5 * 65 + made->best_tokens[i]] - log(sum) - made->best_logprobs[i]) < 1e-3);
  }
  CHECK(heed_free(made) == HEED_OK);
  options.logprobs = 0;
  CHECK(heed_generate(model, "ROMEO:", 6, &options, &made) == HEED_OK);
  CHECK(made != NULL && made->logprobs != NULL && made->best_count == 0);
  CHECK(heed_free(made) == HEED_OK);
  options.logprobs = 21;
  REFUSES(HEED_ERROR, heed_generate(model, "a", 1, &options, &made), "logprobs is 21");
}

static void test_choices(heed_device* device, const char* file) {
  heed_text_model* model = NULL;
  CHECK(heed_text_model_open(device, file, NULL, &model) == HEED_OK);
  test_smaller(model);
  test_penalties(model);
  test_constraints(model);
  test_logprobs(model);
  CHECK(heed_close(model) == HEED_OK);
}

static void test_translation(heed_device* device, const char* file) {
  heed_translation_model* model = NULL;
  CHECK(heed_translation_model_open(device, file, &model) == HEED_OK);
  const char* lines[] = {"the 3rd of may, 2008", "", "sunday, december 25 1994"};
  heed_translate_options options;
  CHECK(heed_translate_options_init(&options, sizeof options) == HEED_OK);
  const heed_translations* made = NULL;
  CHECK(heed_translate(model, lines, 3, &options, &made) == HEED_OK);
  CHECK(made != NULL && made->count == 3 && made->cancelled == 0);
  if (made == NULL) return;
  CHECK(strcmp(made->translations[0]->text, "2008-05-03") == 0 && made->translations[0]->ended == 1);
  CHECK(made->translations[1]->line == 1 && made->translations[1]->bytes == 0);
  CHECK(strcmp(made->translations[2]->text, "1994-12-25") == 0);
  CHECK(heed_free(made) == HEED_OK);
  heed_sampling_options sampling;
  CHECK(heed_sampling_options_init(&sampling, sizeof sampling) == HEED_OK);
  sampling.presence_penalty = 1.0;
  options.samples = 1;
  options.sampling = &sampling;
  REFUSES(HEED_ERROR, heed_translate(model, lines, 3, &options, &made), "presence penalty");
  options.samples = 0;
  options.sampling = NULL;
  options.beams = 33;
  REFUSES(HEED_ERROR, heed_translate(model, lines, 3, &options, &made), "33");
  options.beams = 0;
  options.cancelled = always;
  CHECK(heed_translate(model, lines, 1, &options, &made) == HEED_OK);
  CHECK(made != NULL && made->cancelled == 1 && made->count == 0);
  CHECK(heed_free(made) == HEED_OK && heed_close(model) == HEED_OK);
}

static int32_t stop_drawing(void* user, int64_t done, int64_t total) {
  int* calls = user;
  CHECK(done <= total);
  return ++*calls == 2;
}

static void test_pictures(heed_device* device, const char* file) {
  heed_picture_model* model = NULL;
  CHECK(heed_picture_model_open(device, file, &model) == HEED_OK);
  heed_draw_options options;
  CHECK(heed_draw_options_init(&options, sizeof options) == HEED_OK);
  options.caption = "a dark coat";
  options.seed = 1;
  options.count = 2;
  const heed_pictures* planes = NULL;
  const heed_pictures* bytes = NULL;
  CHECK(heed_draw(model, &options, &planes) == HEED_OK);
  options.format = HEED_INTERLEAVED_U8;
  CHECK(heed_draw(model, &options, &bytes) == HEED_OK);
  if (planes == NULL || bytes == NULL) return;
  CHECK(planes->count == 2 && bytes->count == 2);
  const heed_picture* picture = planes->pictures[1];
  CHECK(picture->width == 32 && picture->height == 32 && picture->channels == 1);
  int differ = 0;
  int dark = 0;
  for (int i = 0; i < 32 * 32; ++i) {
    const float value = ((const float*)picture->data)[i];
    const float clamped = value < 0.0F ? 0.0F : value > 1.0F ? 1.0F : value;
    differ += ((const uint8_t*)bytes->pictures[1]->data)[i] != (uint8_t)lroundf(clamped * 255.0F);
    dark += clamped < 0.1F;
  }
  CHECK(differ == 0 && dark > 100 && dark < 32 * 32);
  CHECK(heed_free(planes) == HEED_OK && heed_free(bytes) == HEED_OK);
  options.format = 7;
  REFUSES(HEED_INVALID_ARGUMENT, heed_draw(model, &options, &bytes), "format 7");
  options.format = HEED_PLANES_F32;
  options.steps = 5;
  REFUSES(HEED_ERROR, heed_draw(model, &options, &bytes), "steps is for models");
  options.steps = 0;
  int calls = 0;
  options.progress = stop_drawing;
  options.user = &calls;
  REFUSES(HEED_CANCELLED, heed_draw(model, &options, &bytes), "cancelled by a callback");
  CHECK(bytes == NULL && calls == 2);
  options.progress = NULL;
  CHECK(heed_draw(model, &options, &planes) == HEED_OK); /* it is whole after that */
  CHECK(heed_free(planes) == HEED_OK);
  heed_picture given;
  CHECK(heed_picture_init(&given, sizeof given) == HEED_OK);
  const heed_picture* result = NULL;
  REFUSES(HEED_INVALID_ARGUMENT, heed_transform(model, &given, NULL, &result), "a picture of 0x0");
  const float point = 0.5F;
  given.width = given.height = given.channels = 1;
  given.data = &point;
  REFUSES(HEED_ERROR, heed_transform(model, &given, NULL, &result), "see heed_draw");
  CHECK(heed_close(model) == HEED_OK);
}

static int32_t count_samples(void* user, const float* samples, size_t count) {
  size_t* all = user;
  CHECK(count > 0 && fabsf(samples[count - 1]) <= 1.0F);
  *all += count;
  return *all > 400;
}

static void test_sound(heed_device* device, const char* file) {
  heed_sound_model* model = NULL;
  CHECK(heed_sound_model_open(device, file, &model) == HEED_OK);
  heed_sound_options options;
  CHECK(heed_sound_options_init(&options, sizeof options) == HEED_OK);
  options.text = "three one";
  options.seconds = 0.05;
  const heed_sound* made = NULL;
  CHECK(heed_make_sound(model, &options, &made) == HEED_OK);
  CHECK(made != NULL && made->cancelled == 0 && made->samples != NULL);
  if (made == NULL) return;
  CHECK(made->count == (int64_t)(0.05 * (double)made->sample_rate));
  CHECK(heed_free(made) == HEED_OK);
  size_t all = 0;
  options.seconds = 0.5;
  options.on_samples = count_samples;
  options.user = &all;
  CHECK(heed_make_sound(model, &options, &made) == HEED_OK);
  CHECK(made != NULL && made->cancelled == 1 && made->samples == NULL && made->count >= (int64_t)all && all > 400);
  CHECK(made->count < made->sample_rate / 2);
  CHECK(heed_free(made) == HEED_OK);
  options.text = "tree";
  REFUSES(HEED_ERROR, heed_make_sound(model, &options, &made), "tree");
  CHECK(heed_close(model) == HEED_OK);
}

static heed_array integers(const char* name, const int64_t* shape, const int64_t* data) {
  heed_array array;
  CHECK(heed_array_init(&array, sizeof array) == HEED_OK);
  array.name = name;
  array.type = HEED_I64;
  array.rank = 1;
  array.shape = shape;
  array.data = data;
  return array;
}

/* The graph of a text model, run as one, gives the logits of heed_logits(). */
static void test_graph(heed_device* device, const char* file) {
  heed_graph_model* model = NULL;
  CHECK(heed_graph_model_open(device, file, &model) == HEED_OK);
  const heed_text* about = NULL;
  CHECK(heed_graph_model_describe(model, &about) == HEED_OK);
  CHECK(about != NULL && strstr(about->text, "\"tokens\"") != NULL && strstr(about->text, "\"logits\"") != NULL);
  CHECK(heed_free(about) == HEED_OK);
  const int64_t ids[] = {30, 27, 25, 17, 27, 10};
  const int64_t six = 6;
  const int64_t one = 1;
  const int64_t zero[] = {0};
  heed_array tokens = integers("tokens", &six, ids);
  heed_array position = integers("position", &one, zero);
  const heed_array* inputs[] = {&tokens, &position};
  const heed_arrays* outputs = NULL;
  CHECK(heed_run(model, inputs, 2, NULL, &outputs) == HEED_OK);
  CHECK(outputs != NULL && outputs->count == 1 && strcmp(outputs->arrays[0]->name, "logits") == 0);
  if (outputs == NULL) return;
  const heed_array* logits = outputs->arrays[0];
  CHECK(logits->type == HEED_F32 && strcmp(logits->graph_type, "f32") == 0 && logits->rank == 2);
  CHECK(logits->shape[0] == 6 && logits->shape[1] == 65);
  heed_text_model* text = NULL;
  float direct[6 * 65];
  int32_t narrow[6];
  for (int i = 0; i < 6; ++i) narrow[i] = (int32_t)ids[i];
  CHECK(heed_text_model_open(device, file, NULL, &text) == HEED_OK);
  CHECK(heed_logits(text, narrow, 6, direct, 6 * 65) == HEED_OK);
  float worst = 0.0F;
  for (int i = 0; i < 6 * 65; ++i) worst = fmaxf(worst, fabsf(direct[i] - ((const float*)logits->data)[i]));
  CHECK(worst < 1e-3F);
  CHECK(heed_free(outputs) == HEED_OK && heed_close(text) == HEED_OK);

  REFUSES(HEED_ERROR, heed_run(model, inputs, 1, NULL, &outputs), "input 'position'");
  const heed_array* twice[] = {&tokens, &tokens};
  REFUSES(HEED_INVALID_ARGUMENT, heed_run(model, twice, 2, NULL, &outputs), "given twice");
  tokens.type = HEED_F32;
  REFUSES(HEED_ERROR, heed_run(model, inputs, 2, NULL, &outputs), "holds real numbers");
  tokens.type = 9;
  REFUSES(HEED_INVALID_ARGUMENT, heed_run(model, inputs, 2, NULL, &outputs), "type 9");
  tokens.type = HEED_I64;
  const int64_t far[] = {1, 2, INT64_C(1) << 40, 0, 0, 0};
  tokens.data = far;
  REFUSES(HEED_ERROR, heed_run(model, inputs, 2, NULL, &outputs), "element 2 is 1099511627776");
  tokens.data = ids;
  const char* names[] = {"height"};
  heed_run_options options;
  CHECK(heed_run_options_init(&options, sizeof options) == HEED_OK);
  options.dimensions = names;
  options.dimension_sizes = &six;
  options.dimension_count = 1;
  REFUSES(HEED_ERROR, heed_run(model, inputs, 2, &options, &outputs), "no dimension 'height'");
  CHECK(heed_graph_reset(model) == HEED_OK && heed_close(model) == HEED_OK);
}

/* Threads that use one model at the same time get what one alone does, and errors of their own. */
struct work {
  heed_text_model* model;
  char text[128];
  int failed;
};

static void* generate_in_thread(void* argument) {
  struct work* work = argument;
  const heed_generation* made = NULL;
  heed_sampling_options sampling;
  heed_generate_options options = greedy(&sampling);
  if (heed_device_open("nothing like it", &(heed_device*){NULL}) == HEED_OK) work->failed = 1;
  if (heed_generate(work->model, "ROMEO:", 6, &options, &made) != HEED_OK) work->failed = 1;
  if (strstr(heed_last_error(), "nothing like it") == NULL) work->failed = 1;
  if (made != NULL) strncpy(work->text, made->text, sizeof work->text - 1);
  heed_free(made);
  return NULL;
}

static void test_threads(heed_device* device, const char* file) {
  heed_text_model* model = NULL;
  CHECK(heed_text_model_open(device, file, NULL, &model) == HEED_OK);
  struct work works[4];
  pthread_t threads[4];
  memset(works, 0, sizeof works);
  REFUSES(HEED_INVALID_ARGUMENT, heed_close(&works), "never was one");
  for (int i = 0; i < 4; ++i) {
    works[i].model = model;
    if (pthread_create(&threads[i], NULL, generate_in_thread, &works[i]) != 0) abort();
  }
  for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
  for (int i = 0; i < 4; ++i) CHECK(!works[i].failed && works[i].text[0] != 0 && !strcmp(works[i].text, works[0].text));
  CHECK(strstr(heed_last_error(), "never was one") != NULL);
  CHECK(heed_close(model) == HEED_OK);
}

int main(int argc, char** argv) {
  if (argc != 2) return fprintf(stderr, "usage: c_interface FOLDER-OF-MODELS\n"), 2;
  char* text = model_path(argv[1], "shakespeare.heed");
  char* dates = model_path(argv[1], "dates.heed");
  char* fashion = model_path(argv[1], "fashion-tokens.heed");
  char* voice = model_path(argv[1], "digits-voice.heed");
  CHECK(heed_abi_version() == HEED_ABI_VERSION && strlen(heed_version()) >= 5);
  CHECK(strcmp(heed_last_error(), "") == 0);
  const heed_text* task = NULL;
  CHECK(heed_file_task(text, &task) == HEED_OK && strcmp(task->text, "text-generation") == 0);
  CHECK(heed_free(task) == HEED_OK);
  heed_device* device = NULL;
  CHECK(heed_device_open("", &device) == HEED_OK);
  if (device != NULL) {
    test_devices(device);
    test_handles(device, text);
    test_text(device, text);
    test_choices(device, text);
    test_translation(device, dates);
    test_pictures(device, fashion);
    test_sound(device, voice);
    test_graph(device, text);
    test_threads(device, text);
    /* A model outlives the handle of its device. */
    heed_text_model* model = NULL;
    const heed_generation* made = NULL;
    CHECK(heed_text_model_open(device, text, NULL, &model) == HEED_OK && heed_close(device) == HEED_OK);
    CHECK(heed_generate(model, "a", 1, NULL, &made) == HEED_OK && heed_free(made) == HEED_OK);
    CHECK(heed_close(model) == HEED_OK);
  }
  free(text);
  free(dates);
  free(fashion);
  free(voice);
  printf("%d failures\n", failures);
  return failures == 0 ? 0 : 1;
}
