/* heed for C, and for languages that call C: models of attention on any Vulkan device.
 *
 * Results. Functions that can fail return a heed_status and leave what they make behind their last argument; after a
 * failure that is NULL. heed_last_error() says in one line what went wrong.
 *
 * Handles. heed_device and the models are numbers in the clothes of pointers; they are never used twice. NULL, a handle
 * that was closed, one of another type and one that never was are refused with HEED_INVALID_ARGUMENT. heed_close()
 * closes any of them, in any order: a model keeps its device as long as it needs it. A device keeps the kernels that
 * were compiled for the next time when it is closed, with all its models; not when the program ends before that.
 *
 * Memory. What a function gives (heed_generation, heed_picture, ...) belongs to the caller, who hands it to heed_free()
 * once. Its fields must not be changed. What callers pass is theirs, and is not looked at after the call. Texts are
 * UTF-8; those that come with a number of bytes may contain zeros, and end with one that does not count.
 *
 * Threads. Any thread may call anything. Calls on one device, or on models on it, wait for each other; those on
 * different devices go on at the same time. heed_last_error() is the calling thread's own.
 *
 * Callbacks run in the thread that called heed, and stop the work with any result but 0. What was done until then is
 * the result, marked as cancelled, or where there is none the status is HEED_CANCELLED. Within a callback, calls on the
 * same device or its models are refused, but for heed_close() and heed_free(). A callback must not leave by longjmp or
 * by an exception.
 *
 * Versions. Structures begin with `size`. Of those that callers fill, heed_..._init(&options, sizeof options) sets it,
 * and the defaults of all else; those that heed fills say by it how much of them there is. So structures can grow at
 * their end, and programs built with an older header keep working. What would break them changes HEED_ABI_VERSION and
 * the name of the shared library.
 */
#ifndef HEED_H
#define HEED_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HEED_API __attribute__((visibility("default")))
#else
#define HEED_API
#endif

#define HEED_ABI_VERSION 0

typedef int32_t heed_status;
enum {
  HEED_OK = 0,
  HEED_ERROR = 1,            /* a file, a request or a device that does not do; see heed_last_error() */
  HEED_INVALID_ARGUMENT = 2, /* a mistake of the calling program: NULL, a bad handle, a wrong size */
  HEED_DEVICE_LOST = 3,      /* the device was reset or taken away; close what is on it, open it again */
  HEED_OUT_OF_MEMORY = 4,    /* of the host; of the device it is HEED_ERROR */
  HEED_CANCELLED = 5         /* by a callback, before there was a result */
};

/* The version of the library, such as "0.1.0", and its HEED_ABI_VERSION. */
HEED_API const char* heed_version(void);
HEED_API int32_t heed_abi_version(void);
/* One line about the last function that failed in this thread; "" before any. Valid until the next one that fails. */
HEED_API const char* heed_last_error(void);
/* Gives back a result; NULL is none. What is no result, or was given back, is HEED_INVALID_ARGUMENT. */
HEED_API heed_status heed_free(const void* result);
/* Closes a device or model; NULL is none. */
HEED_API heed_status heed_close(const void* handle);

/* ---- devices ---- */

typedef struct heed_device heed_device;

typedef struct heed_device_info {
  size_t size;
  const char* name;
  const char* driver; /* "llvmpipe Mesa 22.3.6 (LLVM 15.0.6)" */
  const char* type;   /* "discrete GPU", "integrated GPU", "virtual GPU", "CPU", "other" */
  const char* uuid;
  const char* unusable; /* why heed cannot run on it; "": it can */
  uint64_t memory;      /* bytes of its largest device-local heap */
  uint64_t memory_left; /* bytes that this program may still use, as far as the driver says */
  size_t index;
} heed_device_info;

typedef struct heed_device_list {
  size_t size;
  size_t count;
  const heed_device_info* const* devices; /* best first */
} heed_device_list;

HEED_API heed_status heed_list_devices(const heed_device_list** list);
/* `which`: NULL or "" for the best, an index, a part of a name, or a UUID. Opening one the first time takes seconds:
 * its kernels are measured, and the verdict kept in the user's cache folder, or that of HEED_CACHE_DIR. */
HEED_API heed_status heed_device_open(const char* which, heed_device** device);
HEED_API heed_status heed_device_describe(heed_device* device, const heed_device_info** info);

/* ---- texts and lists that functions give ---- */

typedef struct heed_text {
  size_t size;
  size_t bytes;
  const char* text;
} heed_text;

typedef struct heed_tokens {
  size_t size;
  size_t count;
  const int32_t* ids;
} heed_tokens;

/* What a .heed file is for: "text-generation", "translation", "draw", "image-to-image", "text-to-image", "sound",
 * another; "" where it does not say. */
