/* Compares one mapped ELF object with its file and shows its pages' rights.
 *
 * Runs inside the guest, in the process that the loader filled or in one that traces it. Every line it prints starts with "lab ":
 *
 *   lab bytes SEGMENT VADDR COUNT        bytes that differ from the file
 *   lab bss SEGMENT VADDR COUNT          bytes behind p_filesz that are not zero
 *   lab unmapped SEGMENT VADDR COUNT     bytes that cannot be read: no mapping, or none of the file's bytes behind it
 *   lab map START-END RIGHTS             one line of /proc/self/maps
 *   lab base BASE                        where p_vaddr 0 lies (hexadecimal); ends the list of mappings
 *
 * SEGMENT is an index into the program header table, VADDR an address of the file, COUNT in bytes; numbers are decimal.
 * Whether memory can be read is tried, not read from /proc/self/maps: qemu-user's is merged and incomplete.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef unsigned char byte;

static sigjmp_buf fault;

/* /proc/PID/mem of the process looked at, or -1 for our own. */
static int other_memory = -1;

static void on_fault(int signal) { (void)signal; siglongjmp(fault, 1); }

/* Copies memory of the process looked at; 0 when it cannot be read. */
static int peek(uintptr_t address, void *to, size_t length)
{
    if (other_memory >= 0)
        return pread(other_memory, to, length, address) == (ssize_t)length;
    if (sigsetjmp(fault, 0))
        return 0;
    memcpy(to, (void *)address, length);
    return 1;
}

static void show_maps(const char *maps, uintptr_t base)
{
    char line[4352], range[64], rights[5];
    FILE *file = fopen(maps, "r");

    /* `qemu-user -d page` shows its page table at every mmap; that table, unlike its /proc/self/maps, is exact. */
    munmap(mmap(NULL, 1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1);
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "%63s %4s", range, rights) == 2)
            dprintf(1, "lab map %s %s\n", range, rights);
    if (file)
        fclose(file);
    dprintf(1, "lab base %llx\n", (unsigned long long)base);
}

/* Words that relocation may change: skipped when the object was relocated before we could look. */
static byte *relocated;
static size_t relocated_size;

static void mark(uintptr_t vaddr)
{
    for (size_t i = 0; i < sizeof(ElfW(Addr)); i++)
        if (vaddr + i < relocated_size)
            relocated[vaddr + i] = 1;
}

static void mark_relocations(uintptr_t base, const ElfW(Dyn) *dynamic)
{
    uintptr_t tables[3] = {0};
    size_t sizes[3] = {0}, strides[3] = {sizeof(ElfW(Rel)), sizeof(ElfW(Rela)), 0}, got = 0;

    for (const ElfW(Dyn) *d = dynamic; d->d_tag != DT_NULL; d++)
        switch (d->d_tag) {
        case DT_REL: tables[0] = d->d_un.d_ptr; break;
        case DT_RELSZ: sizes[0] = d->d_un.d_val; break;
        case DT_RELA: tables[1] = d->d_un.d_ptr; break;
        case DT_RELASZ: sizes[1] = d->d_un.d_val; break;
        case DT_JMPREL: tables[2] = d->d_un.d_ptr; break;
        case DT_PLTRELSZ: sizes[2] = d->d_un.d_val; break;
        case DT_PLTREL: strides[2] = d->d_un.d_val == DT_RELA ? sizeof(ElfW(Rela)) : sizeof(ElfW(Rel)); break;
        case DT_PLTGOT: got = d->d_un.d_ptr; break;
        }
    for (int t = 0; t < 3; t++)
        for (size_t at = 0; at < sizes[t]; at += strides[t])
            mark(((const ElfW(Rel) *)(base + tables[t] + at))->r_offset);
    for (int i = 0; got && i < 3; i++) /* the loader's own words of .got.plt */
        mark(got + i * sizeof(ElfW(Addr)));
}

struct tally { const char *kind; int segment; uintptr_t first; size_t count; };

static void count(struct tally *tally, uintptr_t vaddr, size_t bytes)
{
    if (!tally->count)
        tally->first = vaddr;
    tally->count += bytes;
}

static void report(const struct tally *tally)
{
    if (tally->count)
        dprintf(1, "lab %s %d %llu %zu\n", tally->kind, tally->segment, (unsigned long long)tally->first, tally->count);
}

