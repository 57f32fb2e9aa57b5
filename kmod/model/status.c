// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest is told of the host's own answer to a command.  Plain functions, no state.
 */
#include <linux/errno.h>

#include "model/model.h"

/**
 * liov_hw_status() - what the guest is told of the hardware's answer
 * @rc: from liov_host_admin() or liov_host_enter()
 *
 * Return: the NVMe status; LIOV_SC_LATER while the host resets the controller,
 * Internal Error if the hardware did not answer.
 */
u16 liov_hw_status(int rc)
{
	if (rc == -EAGAIN || rc == -EINTR)
		return LIOV_SC_LATER;
	if (rc <= 0)
		return rc ? NVME_SC_INTERNAL : 0;
	/* A failure is none of the other bits alone. */
	return rc & (NVME_STATUS_DNR | 0x7ff) ?: NVME_SC_INTERNAL;
}

/**
 * liov_abort_status() - the same for Abort
 * @rc: likewise
 *
 * Return: the NVMe status; 0 if the hardware did not answer, then the result says that
 * nothing was aborted.
 */
u16 liov_abort_status(int rc)
{
	return rc > 0 ? liov_hw_status(rc) : 0;
}

/**
 * liov_guest_status() - what the guest is told of a queue that could not be made
 * @rc: negative errno, or the drive's status
 *
 * Return: NVMe status, 0 if it was made; LIOV_SC_LATER if a reset of the host's prevented it,
 * of which the guest need not know.
 */
u16 liov_guest_status(int rc)
{
	return rc == -EFAULT ? NVME_SC_DATA_XFER_ERROR : liov_hw_status(rc);
}