HEED_API heed_status heed_file_task(const char* file, const heed_text** task);

/* ---- sampling, of texts and translations ---- */

typedef struct heed_sampling_options {
  size_t size;
  double temperature;        /* 0: always the most probable token */
  double top_p;              /* 1: all */
  double min_p;              /* 0: all */
  double repetition_penalty; /* 1: none */
  uint64_t seed;
  int32_t top_k;          /* 0: all */
  int32_t penalty_window; /* tokens that penalties look back */
  /* Of texts only, as all below. */
  double presence_penalty;     /* 0: none; taken off the logit of each token that was there */
  double frequency_penalty;    /* 0: none; taken off as often as it was there */
  double typical_p;            /* locally typical sampling; 1: all */
  double xtc_probability;      /* of leaving out the most probable tokens but one; 0: never */
  double xtc_threshold;        /* which of them: those that are as probable */
  double dry_multiplier;       /* DRY, against repetitions; 0: none */
  double dry_base;             /* to the power of how much longer than dry_allowed_length one would be */
  int32_t dry_allowed_length;  /* tokens that may come again */
  int32_t dry_window;          /* tokens that DRY looks back; -1: the whole text */
  int32_t no_repeat_ngram;     /* no so many tokens in a row come twice; 0: they may */
  const int32_t* dry_breakers; /* tokens over which no repetition reaches */
  size_t dry_breaker_count;
  const int32_t* logit_bias_tokens; /* each once; its logit gets what stands at the same place in logit_biases */
  const double* logit_biases;       /* -100 to 100; -INFINITY forbids the token */
  size_t logit_bias_count;
} heed_sampling_options;
HEED_API heed_status heed_sampling_options_init(heed_sampling_options* options, size_t size);

/* ---- text generation ---- */

typedef struct heed_text_model heed_text_model;

typedef struct heed_text_model_options {
  size_t size;
  int64_t context;   /* tokens that it keeps; 0: the model's own */
  const char* cache; /* "auto", "f32" or "f16": how keys and values are kept; NULL: auto */
} heed_text_model_options;
HEED_API heed_status heed_text_model_options_init(heed_text_model_options* options, size_t size);
/* `options` may be NULL, here and wherever a structure is called options. */
HEED_API heed_status heed_text_model_open(heed_device* device, const char* file, const heed_text_model_options* options,
                                          heed_text_model** model);

typedef struct heed_text_model_info {
  size_t size;
  int64_t context;
  int64_t vocabulary;
  int32_t has_tokenizer;
  int32_t has_chat; /* it brings a chat template */
} heed_text_model_info;
HEED_API heed_status heed_text_model_describe(heed_text_model* model, const heed_text_model_info** info);

/* Token ids of a text. With `specials` special tokens that it spells ("</s>") become those; otherwise they are text. */
HEED_API heed_status heed_tokenize(heed_text_model* model, const char* text, size_t bytes, int32_t specials,
                                   const heed_tokens** tokens);
HEED_API heed_status heed_detokenize(heed_text_model* model, const int32_t* ids, size_t count, const heed_text** text);

typedef struct heed_generate_options {
  size_t size;
  const heed_sampling_options* sampling; /* NULL: the defaults */
  int64_t max_tokens;
  const char* const* stop; /* texts at which it ends; not part of the result */
  size_t stop_count;
  const int32_t* end_tokens; /* at which it ends, besides the model's own */
  size_t end_token_count;
  int32_t ignore_end; /* the model's end tokens are tokens like all others */
  /* Gets the text as it comes, in whole UTF-8 characters. */
  int32_t (*on_text)(void* user, const char* text, size_t bytes);
  /* Asked often, also while a long prompt is read. */
  int32_t (*cancelled)(void* user);
  void* user;       /* handed to the callbacks */
  int32_t logprobs; /* log probabilities of each token and of so many of the best, 0 to 20; -1: not wanted */
  /* What the text must be, at most one of the two: a text of a grammar in GBNF, or JSON of a JSON Schema. NULL: any. */
  const char* grammar;
  const char* json_schema;
} heed_generate_options;
HEED_API heed_status heed_generate_options_init(heed_generate_options* options, size_t size);

typedef struct heed_generation {
  size_t size;
  const char* text; /* the continuation */
  size_t bytes;
  const int32_t* prompt_tokens;
  size_t prompt_token_count;
  const int32_t* tokens; /* new ones, less an end token */
  size_t token_count;
  const char* stop_reason; /* "max_tokens", "end_token", "stop_text", "context_full", "cancelled" */
  double prompt_seconds;
  double generate_seconds;
  int32_t device_losses; /* how often the device was reset meanwhile; the text went on */
  /* Where the options ask for them, natural logarithms of the model's own probabilities, before penalties, biases,
   * grammars, temperature and filters; else NULL. */
  const float* logprobs;      /* [token_count], of the tokens */
  size_t best_count;          /* most probable tokens at each place, the best first */
  const int32_t* best_tokens; /* [token_count, best_count]; -1 behind the last of a smaller vocabulary */
  const float* best_logprobs; /* [token_count, best_count] */
} heed_generation;