struct part { const ElfW(Phdr) *load, *dynamic; const byte *file; uintptr_t base; };

/* glibc adds the base to pointers of the dynamic section while it maps, before any audit. */
static int is_rebased(const struct part *p, uintptr_t at)
{
    ElfW(Addr) was, is;
    if (!p->dynamic || at < p->dynamic->p_vaddr || at >= p->dynamic->p_vaddr + p->dynamic->p_filesz)
        return 0;
    at -= (at - p->dynamic->p_vaddr) % sizeof was;
    memcpy(&was, p->file + p->load->p_offset + (at - p->load->p_vaddr), sizeof was);
    return peek(p->base + at, &is, sizeof is) && is == was + p->base;
}

static void compare(const struct part *p, int index)
{
    struct tally differ = {"bytes", index, 0, 0}, bss = {"bss", index, 0, 0}, unmapped = {"unmapped", index, 0, 0};
    const ElfW(Phdr) *load = p->load;
    uintptr_t next, end = load->p_vaddr + load->p_memsz;
    byte memory[4096], meant[4096];

    for (uintptr_t vaddr = load->p_vaddr; vaddr < end; vaddr = next) {
        size_t length = sizeof memory - (p->base + vaddr) % sizeof memory;
        length = length < end - vaddr ? length : end - vaddr;
        next = vaddr + length;
        size_t inside = vaddr - load->p_vaddr;
        size_t from_file = inside >= load->p_filesz ? 0 : load->p_filesz - inside;
        from_file = from_file < length ? from_file : length;
        memcpy(meant, p->file + load->p_offset + inside, from_file);
        memset(meant + from_file, 0, length - from_file);
        if (!peek(p->base + vaddr, memory, length)) {
            count(&unmapped, vaddr, length);
            continue;
        }
        if (!memcmp(memory, meant, length))
            continue;
        for (size_t i = 0; i < length; i++)
            if (memory[i] != meant[i] && !(relocated && relocated[vaddr + i]) && !is_rebased(p, vaddr + i))
                count(i < from_file ? &differ : &bss, vaddr + i, 1);
    }
    report(&differ);
    report(&bss);
    report(&unmapped);
}

/* `relocated_already`: words that relocation may change are left out. */
static void inspect(const char *path, uintptr_t base, int relocated_already)
{
    struct stat status;
    int fd = open(path, O_RDONLY);
    const ElfW(Phdr) *dynamic = NULL, *phdrs;
    struct sigaction caught = {.sa_handler = on_fault, .sa_flags = SA_NODEFER}, segv, bus;
    byte *file;

    if (fd < 0 || fstat(fd, &status) || !(file = malloc(status.st_size + 1)) ||
        pread(fd, file, status.st_size, 0) != status.st_size) {
        dprintf(1, "lab unreadable %s\n", path);
        _exit(99);
    }
    close(fd);
    phdrs = (const ElfW(Phdr) *)(file + ((const ElfW(Ehdr) *)file)->e_phoff);
    int phnum = ((const ElfW(Ehdr) *)file)->e_phnum;
    for (int i = 0; i < phnum; i++) {
        if (phdrs[i].p_type == PT_DYNAMIC)
            dynamic = &phdrs[i];
        if (phdrs[i].p_type == PT_LOAD && phdrs[i].p_vaddr + phdrs[i].p_memsz > relocated_size)
            relocated_size = phdrs[i].p_vaddr + phdrs[i].p_memsz;
    }
    if (relocated_already && dynamic) {
        relocated = calloc(1, relocated_size);
        mark_relocations(base, (const ElfW(Dyn) *)(file + dynamic->p_offset));
    }
    sigaction(SIGSEGV, &caught, &segv);
    sigaction(SIGBUS, &caught, &bus);
    for (int i = 0; i < phnum; i++)
        if (phdrs[i].p_type == PT_LOAD && phdrs[i].p_flags & PF_R) {
            struct part part = {&phdrs[i], dynamic, file, base};
            if (phdrs[i].p_offset + phdrs[i].p_filesz <= (size_t)status.st_size)
                compare(&part, i);
        }
    sigaction(SIGSEGV, &segv, NULL);
    sigaction(SIGBUS, &bus, NULL);
    free(file);
    free(relocated);
    relocated = NULL;
    relocated_size = 0;
}
