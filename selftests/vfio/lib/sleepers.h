/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LIOV_SLEEPERS_H
#define _LIOV_SLEEPERS_H

#include "nvme.h"

int sleeper_begin(struct nvme *n);
int sleepers_keep_waiting(struct nvme *const *n, unsigned int nr, unsigned int *asleep);

#endif /* _LIOV_SLEEPERS_H */
