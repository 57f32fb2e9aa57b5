/* SPDX-License-Identifier: GPL-2.0 */
/* Between bench_guard.c, which has the main program, and bench_pass.c. */
#ifndef _BENCH_PASS_H
#define _BENCH_PASS_H

#include <stdbool.h>

/* Prints figures; returns whether the worst pass takes @limit ns at most. */
bool bench_pass(double limit);

#endif /* _BENCH_PASS_H */
