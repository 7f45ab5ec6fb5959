/* The first process of a kernel under the lab: runs every line of /commands, then switches the machine off.
 *
 * A line is words separated by single spaces; leading NAME=VALUE words go to the command's environment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

static void run(char *line)
{
    char *argv[4096], *at = line, *word;
    int count = 0;

    while ((word = strsep(&at, " ")) && count < 4095) {
        if (!count && strchr(word, '='))
            putenv(word);
        else
            argv[count++] = word;
    }
    argv[count] = NULL;
    execv(argv[0], argv);
    perror(argv[0]);
    _exit(127);
}

int main(void)
{
    static char line[1 << 20];
    FILE *commands = fopen("/commands", "re");

    printf("\n"); /* the firmware's last line may have no end */
    fflush(stdout);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    mount("tmp", "/tmp", "tmpfs", 0, NULL);
    while (commands && fgets(line, sizeof line, commands)) {
        int status = 0;
        line[strcspn(line, "\n")] = '\0';
        pid_t child = fork();
        if (!child)
            run(line);
        waitpid(child, &status, 0);
        printf("lab exit %d\n", status);
        fflush(stdout);
    }
    printf("lab finished\n");
    fflush(stdout);
    sync();
    reboot(RB_POWER_OFF);
    return 0;
}
