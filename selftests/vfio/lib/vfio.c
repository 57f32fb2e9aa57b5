// SPDX-License-Identifier: GPL-2.0
/*
 * The VFIO side: mdev by UUID, group, type1 container, regions, eventfds.  With
 * LIGHTIOV_IOMMUFD in the environment iommufd.c takes the place of the first two.
 * Single-threaded; the caller owns the struct vfio.
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "iommufd.h"
#include "vfio.h"

static int sys_err(const char *what)
{
	int err = errno;

	diag("%s: %s", what, strerror(err));
	return -err;
}

static int find_group(const char *uuid, unsigned int *nr)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/iommu_group", uuid);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return sys_err(path);
	target[len] = '\0';
	*nr = strtoul(basename(target), NULL, 10);
	return 0;
}

static int get_regions(struct vfio *v)
{
	unsigned int i;

	v->info.argsz = sizeof(v->info);
	if (ioctl(v->device, VFIO_DEVICE_GET_INFO, &v->info))
		return sys_err("VFIO_DEVICE_GET_INFO");
	for (i = 0; i < VFIO_PCI_NUM_REGIONS && i < v->info.num_regions; i++) {
		struct vfio_region_info *r = &v->region[i];

		memset(r, 0, sizeof(*r));
		r->argsz = sizeof(*r);
		r->index = i;
		/* The VGA region need not exist. */
		if (ioctl(v->device, VFIO_DEVICE_GET_REGION_INFO, r) &&
		    i != VFIO_PCI_VGA_REGION_INDEX)
			return sys_err("VFIO_DEVICE_GET_REGION_INFO");
	}
	return 0;
}

static int get_irqs(struct vfio *v)
{
	struct vfio_irq_info irq = {
		.argsz = sizeof(irq),
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
	};
	unsigned int i;

	if (ioctl(v->device, VFIO_DEVICE_GET_IRQ_INFO, &irq))
		return sys_err("VFIO_DEVICE_GET_IRQ_INFO");
	v->nr_vectors = irq.count < VFIO_MAX_VECTORS ? irq.count : VFIO_MAX_VECTORS;
	for (i = 0; i < v->nr_vectors; i++) {
		if (v->efd[i] >= 0)
			continue;
		v->efd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (v->efd[i] < 0)
			return sys_err("eventfd");
	}
	return 0;
}

int vfio_get_device(struct vfio *v, const char *uuid)
{
	int fd = ioctl(v->group, VFIO_GROUP_GET_DEVICE_FD, uuid);

	return fd < 0 ? sys_err("VFIO_GROUP_GET_DEVICE_FD") : fd;
}

int vfio_take_device(struct vfio *v, int fd)
{
	int rc;

	v->device = fd;
	rc = get_regions(v);
	return rc ? rc : get_irqs(v);
}

int vfio_open_device(struct vfio *v, const char *uuid)
{
	int rc;

	if (v->ioas) {
		rc = iommufd_open_device(v, uuid);
		return rc ? rc : vfio_take_device(v, v->device);
	}
	rc = vfio_get_device(v, uuid);
	return rc < 0 ? rc : vfio_take_device(v, rc);
}

void vfio_close_device(struct vfio *v)
{
	if (v->device >= 0)
		close(v->device);
	v->device = -1;
}

