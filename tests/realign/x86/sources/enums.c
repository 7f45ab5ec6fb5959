/* A switch over all values of an enum: clang reads its table of distances without any guard. */
#include <stddef.h>

enum kind { FIRST, SECOND, THIRD, FOURTH };
struct item { const char *name; int number; };
static const struct item items[] = {{"first", 1}, {"second", 2}, {"third", 3}, {"fourth", 4}};
const char large[1 << 17] = "so that code and data share no page", constants[] = "read-only";
int counter = 7, zeros[2000];

__attribute__((noinline)) const struct item *item(enum kind kind)
{
    switch (kind) {
    case FIRST: return &items[2];
    case SECOND: return &items[0];
    case THIRD: return &items[3];
    case FOURTH: return &items[1];
    }
    __builtin_unreachable();
}

int run(int x)
{
    zeros[x] = counter++;
    return item((enum kind)(x & 3))->number * 1000 + zeros[x] + constants[x & 7];
}
