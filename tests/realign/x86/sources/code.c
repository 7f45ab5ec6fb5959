/* What compilers make of C: every way to reach data that an x86-64 instruction has. */
#include <stdlib.h>
#include <string.h>

int exported = 7;
static int counter;
static short small_counter = 3;
static char flag = 1;
static double ratio = 2.5;
static int table[64] = {1, 2, 3};
static const char *const names[] = {"zero", "one", "two", "three"};
extern int missing __attribute__((weak));
static __thread int per_thread = 5;
__thread int shared_per_thread = 6;

/* Operands with immediates of one, two and four bytes behind the displacement. */
void immediates(void)
{
    counter += 1;
    counter += 100000;
    small_counter = 1234;
    flag = 42;
    exported ^= 0x12345678;
    counter <<= 3;
    if (flag == 9) counter = 0x7fffffff;
}

/* One past the end, and a loop that counts through the array by address. */
int *end_of_table(void) { return table + 64; }
int sum(void)
{
    int total = 0;
    for (int *p = table; p != table + 64; p++) total += *p;
    return total;
}

/* A jump table: distances in read-only data, into code. */
int dispatch(int kind, int x)
{
    switch (kind) {
    case 0: return x + exported;
    case 1: return x * 3 + counter;
    case 2: return x ^ 0x55;
    case 3: exported = x; return 0;
    case 4: return (int)(x * ratio);
    case 5: return x - table[3];
    case 6: return abs(x);
    case 7: return x << 2;
    default: return -1;
    }
}

/* A computed goto: addresses, with relocations. */
int machine(const char *program)
{
    static const void *const labels[] = {&&stop, &&more, &&less, &&twice};
    int x = 1;
    goto *labels[*program++ & 3];
more: x += exported; goto *labels[*program++ & 3];
less: x -= 1; goto *labels[*program++ & 3];
twice: x *= 2; goto *labels[*program++ & 3];
stop: return x;
}

/* A partition of its own for what hardly ever runs. */
__attribute__((cold, noinline)) static void rarely(void) { counter = -1; abort(); }
int hot(int x)
{
    if (__builtin_expect(x < 0, 0)) rarely();
    return per_thread++ + shared_per_thread + x;
}

static int plain(int x) { return x + 1; }
static int fancy(int x) { return x + 2; }
static int (*choose(void))(int) { return counter > 1000000 ? fancy : plain; }
int chosen(int x) __attribute__((ifunc("choose")));

__attribute__((constructor)) static void start(void) { counter = 11; }
__attribute__((destructor)) static void stop_it(void) { counter = 0; }

int run(int x)
{
    immediates();
    int total = sum() + dispatch(x & 7, x) + machine("\1\3\2\1\0") + hot(x & 0xff) + chosen(x);
    total += (int)strlen(names[x & 3]) + (int)(end_of_table() - table) + (&missing != NULL);
    return total;
}
