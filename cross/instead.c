// What std would take from libunwind and libc for little use and many bytes. Linked by zig-cc, before them.

#include <errno.h>
#include <sys/prctl.h>

// Threads are named by themselves alone. For the names of others libc has a printf, 12 kB that nobody else needs.
int pthread_setname_np(unsigned long thread, const char *name) {
    (void)thread;
    return prctl(PR_SET_NAME, name, 0, 0, 0) ? errno : 0;
}

// Ends every backtrace of a panic before it begins: the programs carry no unwind tables, so it would be empty, and libunwind, which std
// would call for it, is 30 kB. 5 is _URC_END_OF_STACK of the unwinder's ABI.

int _Unwind_Backtrace(void *trace, void *data) {
    (void)trace, (void)data;
    return 5;
}

unsigned long _Unwind_GetIP(void *context) {
    (void)context;
    return 0;
}

// The same question on 32-bit ARM, whose unwinder has an ABI of its own.
#ifdef __arm__
int _Unwind_VRS_Get(void *context, int class, unsigned int number, int representation, void *value) {
    (void)context, (void)class, (void)number, (void)representation;
    *(unsigned int *)value = 0;
    return 0;
}
#endif