HEED_API heed_status heed_generate(heed_text_model* model, const char* prompt, size_t bytes,
                                   const heed_generate_options* options, const heed_generation** generation);
HEED_API heed_status heed_generate_from_tokens(heed_text_model* model, const int32_t* ids, size_t count,
                                               const heed_generate_options* options,
                                               const heed_generation** generation);

typedef struct heed_chat_options {
  size_t size;
  const char* tools;     /* a JSON array of tools' descriptions; NULL: none */
  const char* variables; /* a JSON object of more variables of the template; NULL: none */
  const char* name;      /* of the template, where there are several; NULL: "tool_use" with tools, else "default" */
  int32_t add_generation_prompt;
  int32_t specials_in_messages; /* special tokens that messages spell are those; else they are text */
} heed_chat_options;
HEED_API heed_status heed_chat_options_init(heed_chat_options* options, size_t size);

/* The model's answer to `messages`, a JSON array: [{"role": "user", "content": "Hello"}]. */
HEED_API heed_status heed_chat(heed_text_model* model, const char* messages, const heed_chat_options* chat,
                               const heed_generate_options* options, const heed_generation** generation);
/* The prompt that the model's template makes of messages, and its tokens; either may be NULL. */
HEED_API heed_status heed_chat_prompt(heed_text_model* model, const char* messages, const heed_chat_options* chat,
                                      const heed_text** text, const heed_tokens** tokens);

/* Logits [count, vocabulary] at every position, into `logits`, which has room for `capacity` numbers. */
HEED_API heed_status heed_logits(heed_text_model* model, const int32_t* ids, size_t count, float* logits,
                                 size_t capacity);

/* ---- translation ---- */

typedef struct heed_translation_model heed_translation_model;

HEED_API heed_status heed_translation_model_open(heed_device* device, const char* file, heed_translation_model** model);

typedef struct heed_translate_options {
  size_t size;
  int32_t beams;         /* 1 to 32; 0: as the model says */
  int32_t n_best;        /* translations of a line that are given */
  double length_penalty; /* NaN: as the model says */
  int64_t max_tokens;    /* 0: as the model says */
  int64_t min_tokens;    /* below 0: as the model says */
  const char* from;      /* languages, of models that have tokens for them; NULL: none */
  const char* to;
  const char* prefix;                    /* text that every translation begins with; NULL: none */
  int32_t samples;                       /* draws so many instead of searching for the best; 0: searches */
  const heed_sampling_options* sampling; /* for samples; NULL: the defaults */
  /* Asked often. */
  int32_t (*cancelled)(void* user);
  void* user;
} heed_translate_options;
HEED_API heed_status heed_translate_options_init(heed_translate_options* options, size_t size);

typedef struct heed_translation {
  size_t size;
  size_t line; /* of those given, from 0 */
  const char* text;
  size_t bytes;
  const int32_t* tokens; /* without an end token */
  size_t token_count;
  double score;
  int32_t ended; /* by an end token; else it is as long as was allowed */
} heed_translation;

typedef struct heed_translations {
  size_t size;
  size_t count;
  const heed_translation* const* translations; /* in the order of lines, those of a line the best first */
  int32_t cancelled;                           /* lines that were not done have none */
} heed_translations;

HEED_API heed_status heed_translate(heed_translation_model* model, const char* const* lines, size_t count,
                                    const heed_translate_options* options, const heed_translations** translations);

/* ---- pictures ---- */

typedef struct heed_picture_model heed_picture_model;

/* Opens a model that draws (from noise, or of a text) or that makes pictures of pictures. */
HEED_API heed_status heed_picture_model_open(heed_device* device, const char* file, heed_picture_model** model);

enum {
  HEED_PLANES_F32 = 0,    /* float [channels, height, width], 0 black to 1 full */
  HEED_INTERLEAVED_U8 = 1 /* uint8_t [height, width, channels], 0 to 255 */
};

typedef struct heed_picture {
  size_t size;
  int64_t width;
  int64_t height;
  int64_t channels; /* 1 grey, 3 red, green, blue */
  int32_t format;
  const void* data;
} heed_picture;
HEED_API heed_status heed_picture_init(heed_picture* picture, size_t size);

typedef struct heed_pictures {
  size_t size;
  size_t count;
  const heed_picture* const* pictures;
} heed_pictures;

