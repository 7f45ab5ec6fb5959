/* Thread-local storage that starts as zeros only, in several threads at once. */
#include <pthread.h>

static __thread int mine;
static __thread char buffer[300];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int total;
int *pointer = &total;

static void *work(void *argument)
{
    for (int i = 0; i < 100; i++) {
        mine += *(int *)argument;
        buffer[i] = (char)mine;
    }
    pthread_mutex_lock(&lock);
    *pointer += mine + buffer[7] + buffer[299];
    pthread_mutex_unlock(&lock);
    return &mine;
}

int run(int x)
{
    pthread_t threads[4];
    int arguments[4];
    total = 0;
    for (int i = 0; i < 4; i++) {
        arguments[i] = x + i;
        pthread_create(&threads[i], 0, work, &arguments[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], 0);
    return total + mine++;
}
