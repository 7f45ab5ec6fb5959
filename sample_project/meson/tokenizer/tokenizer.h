/* Words in UTF-8 text: runs of ASCII letters and digits, and of bytes above 127 (every letter that is not ASCII). */

#ifndef TOKENIZER_H
#define TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *text;
    size_t length; /* bytes */
    size_t at;     /* where the next search starts */
} tokenizer;

/* Find the next word; false at the end. `start` and `end` are byte offsets. */
bool tokenizer_next(tokenizer *state, size_t *start, size_t *end);

/* ASCII letters in lower case, other bytes as they are. */
char tokenizer_fold(char byte);

/* Whether a folded word is too common in English to tell documents apart. */
bool tokenizer_is_common(const char *word, size_t length);

#ifdef __cplusplus
}
#endif

#endif
