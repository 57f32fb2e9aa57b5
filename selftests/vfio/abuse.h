/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The suites of liov_abuse.  Expectations are those of the NVMe, PCI and VFIO
 * specifications; where one leaves the outcome open, the test only asks that
 * the device survives.
 *
 * No test makes the hardware reach for an unmapped bus address: in direct mode
 * the PRPs of I/O commands are the guest's own affair, so those tests are for
 * guarded mode.
 */
#ifndef _LIOV_ABUSE_H
#define _LIOV_ABUSE_H

#include "lib/health.h"

/* IOVAs, and in direct mode bus addresses, at which nothing is mapped. */
#define NOWHERE		0x0000123456789000ULL
#define NOWHERE_HIGH	0xfffffffffffff000ULL

#define WAIT_MS		60000
#define QUIET_MS	300

extern const struct suite suite_regs, suite_config, suite_mailbox, suite_admin,
			  suite_queues, suite_doorbells, suite_prps, suite_vfio,
			  suite_silence, suite_log, suite_ioctl, suite_random;

#endif /* _LIOV_ABUSE_H */
