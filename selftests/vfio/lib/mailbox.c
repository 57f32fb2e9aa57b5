// SPDX-License-Identifier: GPL-2.0
/* The LightIOV capability in configuration space, and the mailbox in it (uapi/lightiov.h). */
#include "mailbox.h"

#define MAILBOX_TIMEOUT_MS	60000

void mailbox_find(struct nvme *n)
{
	u8 pos = 0;

	while ((pos = vfio_find_cap(&n->v, PCI_CAP_ID_VNDR, pos))) {
		if (vfio_get(&n->v, CFG, pos + LIGHTIOV_CAP_MAGIC, 4) != LIGHTIOV_MAGIC ||
		    vfio_get(&n->v, CFG, pos + LIGHTIOV_CAP_VER, 1) != LIGHTIOV_CAP_VERSION)
			continue;
		n->vsec = pos;
		n->direct = vfio_get(&n->v, CFG, pos + LIGHTIOV_CAP_FLAGS, 4) &
			    LIGHTIOV_FLAG_DIRECT;
		return;
	}
}

int nvme_mailbox(struct nvme *n, u32 cmd, u64 gpa, u64 size, u64 *bus)
{
	u64 end = now_ms() + MAILBOX_TIMEOUT_MS;
	u32 status;

	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_GPA_LO, 4, (u32)gpa);
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_GPA_HI, 4, gpa >> 32);
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_SIZE_LO, 4, (u32)size);
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_SIZE_HI, 4, size >> 32);
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_CMD, 4, cmd);
	do {
		status = vfio_get(&n->v, CFG, n->vsec + LIGHTIOV_CAP_STATUS, 4);
		if (status != LIGHTIOV_STATUS_BUSY)
			break;
		sleep_us(1000);
	} while (now_ms() < end);

	switch (status) {
	case LIGHTIOV_STATUS_DONE:
		if (bus)
			*bus = vfio_get(&n->v, CFG, n->vsec + LIGHTIOV_CAP_BUS_LO, 4) |
			       vfio_get(&n->v, CFG, n->vsec + LIGHTIOV_CAP_BUS_HI, 4) << 32;
		return 0;
	case LIGHTIOV_STATUS_ERROR:
		return vfio_get(&n->v, CFG, n->vsec + LIGHTIOV_CAP_ERRNO, 4);
	case LIGHTIOV_STATUS_BUSY:
		return -ETIMEDOUT;
	default:
		return -EPROTO;
	}
}
