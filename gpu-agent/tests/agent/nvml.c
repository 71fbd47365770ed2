/* A driver's library with one sick GPU: what the agent asks beyond what its crate wraps, and what it makes of it. */
#include <string.h>

enum { OK = 0 };
static int gpu;

int nvmlInit_v2(void) { return OK; }
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return OK; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "an error"; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 1; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) { (void)index; *device = &gpu; return OK; }
int nvmlDeviceGetName(void *device, char *name, unsigned int size)
{
    (void)device, (void)size;
    strcpy(name, "NVIDIA Sick");
    return OK;
}
int nvmlDeviceGetRemappedRows(void *device, unsigned int *correctable, unsigned int *uncorrectable,
                              unsigned int *pending, unsigned int *failed)
{
    *correctable = 7, *uncorrectable = 2, *pending = 1, *failed = device == &gpu;
    return OK;
}
int nvmlDeviceGetRetiredPagesPendingStatus(void *device, int *pending) { (void)device; *pending = 0; return OK; }
/* Idle, held back by its settings, too hot by hardware's own measure, and a bit that nobody knows yet. */
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *reasons)
{
    (void)device;
    *reasons = 0x1 | 0x2 | 0x40 | (1ull << 40);
    return OK;
}
