// The library that throws: its types are caught in another, which also reads its thread-local counter.
#include "thrower.h"

Base::~Base() = default;
Derived::Derived(int value) : std::runtime_error("derived"), value(value) {}
Derived::~Derived() = default;
thread_local int thrown = 0;
static int limits[] = {2, 4, 6};
int *limit = &limits[1];

void attempt(int x)
{
    thrown++;
    if (x > *limit) throw Derived(x);
    if (x > limits[0]) throw std::out_of_range("range");
    if (x < 0) throw x;
    if (x == 1) throw "text";
}
