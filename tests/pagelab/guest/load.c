/* Loads every file named with dlopen, each in a process of its own, and says what became of it.
 *
 *   lab page SIZE          AT_PAGESZ
 *   lab begin PATH         one file starts
 *   lab error MESSAGE      dlerror()
 *   lab loaded             dlopen returned, constructors included; what inspect.h prints follows
 *   lab end STATUS         as waitpid has it: 0, or the signal that ended the process
 *
 * With -b memory is compared after the load, for loaders that know no LD_AUDIT. With -s the one file named was loaded
 * with the program, by LD_PRELOAD: loaders may treat it otherwise than what dlopen brings.
 */
#include "inspect.h"
#include <dlfcn.h>
#include <sys/auxv.h>
#include <sys/wait.h>

static const char *wanted;

static int visit(struct dl_phdr_info *info, size_t size, void *bytes)
{
    (void)size;
    if (info->dlpi_name && !strcmp(info->dlpi_name, wanted)) {
        if (*(int *)bytes)
            inspect(wanted, info->dlpi_addr, 1);
        show_maps("/proc/self/maps", info->dlpi_addr);
    }
    return 0;
}

static void load(const char *path, int bytes)
{
    wanted = path;
    alarm(60);
    if (dlopen(path, RTLD_LAZY)) {
        dprintf(1, "lab loaded\n");
        dl_iterate_phdr(visit, &bytes);
    } else {
        dprintf(1, "lab error %s\n", dlerror());
    }
}

int main(int argc, char **argv)
{
    int bytes = argc > 1 && !strcmp(argv[1], "-b"), started = argc > 1 && !strcmp(argv[1], "-s");

    dprintf(1, "lab page %lu\n", getauxval(AT_PAGESZ));
    for (int i = 1 + (bytes || started); i < argc; i++) {
        int status = 0;
        dprintf(1, "lab begin %s\n", argv[i]);
        pid_t child = started ? 0 : fork();
        if (child) {
            waitpid(child, &status, 0);
        } else {
            load(argv[i], bytes || started);
            if (!started)
                _exit(0);
        }
        dprintf(1, "lab end %d\n", status);
    }
    return 0;
}
