/* Thread-local storage in all its models, constructors, IFUNC, and addresses in data of every kind. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __thread int local_counter = 41;
__thread int global_counter __attribute__((tls_model("global-dynamic"))) = 7;
static __thread char zeroed[200];

extern int external_value __attribute__((weak));
int exported = 11;
static int hidden = 13;
int *exported_pointer = &hidden;
static int *const constant_pointer = &exported;
static const char *const names[] = {"zero", "one", "two", "three"};
static char buffer[5000];
char large[70000];

static void first(void) { hidden += 1; }
static void (*const handlers[])(void) = {first, first};

__attribute__((constructor)) static void construct(void) { exported += hidden; }
__attribute__((destructor)) static void destruct(void) { hidden = 0; }

static int plain(int x) { return x + 1; }
static int other(int x) { return x + hidden; }
static int (*resolve(void))(int) { return hidden > 100 ? plain : other; }
int chosen(int x) __attribute__((ifunc("resolve")));
int (*chosen_pointer)(int) = chosen;

int run(int x)
{
    int sum = x;
    handlers[x & 1]();
    sum += ++local_counter + ++global_counter + zeroed[x & 127];
    sum += *exported_pointer + *constant_pointer + exported + hidden;
    buffer[x & 4095] = (char)sum;
    sum += buffer[(x + 1) & 4095] + large[x & 0xffff];
    sum += (int)strlen(names[x & 3]);
    sum += chosen(x) + chosen_pointer(x);
    if (&external_value)
        sum += external_value;
    return sum;
}
