/* Imitates a kernel with larger pages for Guile's loader and collector: LD_PRELOAD it with LARGE_PAGE=65536.
   getpagesize and sysconf answer $LARGE_PAGE, mmap returns multiples of it, and mprotect fails unless given one.
   With MAPPED_LIST, the address and path of every .go file that is mapped is appended to that file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t page(void) {
  const char *text = getenv("LARGE_PAGE");
  return text ? strtoul(text, NULL, 10) : 4096;
}

int getpagesize(void) { return (int)page(); }

long sysconf(int name) {
  static long (*real)(int);
  if (name == _SC_PAGESIZE)
    return (long)page();
  if (!real)
    *(void **)&real = dlsym(RTLD_NEXT, "sysconf");
  return real(name);
}

static void note(int fd) {
  const char *list = getenv("MAPPED_LIST");
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (!list || length < 3 || memcmp(path + length - 3, ".go", 3))
    return;
  path[length] = 0;
  FILE *out = fopen(list, "a");
  if (out) {
    fprintf(out, "%s\n", path);
    fclose(out);
  }
}

void *mmap(void *address, size_t length, int prot, int flags, int fd, off_t offset) {
  if (fd >= 0)
    note(fd);
  if (!(flags & MAP_FIXED)) {
    /* Reserve enough to find an aligned place inside, and give the rest back. */
    size_t whole = (length + 4095) & ~(size_t)4095, room = whole + page();
    char *start = (char *)syscall(SYS_mmap, NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
      return MAP_FAILED;
    char *aligned = (char *)(((uintptr_t)start + page() - 1) & ~(uintptr_t)(page() - 1));
    if (aligned > start)
      munmap(start, (size_t)(aligned - start));
    if (start + room > aligned + whole)
      munmap(aligned + whole, (size_t)(start + room - aligned - whole));
    address = aligned;
    flags |= MAP_FIXED;
  }
  return (void *)syscall(SYS_mmap, address, length, prot, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int prot, int flags, int fd, off_t offset) {
  return mmap(address, length, prot, flags, fd, offset);
}

int mprotect(void *address, size_t length, int prot) {
  if ((uintptr_t)address & (page() - 1)) {
    errno = EINVAL;
    return -1;
  }
  return (int)syscall(SYS_mprotect, address, length, prot);
}
