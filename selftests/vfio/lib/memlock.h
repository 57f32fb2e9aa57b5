/* SPDX-License-Identifier: GPL-2.0 */
/* The locked-memory limit, and what the host's log says meanwhile. */
#ifndef _LIOV_MEMLOCK_H
#define _LIOV_MEMLOCK_H

#include "test.h"

/* Who maps memory for VFIO without the capability is held to the limit. */
bool set_ipc_lock(bool on);
/* What type1 has on account, in bytes. */
unsigned long locked_bytes(void);
void limit_locked(unsigned long bytes);

/* The host's log from here on: a file descriptor, or -1. */
int klog_open(void);
/* Lines with @word since the last call; all of them are gone then. */
unsigned int klog_lines(int fd, const char *word);

#endif /* _LIOV_MEMLOCK_H */
