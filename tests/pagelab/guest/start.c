/* Starts every program named, stops it before its first instruction, and says what the kernel made of it.
 *
 * Prints what load.c prints; "lab error" when the kernel does not start the program. Real kernels only: qemu-user cannot
 * trace, and maps programs itself.
 */
#include "inspect.h"
#include <errno.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

/* Where the program's address 0 lies: AT_ENTRY is where its e_entry came to lie. Says, too, whether AT_PHDR leads to the
 * program headers, which every libc reads first. */
static uintptr_t base_of(pid_t child, const char *path)
{
    ElfW(auxv_t) entry;
    ElfW(Ehdr) header;
    ElfW(Phdr) meant, told;
    uintptr_t base = 0, phdr = 0;
    char name[64];
    int fd = open(path, O_RDONLY);

    if (read(fd, &header, sizeof header) != sizeof header ||
        pread(fd, &meant, sizeof meant, header.e_phoff) != sizeof meant)
        _exit(99);
    close(fd);
    snprintf(name, sizeof name, "/proc/%d/auxv", child);
    fd = open(name, O_RDONLY);
    while (read(fd, &entry, sizeof entry) == sizeof entry && entry.a_type != AT_NULL) {
        if (entry.a_type == AT_ENTRY)
            base = entry.a_un.a_val - header.e_entry;
        if (entry.a_type == AT_PHDR)
            phdr = entry.a_un.a_val;
    }
    close(fd);
    if (!peek(phdr, &told, sizeof told) || memcmp(&told, &meant, sizeof told))
        dprintf(1, "lab headers lost\n");
    return base;
}

static int start(const char *path)
{
    char name[64];
    int status;
    pid_t child = fork();

    if (!child) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execl(path, path, (char *)NULL);
        _exit(errno);
    }
    waitpid(child, &status, 0);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
        /* An execve that goes wrong late has no program to return to: the process is killed. */
        int signal = WIFSTOPPED(status) ? WSTOPSIG(status) : WTERMSIG(status);
        dprintf(1, "lab error not started: %s\n", WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : strsignal(signal));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        return 0;
    }
    dprintf(1, "lab object %s\n", path);
    snprintf(name, sizeof name, "/proc/%d/mem", child);
    other_memory = open(name, O_RDONLY);
    uintptr_t base = base_of(child, path);
    inspect(path, base, 0);
    snprintf(name, sizeof name, "/proc/%d/maps", child);
    show_maps(name, base);
    close(other_memory);
    ptrace(PTRACE_CONT, child, NULL, NULL);
    waitpid(child, &status, 0);
    if (WIFSTOPPED(status)) {
        int signal = WSTOPSIG(status);
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        status = signal;
    }
    dprintf(1, "lab loaded\n");
    return status & 0x7f;
}

int main(int argc, char **argv)
{
    dprintf(1, "lab page %lu\n", getauxval(AT_PAGESZ));
    for (int i = 1; i < argc; i++) {
        dprintf(1, "lab begin %s\n", argv[i]);
        dprintf(1, "lab end %d\n", start(argv[i]));
    }
    return 0;
}
