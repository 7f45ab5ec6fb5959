#include <stdexcept>

struct Base {
    virtual ~Base();
};
struct Derived : Base, std::runtime_error {
    explicit Derived(int value);
    ~Derived() override;
    int value;
};
extern thread_local int thrown;
void attempt(int x);
