/* SystemTap's probes: notes that no loader reads name places in the code, and semaphores in writable data. */
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

__extension__ unsigned short pagefit_enter_semaphore __attribute__((unused, section(".probes")));
__extension__ unsigned short pagefit_leave_semaphore __attribute__((unused, section(".probes"))) = 1;
static int count = 3;

int run(int x)
{
    DTRACE_PROBE2(pagefit, enter, x, &count);
    if (pagefit_leave_semaphore)
        count += x + pagefit_enter_semaphore;
    DTRACE_PROBE1(pagefit, leave, count);
    return count;
}
