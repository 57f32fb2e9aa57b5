/* SPDX-License-Identifier: GPL-2.0 */
/* The mailbox in the LightIOV capability. */
#ifndef _LIOV_MAILBOX_H
#define _LIOV_MAILBOX_H

#include "nvme.h"
#include "uapi/lightiov.h"

/* Finds the capability and with it the mode; without one @n stays as it is. */
void mailbox_find(struct nvme *n);
/* Mailbox: 0, a positive errno from the host, or -ETIMEDOUT. */
int nvme_mailbox(struct nvme *n, u32 cmd, u64 gpa, u64 size, u64 *bus);

#endif /* _LIOV_MAILBOX_H */