static int open_group(struct vfio *v)
{
	struct vfio_group_status st = { .argsz = sizeof(st) };
	char path[64];

	if (!v->shared)
		v->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (v->container < 0)
		return sys_err("/dev/vfio/vfio");
	snprintf(path, sizeof(path), "/dev/vfio/%u", v->group_nr);
	v->group = open(path, O_RDWR | O_CLOEXEC);
	if (v->group < 0)
		return sys_err(path);
	if (ioctl(v->group, VFIO_GROUP_GET_STATUS, &st))
		return sys_err("VFIO_GROUP_GET_STATUS");
	if (!(st.flags & VFIO_GROUP_FLAGS_VIABLE)) {
		diag("group %u is not viable", v->group_nr);
		return -EPERM;
	}
	if (ioctl(v->group, VFIO_GROUP_SET_CONTAINER, &v->container))
		return sys_err("VFIO_GROUP_SET_CONTAINER");
	if (!v->shared && ioctl(v->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return sys_err("VFIO_SET_IOMMU");
	return 0;
}

static int open_container(struct vfio *v, const char *uuid)
{
	int rc;

	if (iommufd_wanted())
		return v->shared ? 0 : iommufd_open(v);
	rc = find_group(uuid, &v->group_nr);
	return rc ? rc : open_group(v);
}

static void close_all(struct vfio *v)
{
	unsigned int i;

	vfio_close_device(v);
	if (v->group >= 0)
		close(v->group);
	if (v->container >= 0 && !v->shared)
		close(v->container);
	v->group = -1;
	v->container = -1;
	for (i = 0; i < VFIO_MAX_VECTORS; i++) {
		if (v->efd[i] >= 0)
			close(v->efd[i]);
		v->efd[i] = -1;
	}
	if (v->mem)
		munmap(v->mem, v->mem_len);
	v->mem = NULL;
}

static ssize_t region_read(struct vfio *v, unsigned int region, u64 off, void *buf, size_t len)
{
	ssize_t rc;

	rc = pread(v->device, buf, len, v->region[region].offset + off);
	return rc < 0 ? -errno : rc;
}

static ssize_t region_write(struct vfio *v, unsigned int region, u64 off, const void *buf,
			    size_t len)
{
	ssize_t rc;

	rc = pwrite(v->device, buf, len, v->region[region].offset + off);
	return rc < 0 ? -errno : rc;
}

static int function_reset(struct vfio *v)
{
	return ioctl(v->device, VFIO_DEVICE_RESET) ? -errno : 0;
}

static const struct vfio_ops vfio_ops = {
	.read = region_read,
	.write = region_write,
	.reset = function_reset,
	.close = close_all,
};

int vfio_open_beside(struct vfio *v, const char *uuid, const struct vfio *other)
{
	unsigned int i;
	int rc;

	memset(v, 0, sizeof(*v));
	v->ops = &vfio_ops;
	v->shared = other;
	v->container = other ? other->container : -1;
	v->ioas = other ? other->ioas : 0;
	v->group = -1;
	v->device = -1;
	v->cfg = -1;
	for (i = 0; i < VFIO_MAX_VECTORS; i++)
		v->efd[i] = -1;

	rc = open_container(v, uuid);
	if (!rc)
		rc = vfio_open_device(v, uuid);
	if (rc)
		vfio_close(v);
	return rc;
}

int vfio_open(struct vfio *v, const char *uuid)
{
	return vfio_open_beside(v, uuid, NULL);
}

int vfio_dma_map(struct vfio *v, void *va, u64 iova, u64 len)
{
	return vfio_dma_map_flags(v, va, iova, len,
				  VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE);
}

int vfio_dma_map_flags(struct vfio *v, void *va, u64 iova, u64 len, u32 flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.vaddr = (unsigned long)va,
		.iova = iova,
		.size = len,
	};

	if (v->ioas)
		return iommufd_map(v, va, iova, len, flags & VFIO_DMA_MAP_FLAG_READ,
				   flags & VFIO_DMA_MAP_FLAG_WRITE);
	return ioctl(v->container, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

int vfio_dma_unmap(struct vfio *v, u64 iova, u64 len)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = len,
	};

	if (v->ioas)
		return iommufd_unmap(v, iova, len);
	return ioctl(v->container, VFIO_IOMMU_UNMAP_DMA, &unmap) ? -errno : 0;
}

int vfio_map_mem(struct vfio *v, size_t len, u64 iova)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int rc;

	/* Pinned pages count as locked; root may, others see the map fail. */
	setrlimit(RLIMIT_MEMLOCK, &all);

	v->mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (v->mem == MAP_FAILED) {
		v->mem = NULL;
		return sys_err("mmap");
	}
	v->mem_len = len;
	v->iova = iova;
	rc = vfio_dma_map(v, v->mem, iova, len);
	if (rc)
		diag("VFIO_IOMMU_MAP_DMA: %s", strerror(-rc));
	return rc;
}

int vfio_irqs_on(struct vfio *v)
{
	__aligned_u64 buf[(sizeof(struct vfio_irq_set) + sizeof(v->efd)) / 8 + 1] = { 0 };
	struct vfio_irq_set *set = (struct vfio_irq_set *)buf;

	if (v->bar0)
		return 0;
	set->argsz = sizeof(*set) + v->nr_vectors * sizeof(int);
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = VFIO_PCI_MSIX_IRQ_INDEX;
	set->start = 0;
	set->count = v->nr_vectors;
	memcpy(set->data, v->efd, v->nr_vectors * sizeof(int));
	return ioctl(v->device, VFIO_DEVICE_SET_IRQS, set) ? -errno : 0;
}

int vfio_irqs_off(struct vfio *v)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
	};

	return ioctl(v->device, VFIO_DEVICE_SET_IRQS, &set) ? -errno : 0;
}

int vfio_event_on(struct vfio *v, u32 index)
{
	__aligned_u64 buf[(sizeof(struct vfio_irq_set) + sizeof(int)) / 8 + 1] = { 0 };
	struct vfio_irq_set *set = (struct vfio_irq_set *)buf;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	set->argsz = sizeof(*set) + sizeof(int);
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = index;
	set->count = 1;
	memcpy(set->data, &fd, sizeof(fd));
	if (!ioctl(v->device, VFIO_DEVICE_SET_IRQS, set))
		return fd;
	err = errno;
	close(fd);
	return -err;
}

u64 vfio_event_wait(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	u64 count = 0;

	if (poll(&pfd, 1, ms) <= 0)
		return 0;
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}

u64 vfio_irq_wait(struct vfio *v, unsigned int vector, int ms)
{
	return vfio_event_wait(v->efd[vector], ms);
}