typedef struct heed_draw_options {
  size_t size;
  int32_t format;
  int32_t count;       /* of pictures */
  uint64_t seed;       /* picture i of a seed is the same however many are drawn */
  const char* caption; /* of models that draw of a text; NULL: none */
  const char* name;    /* of the class that is drawn, or its number, where there are classes; NULL: none */
  double guidance;     /* NaN: as the model says; so are those below */
  double temperature;  /* with captions */
  double top_p;        /* with captions */
  int32_t top_k;       /* with captions; below 0: as the model says */
  int32_t steps;       /* of models that draw in steps; 0: as the model says */
  double truncation;   /* factor of the noise, where there is some; else NaN */
  int32_t (*progress)(void* user, int64_t done, int64_t total);
  void* user;
} heed_draw_options;
HEED_API heed_status heed_draw_options_init(heed_draw_options* options, size_t size);

HEED_API heed_status heed_draw(heed_picture_model* model, const heed_draw_options* options,
                               const heed_pictures** pictures);

typedef struct heed_transform_options {
  size_t size;
  int32_t format;  /* of the result */
  int64_t tile;    /* side of the parts it is worked on in; 0: all at once where that fits */
  int64_t overlap; /* of the parts, in pixels */
  int32_t (*progress)(void* user, int64_t done, int64_t total);
  void* user;
} heed_transform_options;
HEED_API heed_status heed_transform_options_init(heed_transform_options* options, size_t size);

/* A picture of a picture: larger, or in another style. */
HEED_API heed_status heed_transform(heed_picture_model* model, const heed_picture* picture,
                                    const heed_transform_options* options, const heed_picture** result);

/* ---- sound ---- */

typedef struct heed_sound_model heed_sound_model;

HEED_API heed_status heed_sound_model_open(heed_device* device, const char* file, heed_sound_model** model);

typedef struct heed_sound_options {
  size_t size;
  const char* text;   /* what is said, in words the model knows; NULL: nothing is asked for */
  const char* voice;  /* a name or number; NULL: the first */
  double seconds;     /* 0: as long as it takes */
  double temperature; /* NaN: as the model says */
  uint64_t seed;
  const float* features; /* of models that are given features of each frame; NULL: none */
  size_t feature_count;
  /* Gets the samples as they come; they are kept for the result only where this is NULL. */
  int32_t (*on_samples)(void* user, const float* samples, size_t count);
  int32_t (*cancelled)(void* user);
  void* user;
} heed_sound_options;
HEED_API heed_status heed_sound_options_init(heed_sound_options* options, size_t size);

typedef struct heed_sound {
  size_t size;
  int64_t sample_rate;
  int64_t count;        /* of samples that were made */
  const float* samples; /* from -1 to 1; NULL where on_samples got them */
  int32_t cancelled;
} heed_sound;

HEED_API heed_status heed_make_sound(heed_sound_model* model, const heed_sound_options* options,
                                     const heed_sound** sound);

/* ---- any graph ---- */

typedef struct heed_graph_model heed_graph_model;

HEED_API heed_status heed_graph_model_open(heed_device* device, const char* file, heed_graph_model** model);

enum { HEED_F32 = 0, HEED_I64 = 1 };

typedef struct heed_array {
  size_t size;
  const char* name; /* of the input or output */
  int32_t type;     /* HEED_F32 for real numbers, HEED_I64 for integers and booleans, which are 0 or 1 */
  int32_t rank;
  const int64_t* shape;
  const void* data;       /* row by row */
  const char* graph_type; /* of outputs: "f32", "i64", "bool", ...; not looked at in inputs */
} heed_array;
HEED_API heed_status heed_array_init(heed_array* array, size_t size);

typedef struct heed_arrays {
  size_t size;
  size_t count;
  const heed_array* const* arrays;
} heed_arrays;

typedef struct heed_run_options {
  size_t size;
  const char* graph; /* NULL: the model's main one */
  /* Sizes of named dimensions that follow from no input. */
  const char* const* dimensions;
  const int64_t* dimension_sizes;
  size_t dimension_count;
} heed_run_options;
HEED_API heed_status heed_run_options_init(heed_run_options* options, size_t size);

/* Runs a graph on one array for each input. States start at zero and go on from run to run; heed_graph_reset() sets
 * them back. */
HEED_API heed_status heed_run(heed_graph_model* model, const heed_array* const* inputs, size_t count,
                              const heed_run_options* options, const heed_arrays** outputs);
HEED_API heed_status heed_graph_reset(heed_graph_model* model);
/* What the file has: a JSON object {"graphs": [{"name": ..., "inputs": [{"name", "type", "shape"}], "outputs":
 * ["..."]}]}; numbers in shapes are texts, as are names of dimensions. */
HEED_API heed_status heed_graph_model_describe(heed_graph_model* model, const heed_text** json);

#ifdef __cplusplus
}
#endif

#endif
