// The words of a sequence's rules (engine/ops/logit_rules.h). Declare the buffer `rules` before.
#ifndef HEED_LOGIT_RULES_GLSL
#define HEED_LOGIT_RULES_GLSL

const uint kAdjusts = 0;
const uint kMasked = 1;
const uint kBiases = 2;
const uint kRepetition = 3;
const uint kPresence = 4;
const uint kFrequency = 5;
const uint kWindow = 6;
const uint kNoRepeat = 7;
const uint kDryMultiplier = 8;
const uint kDryBase = 9;
const uint kDryAllowed = 10;
const uint kDryWindow = 11;
const uint kBreakers = 12;
const uint kFilters = 13;
const uint kFilterTemperature = 14;
const uint kFilterTopK = 15;
const uint kTypicalP = 16;
const uint kFilterTopP = 17;
const uint kFilterMinP = 18;
const uint kXtcProbability = 19;
const uint kXtcThreshold = 20;
const uint kLogprobs = 21;
const uint kLogitRulesWords = 32;

#define rule_of(sequence, word) load_i32(rules, (sequence) * kLogitRulesWords + (word))
#define rule_real(sequence, word) intBitsToFloat(rule_of(sequence, word))

#endif
