#include "tokenizer.h"

#include <string.h>

/* Sorted, for the binary search. Pointers: relocated when loaded, then read-only (RELRO). */
static const char *const common[] = {
    "a",    "an",   "and",  "are",   "as",   "at",    "be",   "but", "by",   "for",  "if",   "in",
    "into", "is",   "it",   "no",    "not",  "of",    "on",   "or",  "such", "that", "the",  "their",
    "then", "there", "these", "they", "this", "to",   "was",  "will", "with",
};

static bool is_word(unsigned char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || byte > 127;
}

bool tokenizer_next(tokenizer *state, size_t *start, size_t *end)
{
    const unsigned char *text = (const unsigned char *)state->text;
    size_t at = state->at;
    while (at < state->length && !is_word(text[at]))
        at++;
    *start = at;
    while (at < state->length && is_word(text[at]))
        at++;
    *end = state->at = at;
    return *end > *start;
}

char tokenizer_fold(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

bool tokenizer_is_common(const char *word, size_t length)
{
    size_t low = 0, high = sizeof common / sizeof *common;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strncmp(word, common[middle], length);
        if (order == 0 && common[middle][length] != '\0')
            order = -1; /* a proper prefix sorts first */
        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}
