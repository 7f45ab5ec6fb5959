/* Switches that return addresses: LLVM makes tables of distances of them, some of which lead into data that moves. */
#include <stddef.h>

struct item { const char *name; const struct item *next; };
static const struct item first = {"first", NULL}, second = {"second", &first}, third = {"third", &second};
static const struct item fourth = {"fourth", &third};
static const struct item *const relocated[] = {&first, &second};
static const char *const plain[] = {"p", "q"};

const void *pointers(unsigned kind)
{
    switch (kind) {
    case 0: return &relocated[0];
    case 1: return &relocated[1];
    case 2: return &first;
    case 3: return &second;
    case 4: return &third;
    case 5: return &fourth;
    default: return NULL;
    }
}

/* A mixed table: its first entries lead into read-only data, the others do not. */
const void *mixed(unsigned kind)
{
    switch (kind) {
    case 10: return "read-only";
    case 11: return "too";
    case 12: return &plain[1];
    case 13: return &third;
    case 14: return &relocated[1];
    case 15: return "again";
    case 16: return &fourth;
    default: return NULL;
    }
}

/* Only text: nothing of it moves. */
const char *strings(unsigned kind)
{
    switch (kind) {
    case 0: return "zero";
    case 1: return "one";
    case 2: return "two";
    case 3: return "three";
    case 4: return "four";
    default: return "many";
    }
}

int run(int x)
{
    const struct item *item = pointers((unsigned)x % 7);
    const char *text = strings((unsigned)x % 8);
    const void *other = mixed(10u + (unsigned)x % 8);
    return (item ? item->name[0] : 0) + text[0] + (other != NULL);
}
