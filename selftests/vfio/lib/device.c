// SPDX-License-Identifier: GPL-2.0
/*
 * Regions and configuration space of an open device, by the ops of who opened it.
 * Single-threaded but for reads and writes; the caller owns the struct vfio.
 */
#include "device.h"

void vfio_close(struct vfio *v)
{
	v->ops->close(v);
}

int vfio_reset(struct vfio *v)
{
	return v->ops->reset(v);
}

ssize_t vfio_read(struct vfio *v, unsigned int region, u64 off, void *buf, size_t len)
{
	return v->ops->read(v, region, off, buf, len);
}

ssize_t vfio_write(struct vfio *v, unsigned int region, u64 off, const void *buf, size_t len)
{
	return v->ops->write(v, region, off, buf, len);
}

u64 vfio_get(struct vfio *v, unsigned int region, u64 off, unsigned int len)
{
	u64 val = 0;

	if (vfio_read(v, region, off, &val, len) != (ssize_t)len)
		return ~0ULL;
	return val;
}

int vfio_put(struct vfio *v, unsigned int region, u64 off, unsigned int len, u64 val)
{
	ssize_t rc = vfio_write(v, region, off, &val, len);

	if (rc < 0)
		return rc;
	return rc == (ssize_t)len ? 0 : -EIO;
}

u8 vfio_find_cap(struct vfio *v, u8 id, u8 after)
{
	unsigned int left = 48;	/* more cannot fit into 192 bytes */
	u8 pos;

	if (after)
		pos = vfio_get(v, CFG, after + PCI_CAP_LIST_NEXT, 1);
	else
		pos = vfio_get(v, CFG, PCI_CAPABILITY_LIST, 1);
	while (pos >= PCI_STD_HEADER_SIZEOF && left--) {
		if ((u8)vfio_get(v, CFG, pos + PCI_CAP_LIST_ID, 1) == id)
			return pos;
		pos = vfio_get(v, CFG, pos + PCI_CAP_LIST_NEXT, 1);
	}
	return 0;
}
